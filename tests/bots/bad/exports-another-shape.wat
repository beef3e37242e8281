;; Exports an interface of the right name and none of its functions. To be refused: start is missing.
(component
  (instance $empty)
  (export "patchbay:bot/bot@0.1.0" (instance $empty)))
