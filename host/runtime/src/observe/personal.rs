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

/// Blanks the SRTP keys of a message in place; lengths stay, so that Content-Length stays true.
/// Every `inline:` is followed, wherever it stands: a line that we would not read as a=crypto may hold a key all the same.
/// Source: RFC 4568 9.2.
pub fn redact_crypto(message: &mut [u8]) {
    const MARK: &[u8] = b"inline:";
    let mut at = 0;
    while at + MARK.len() <= message.len() {
        if !message[at..at + MARK.len()].eq_ignore_ascii_case(MARK) {
            at += 1;
            continue;
        }
        at += MARK.len();
        while let Some(byte) = message.get_mut(at).filter(|byte| !matches!(**byte, b'\r' | b'\n' | b'|' | b';')) {
            *byte = b'x';
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inline_key_is_blanked_and_the_length_stays() {
        let check = |input: &str, expect: &str| {
            let mut bytes = input.as_bytes().to_vec();
            redact_crypto(&mut bytes);
            assert_eq!(String::from_utf8_lossy(&bytes), expect);
        };
        check(
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AbC+/=|2^20|1:4\r\na=x\r\n",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxxxx|2^20|1:4\r\na=x\r\n",
        );
        check("INLINE:ab;Inline:cd\n", "INLINE:xx;Inline:xx\n");
        // White space within what should be one word does not save the key from being blanked.
        check("inline: secret\r\n", "inline:xxxxxxx\r\n");
        check("inline:", "inline:");
        check("inlin", "inlin");
    }

    #[test]
    fn addresses_are_cut_to_their_network_unless_asked() {
        let shown = |text: &str| PersonalAddress(text.parse().unwrap()).to_string();
        assert_eq!(shown("203.0.113.77:5060"), "203.0.113.0/24");
        assert_eq!(shown("[2001:db8:1:2::3]:5060"), "2001:db8:1::/48");
        assert_eq!(Personal("+911234").to_string(), "<personal>");
    }
}
