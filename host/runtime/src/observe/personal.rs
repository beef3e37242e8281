//! Numbers, names, addresses and digits (they are PINs) are personal: logs show them only if the operator asked.
//! Keys are never shown at all.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

static SHOWN: AtomicBool = AtomicBool::new(false);

/// From `log.personal`, once at start-up.
pub fn show_personal(shown: bool) {
    SHOWN.store(shown, Ordering::Relaxed);
}

/// A number, a name or digits, for a log line.
pub struct Personal<T>(pub T);

impl<T: fmt::Display> fmt::Display for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if SHOWN.load(Ordering::Relaxed) { self.0.fmt(f) } else { f.write_str("<personal>") }
    }
}

impl<T: fmt::Display> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address for a log line: unless asked, only its network, which is enough to find a missing entry of `networks`.
pub struct PersonalAddress(pub SocketAddr);

impl fmt::Display for PersonalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if SHOWN.load(Ordering::Relaxed) {
            return self.0.fmt(f);
        }
        match self.0.ip().to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                write!(f, "{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                write!(f, "{a:x}:{b:x}:{c:x}::/48")
            }
        }
    }
}

impl fmt::Debug for PersonalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cut_to_their_network_unless_asked() {
        let shown = |text: &str| PersonalAddress(text.parse().unwrap()).to_string();
        assert_eq!(shown("203.0.113.77:5060"), "203.0.113.0/24");
        assert_eq!(shown("[2001:db8:1:2::3]:5060"), "2001:db8:1::/48");
        assert_eq!(Personal("+911234").to_string(), "<personal>");
    }
}
