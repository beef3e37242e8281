//! Who the caller is, as far as the trunk vouches for it. Source: RFC 3325 (P-Asserted-Identity), RFC 3323 (Privacy).

use serde::Serialize;

use crate::routing::called_number;

/// What P-Asserted-Identity says of From.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// An asserted identity is the one in From, digit by digit.
    Asserted,
    /// There are asserted identities, and From is none of them.
    Mismatch,
    /// The trunk asserts nothing, or is not trusted to.
    Absent,
    /// The caller withheld its identity: Privacy asks for that, or From is anonymous. Source: RFC 3323 4.1.1.3, 4.2.
    Anonymous,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Asserted => "asserted",
            Verdict::Mismatch => "mismatch",
            Verdict::Absent => "absent",
            Verdict::Anonymous => "anonymous",
        }
    }
}

/// The caller of one INVITE. Header values are kept as they stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub from: String,
    pub asserted: Vec<String>,
    pub privacy: Option<String>,
    pub verdict: Verdict,
    /// User part of From, escapes undone; empty if withheld.
    pub caller: String,
}

impl Identity {
    /// `asserted`: every value of P-Asserted-Identity; none for a trunk that is not trusted.
    pub fn read<'a>(from: &[u8], asserted: impl IntoIterator<Item = &'a [u8]>, privacy: Option<&[u8]>) -> Identity {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let asserted: Vec<&[u8]> = asserted.into_iter().filter(|value| !value.is_empty()).collect();
        let privacy = privacy.map(text);
        let caller = Who::read(from);
        let withheld =
            privacy.as_deref().is_some_and(asks_for_privacy) || caller.as_ref().is_some_and(Who::is_anonymous);
        let vouched = |value: &&[u8]| Who::read(value).is_some_and(|who| caller.as_ref() == Some(&who));
        let verdict = match () {
            _ if withheld => Verdict::Anonymous,
            _ if asserted.is_empty() => Verdict::Absent,
            _ if asserted.iter().any(vouched) => Verdict::Asserted,
            _ => Verdict::Mismatch,
        };
        Identity {
            from: text(from),
            asserted: asserted.into_iter().map(text).collect(),
            privacy,
            verdict,
            caller: if withheld { String::new() } else { caller.map(|who| who.user).unwrap_or_default() },
        }
    }
}

/// Source: RFC 3323 4.2; `id` is RFC 3325 9.3.
fn asks_for_privacy(value: &str) -> bool {
    value
        .split([';', ','])
        .map(str::trim)
        .any(|word| ["id", "user", "header"].iter().any(|w| word.eq_ignore_ascii_case(w)))
}

/// A URI, down to what tells one caller from another.
#[derive(Clone, Debug)]
struct Who {
    user: String,
    /// Empty for tel:.
    host: String,
}

impl Who {
    /// None for what cannot be read: it is nobody's identity.
    fn read(value: &[u8]) -> Option<Who> {
        let name_addr = sip::NameAddr::parse(value).ok()?;
        let uri = name_addr.uri();
        Some(Who { user: called_number(&uri.number().unwrap_or_default()), host: uri.host().unwrap_or("").to_owned() })
    }

    fn is_anonymous(&self) -> bool {
        self.user.eq_ignore_ascii_case("anonymous") || self.host.eq_ignore_ascii_case("anonymous.invalid")
    }

    /// The digits of a telephone number, without `+`; None for any other name.
    fn digits(&self) -> Option<&str> {
        let digits = self.user.strip_prefix('+').unwrap_or(&self.user);
        (!digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())).then_some(digits)
    }
}

/// Numbers are compared digit by digit, whatever host or scheme carries them; other names with their host.
impl PartialEq for Who {
    fn eq(&self, other: &Who) -> bool {
        match (self.digits(), other.digits()) {
            (Some(a), Some(b)) => a == b,
            (None, None) => {
                !self.user.is_empty() && self.user == other.user && self.host.eq_ignore_ascii_case(&other.host)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "\"+918888888888\" <sip:+918888888888@exotelt.pstn.exotel.com>;tag=as2aefddf2";

    fn read(from: &str, asserted: &[&str], privacy: Option<&str>) -> Identity {
        Identity::read(from.as_bytes(), asserted.iter().map(|value| value.as_bytes()), privacy.map(str::as_bytes))
    }

    fn verdict(from: &str, asserted: &[&str], privacy: Option<&str>) -> Verdict {
        read(from, asserted, privacy).verdict
    }

    #[test]
    fn from_is_compared_with_every_asserted_value_digit_by_digit() {
        use Verdict::*;
        for (asserted, expect) in [
            (&["<sip:+918888888888@exotelt.pstn.exotel.com>"][..], Asserted),
            (&["sip:+918888888888@other.example;user=phone"], Asserted),
            (&["<tel:+91-8888-888888>"], Asserted),
            (&["tel:+918888888888;cpc=ordinary"], Asserted),
            (&["\"a, b\" <sip:alice@example.com>", "<tel:+918888888888>"], Asserted),
            (&["<sip:alice@example.com>", "<sip:%2B918888888888@x>"], Asserted),
            (&["<sip:918888888888@x>"], Asserted),
            (&["<tel:+918888888889>"], Mismatch),
            (&["<tel:08888888888>"], Mismatch),
            (&["<tel:+91888888888>"], Mismatch),
            (&["<sip:alice@example.com>"], Mismatch),
            (&["nonsense"], Mismatch),
            (&[""], Absent),
            (&[], Absent),
        ] {
            assert_eq!(verdict(FROM, asserted, None), expect, "{asserted:?}");
        }
    }

    #[test]
    fn names_are_compared_with_their_host() {
        let from = "<sip:alice@example.com:5060;transport=tcp>;tag=1";
        assert_eq!(verdict(from, &["<sip:alice@EXAMPLE.com>"], None), Verdict::Asserted);
        assert_eq!(verdict(from, &["<sip:alice@example.org>"], None), Verdict::Mismatch);
        assert_eq!(verdict("<sip:example.com>", &["<sip:example.com>"], None), Verdict::Mismatch);
    }

    #[test]
    fn a_withheld_caller_is_anonymous_and_has_no_number() {
        for (from, privacy) in [
            ("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1", None),
            ("<sip:+91@anonymous.invalid>;tag=1", None),
            (FROM, Some("id")),
            (FROM, Some("header; user;critical")),
        ] {
            let identity = read(from, &["<tel:+918888888888>"], privacy);
            assert_eq!(identity.verdict, Verdict::Anonymous, "{from} {privacy:?}");
            assert_eq!(identity.caller, "");
            assert_eq!(identity.asserted, ["<tel:+918888888888>"], "what the trunk said stays");
        }
        assert_eq!(verdict(FROM, &["<tel:+918888888888>"], Some("none")), Verdict::Asserted);
    }

    #[test]
    fn values_are_kept_as_they_stood() {
        let asserted = "\"A \\\" , <x>\" <sip:+91@h;a=b>;p=1";
        let identity = read(FROM, &[asserted, "<tel:+92>"], None);
        assert_eq!(identity.asserted, [asserted, "<tel:+92>"]);
        assert_eq!(identity.from, FROM);
        assert_eq!(identity.caller, "+918888888888");
    }
}
