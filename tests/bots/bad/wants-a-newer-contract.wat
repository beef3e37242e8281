;; Built against a contract that this host does not serve yet. To be refused by that name and version.
(component
  (import "patchbay:bot/call@0.9.0" (instance
    (export "answer" (func)))))
