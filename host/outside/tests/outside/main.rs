//! What bots may reach, against real servers on loopback: what arrives, what is refused, what is cut.

mod bounds;
mod hostile;
mod refused;
mod requests;
mod server;
mod sockets;
mod world;
