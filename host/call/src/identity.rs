//! Who the caller is, as far as the trunk vouches for it. Source: RFC 3325 (P-Asserted-Identity), RFC 3323 (Privacy).

use serde::Serialize;

use crate::routing::unescape_once;

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
    /// `asserted`: one entry per header field; each may hold several values, joined by commas. Empty for a trunk that is not trusted.
    pub fn read(from: &str, asserted: &[&str], privacy: Option<&str>) -> Identity {
        let values: Vec<String> = asserted.iter().flat_map(|field| split_values(field)).collect();
        let caller = uri_of(from).map(Uri::read);
        let withheld = privacy.is_some_and(asks_for_privacy) || caller.as_ref().is_some_and(Uri::is_anonymous);
        let verdict = if withheld {
            Verdict::Anonymous
        } else if values.is_empty() {
            Verdict::Absent
        } else if values.iter().any(|value| uri_of(value).map(Uri::read).is_some_and(|uri| caller.as_ref() == Some(&uri))) {
            Verdict::Asserted
        } else {
            Verdict::Mismatch
        };
        Identity {
            from: from.to_owned(),
            asserted: values,
            privacy: privacy.map(str::to_owned),
            verdict,
            caller: if withheld { String::new() } else { caller.map(|uri| uri.user).unwrap_or_default() },
        }
    }
}

/// Source: RFC 3323 4.2; `id` is RFC 3325 9.3.
fn asks_for_privacy(value: &str) -> bool {
    value.split([';', ',']).map(str::trim).any(|word| ["id", "user", "header"].iter().any(|w| word.eq_ignore_ascii_case(w)))
}

/// A sip: or tel: URI, down to what tells one caller from another.
#[derive(Clone, Debug)]
struct Uri {
    user: String,
    /// Empty for tel:.
    host: String,
}

impl Uri {
    fn read(text: &str) -> Uri {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        if scheme.eq_ignore_ascii_case("tel") {
            let number = rest.split(';').next().unwrap_or("");
            return Uri { user: unescape_once(number.trim()), host: String::new() };
        }
        let rest = rest.split(['?', '>']).next().unwrap_or("");
        let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        // A password is no part of who somebody is; parameters of a number are not either.
        let user = user.split([';', ':']).next().unwrap_or("");
        Uri { user: unescape_once(user), host: host_only(host) }
    }

    fn is_anonymous(&self) -> bool {
        self.user.eq_ignore_ascii_case("anonymous") || self.host.eq_ignore_ascii_case("anonymous.invalid")
    }

    /// The digits of a telephone number, without `+` and visual separators; None for any other name.
    fn digits(&self) -> Option<String> {
        let number = self.user.strip_prefix('+').unwrap_or(&self.user);
        let digits: String = number.chars().filter(|c| !"-.() ".contains(*c)).collect();
        (!digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())).then_some(digits)
    }
}

/// Numbers are compared digit by digit, whatever host or scheme carries them; other names with their host.
impl PartialEq for Uri {
    fn eq(&self, other: &Uri) -> bool {
        match (self.digits(), other.digits()) {
            (Some(a), Some(b)) => a == b,
            (None, None) => !self.user.is_empty() && self.user == other.user && self.host.eq_ignore_ascii_case(&other.host),
            _ => false,
        }
    }
}

fn host_only(host: &str) -> String {
    let host = host.split(';').next().unwrap_or("");
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    host[..end].to_owned()
}

/// The URI of a name-addr or addr-spec. Source: RFC 3261 20.10, 25.1.
fn uri_of(value: &str) -> Option<&str> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => return value[at + 1..].split('>').next(),
            _ => {}
        }
    }
    // Without brackets, parameters belong to the header.
    value.split(';').next().map(str::trim).filter(|uri| uri.contains(':'))
}

/// Cuts a header field into its values at commas outside of quotes and angle brackets.
fn split_values(field: &str) -> Vec<String> {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    let mut values = vec![String::new()];
    for c in field.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if !bracketed => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            ',' if !quoted && !bracketed => {
                values.push(String::new());
                continue;
            }
            _ => {}
        }
        values.last_mut().expect("never empty").push(c);
    }
    values.into_iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "\"+918888888888\" <sip:+918888888888@exotelt.pstn.exotel.com>;tag=as2aefddf2";

    fn verdict(from: &str, asserted: &[&str], privacy: Option<&str>) -> Verdict {
        Identity::read(from, asserted, privacy).verdict
    }

    #[test]
    fn from_is_compared_with_every_asserted_value_digit_by_digit() {
        use Verdict::*;
        for (asserted, expect) in [
            (&["<sip:+918888888888@exotelt.pstn.exotel.com>"][..], Asserted),
            (&["sip:+918888888888@other.example;user=phone"], Asserted),
            (&["<tel:+91-8888-888888>"], Asserted),
            (&["tel:+918888888888;cpc=ordinary"], Asserted),
            (&["\"a, b\" <sip:alice@example.com>, <tel:+918888888888>"], Asserted),
            (&["<sip:alice@example.com>", "<tel:%2B918888888888>"], Asserted),
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
            let identity = Identity::read(from, &["<tel:+918888888888>"], privacy);
            assert_eq!(identity.verdict, Verdict::Anonymous, "{from} {privacy:?}");
            assert_eq!(identity.caller, "");
            assert_eq!(identity.asserted, ["<tel:+918888888888>"], "what the trunk said stays");
        }
        assert_eq!(verdict(FROM, &["<tel:+918888888888>"], Some("none")), Verdict::Asserted);
    }

    #[test]
    fn values_are_kept_as_they_stood() {
        let identity = Identity::read(FROM, &["\"A \\\" , <x>\" <sip:+91@h;a=b>;p=1 , <tel:+92>"], None);
        assert_eq!(identity.asserted, ["\"A \\\" , <x>\" <sip:+91@h;a=b>;p=1", "<tel:+92>"]);
        assert_eq!(identity.from, FROM);
        assert_eq!(identity.caller, "+918888888888");
    }
}
