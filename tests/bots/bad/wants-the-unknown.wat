;; Imports a package that no host has. To be refused by that name, whatever else is missing.
(component
  (import "example:shop/till@1.0.0" (instance
    (export "open" (func)))))
