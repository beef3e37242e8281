;; Imports wasi:http, which a bot does not get. To be refused by that name.
(component
  (import "wasi:http/types@0.2.0" (instance
    (export "http-error-code" (func (result bool))))))
