//! Keys in the session description (RFC 4568), and the policy that says when they are wanted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::{SrtpKey, SrtpPolicy, SrtpSuite};

/// Source: RFC 4568 6.2.
const SUITES: [(&str, SrtpSuite); 2] = [
    ("AES_CM_128_HMAC_SHA1_80", SrtpSuite::AesCm128HmacSha1_80),
    ("AES_CM_128_HMAC_SHA1_32", SrtpSuite::AesCm128HmacSha1_32),
];

/// RFC 4568 9.1: one to nine digits.
const TAG_MAX: u32 = 999_999_999;

/// What a peer offers for one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// RTP/SAVP with a crypto line that we can use.
    SavpUsable,
    /// RTP/AVP with a crypto line that we can use.
    AvpUsable,
    /// RTP/AVP without one. A line that we cannot use counts as none.
    Avp,
    /// RTP/SAVP without one.
    SavpUnusable,
}

/// What we make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    Srtp,
    Plain,
    /// 488, or port 0 if another m-line will do.
    Refused,
}

/// Columns: require, prefer, off. There is no way from SAVP to plain RTP.
pub const POLICY: [(Offered, [Protection; 3]); 4] = {
    use Protection::*;
    [
        (Offered::SavpUsable, [Srtp, Srtp, Refused]),
        (Offered::AvpUsable, [Srtp, Srtp, Plain]),
        (Offered::Avp, [Refused, Plain, Plain]),
        (Offered::SavpUnusable, [Refused, Refused, Refused]),
    ]
};

pub fn protection(secure_profile: bool, usable_crypto: bool, policy: SrtpPolicy) -> Protection {
    let row = match (secure_profile, usable_crypto) {
        (true, true) => 0,
        (false, true) => 1,
        (false, false) => 2,
        (true, false) => 3,
    };
    let column = match policy {
        SrtpPolicy::Require => 0,
        SrtpPolicy::Prefer => 1,
        SrtpPolicy::Off => 2,
    };
    POLICY[row].1[column]
}

/// A crypto line that we can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoLine {
    pub tag: u32,
    pub suite: SrtpSuite,
    pub key: SrtpKey,
}

impl CryptoLine {
    /// Reads what follows `a=crypto:`. None for a line that we must or may skip: another suite, a key of the wrong length,
    /// several keys or an MKI (we send and expect none in packets), a lifetime that is none, a session parameter that
    /// changes what packets look like.
    /// Source: RFC 4568 9.1; 6.3 for the session parameters.
    pub fn read(value: &str) -> Option<CryptoLine> {
        let mut tokens = value.split_ascii_whitespace();
        let tag = tokens.next().filter(|tag| tag.bytes().all(|b| b.is_ascii_digit()))?;
        let tag = tag.parse().ok().filter(|tag| *tag <= TAG_MAX)?;
        let name = tokens.next()?;
        let suite = SUITES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?.1;
        let key = read_key(tokens.next()?)?;
        tokens.all(may_be_ignored).then_some(CryptoLine { tag, suite, key })
    }

    /// The line without line end, with the key in it: for the wire only.
    pub(super) fn write(&self) -> String {
        let suite = match self.suite {
            SrtpSuite::AesCm128HmacSha1_80 => SUITES[0].0,
            SrtpSuite::AesCm128HmacSha1_32 => SUITES[1].0,
        };
        format!("a=crypto:{} {suite} inline:{}", self.tag, STANDARD_NO_PAD.encode(self.key.0))
    }
}

fn read_key(parameter: &str) -> Option<SrtpKey> {
    let (method, info) = parameter.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") {
        return None;
    }
    // A second key (`;inline:`) falls through too: a semicolon is in no alphabet here.
    let (key, rest) = info.split_once('|').map_or((info, None), |(key, rest)| (key, Some(rest)));
    if rest.is_some_and(|lifetime| !is_lifetime(lifetime)) {
        return None;
    }
    // 30 bytes are 40 characters and need no padding; some add it all the same.
    let bytes = STANDARD_NO_PAD.decode(key.trim_end_matches('=')).ok()?;
    bytes.try_into().ok().map(SrtpKey)
}

/// `2^31` or a number of packets, up to SRTP's own 2^48. It is not counted: a call ends long before the 2^20 that some phones
/// give (six hours of 20 ms packets), and the peer re-keys by re-INVITE if it cares.
fn is_lifetime(text: &str) -> bool {
    match text.strip_prefix("2^") {
        Some(power) => power.parse::<u8>().is_ok_and(|p| p <= 48),
        None => text.parse::<u64>().is_ok_and(|n| n > 0 && n <= 1 << 48),
    }
}

/// A window size hint may be ignored (RFC 4568 6.3.7), so may an extension with a leading dash (6.3.8). Nothing else.
fn may_be_ignored(session_parameter: &str) -> bool {
    session_parameter.starts_with('-') || session_parameter.to_ascii_uppercase().starts_with("WSH=")
}
