;; A core module, such as a compiler writes whose linker makes no component. To be refused: no component.
(module
  (memory (export "memory") 1)
  (func (export "on-frame") (result i32) (i32.const 0)))
