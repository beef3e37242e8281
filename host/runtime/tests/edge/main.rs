//! The signalling edge over real sockets on loopback.

mod bounds;
mod connect;
mod support;
mod tls;
mod traffic;
