;; A sound component that is no bot. To be refused: it does not export patchbay:bot/bot@0.1.0.
(component
  (core module $code (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
  (core instance $instance (instantiate $code))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $instance "add"))))
