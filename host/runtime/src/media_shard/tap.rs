//! A call's packets shown to its capture, after decryption and before encryption.

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::observe::Capture;

pub struct Tap {
    pub capture: Capture,
    /// Our RTP socket.
    pub local: SocketAddr,
}

impl Tap {
    pub fn received(&self, source: SocketAddr, packet: &[u8]) {
        self.capture.rtp(SystemTime::now(), source, self.local, packet);
    }

    pub fn sent(&self, destination: SocketAddr, packet: &[u8]) {
        self.capture.rtp(SystemTime::now(), self.local, destination, packet);
    }
}
