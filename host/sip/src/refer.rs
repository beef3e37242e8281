//! Whom our REFER may name, and what a dialog keeps of one. Source: RFC 3515.

use std::time::Instant;

use crate::uri::{Scheme, Uri};

/// One target, in bytes: a bot chooses it.
pub const MAX_REFER_TARGET_BYTES: usize = 512;

/// A URI that the peer may be asked to call: `sip:`, `sips:` or `tel:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferTarget(Uri);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferTargetError {
    #[error("a transfer's target is longer than {MAX_REFER_TARGET_BYTES} bytes")]
    TooLong,
    #[error("a transfer's target is a sip:, sips: or tel: URI")]
    Malformed,
    /// `?Replaces=..` would have the peer's INVITE carry headers of our choice, `;method=` another request than INVITE.
    #[error("a transfer's target names neither headers nor a method")]
    MoreThanWhom,
}

impl ReferTarget {
    /// Errors: too long, no such URI, one that is not ASCII or hides control characters in escapes, one that says what to send
    /// beside whom to call.
    pub fn parse(text: &str) -> Result<ReferTarget, ReferTargetError> {
        if text.len() > MAX_REFER_TARGET_BYTES {
            return Err(ReferTargetError::TooLong);
        }
        let uri = Uri::parse(text.as_bytes()).map_err(|_| ReferTargetError::Malformed)?;
        if uri.scheme() == Scheme::Other || !text.is_ascii() || hides_control(text) {
            return Err(ReferTargetError::Malformed);
        }
        // Behind `tel:` a question mark is part of no number; the reader has refused it there.
        if uri.headers().is_some() || uri.param("method").is_some() {
            return Err(ReferTargetError::MoreThanWhom);
        }
        Ok(ReferTarget(uri))
    }

    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

/// `%0d%0a` would be a line end to whoever undoes the escapes.
fn hides_control(text: &str) -> bool {
    text.as_bytes().windows(3).any(|three| {
        let value = std::str::from_utf8(&three[1..]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        three[0] == b'%' && value.is_none_or(|byte| byte.is_ascii_control())
    })
}

/// Our REFER, from the wish to send it to the end of the subscription that it makes. Source: RFC 3515 2.4.4.
#[derive(Debug)]
pub(crate) struct Refer {
    /// None: it waits for its turn.
    pub cseq: Option<u32>,
    /// A NOTIFY has come, so that the peer has it, answered or not.
    pub heard: bool,
    /// Whatever the peer says meanwhile, it is given up then.
    pub until: Instant,
    /// What was told last, and how often something was.
    pub told: (u16, u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_may_be_called() {
        for text in [
            "sip:agent@192.0.2.9",
            "sips:+911234567890@trunk.example:5061;transport=tls;user=phone",
            "tel:+91-22-1234;ext=5",
            "sip:a%20b@[2001:db8::1]",
            "SIP:trunk.example",
        ] {
            assert_eq!(ReferTarget::parse(text).map(|target| target.uri().to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_number_or_address_or_would_say_more_is_refused() {
        use ReferTargetError::*;
        for (text, error) in [
            ("", Malformed),
            ("agent", Malformed),
            ("https://x.example/", Malformed),
            ("sip:", Malformed),
            ("sip:a@b\r\nX-Evil: 1", Malformed),
            ("sip:a@b c", Malformed),
            ("sip:a@b>;tag=1,<sip:c@d", Malformed),
            ("sip:a%0d%0aX@b", Malformed),
            ("sip:a%zz@b", Malformed),
            ("sip:é@b", Malformed),
            ("tel:+91?x=y", Malformed),
            ("sip:a@b?Replaces=1%3Bto-tag%3D2", MoreThanWhom),
            ("sip:a@b;method=BYE", MoreThanWhom),
            ("sip:a@b;METHOD=BYE", MoreThanWhom),
        ] {
            assert_eq!(ReferTarget::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_target_holds_512_bytes() {
        let of = |len: usize| format!("sip:{}@b", "a".repeat(len - 6));
        assert!(ReferTarget::parse(&of(MAX_REFER_TARGET_BYTES)).is_ok());
        assert_eq!(ReferTarget::parse(&of(MAX_REFER_TARGET_BYTES + 1)), Err(ReferTargetError::TooLong));
    }
}
