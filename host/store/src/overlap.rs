//! Whether two routes of one trunk could take the same call. Errs on one side only: false means that they cannot.

use crate::model::Called;

/// What a route may share with other tenants' routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Everything but the very same trunk and text: the precedence of routes decides. For who answers for all tenants.
    Allowed,
    /// Nothing, and it may not take everything either. For a tenant that binds its own numbers.
    Refused,
}

impl Called {
    /// No letter or digit narrows it down: `""`, `+`, `sip:*@*`.
    pub(crate) fn takes_everything(&self) -> bool {
        match self {
            Called::Exact(_) => false,
            Called::Prefix(text) => !text.contains(|c: char| c.is_ascii_alphanumeric()),
            Called::Uri(pattern) => !without_scheme(pattern).contains(|c: char| c.is_ascii_alphanumeric()),
        }
    }

    /// Cost: the length of the texts.
    pub(crate) fn may_overlap(&self, other: &Called) -> bool {
        match (self, other) {
            // sip:, sips: and tel: may name the same callee.
            (Called::Uri(one), Called::Uri(two)) => Ends::of(&whole(one)).meet(&Ends::of(&whole(two))),
            _ => Ends::of(&self.users()).meet(&Ends::of(&other.users())),
        }
    }

    /// The user parts that it takes, as a pattern, spelt as a number is that was dialled: without visual separators or parameters.
    fn users(&self) -> String {
        let pattern = match self {
            Called::Exact(text) => text.clone(),
            Called::Prefix(text) => format!("{text}*"),
            Called::Uri(pattern) => {
                let whole = whole(pattern);
                match (whole.rsplit_once('@'), whole.split_once('*')) {
                    (Some((user, _)), _) => user.split([';', ':']).next().unwrap_or("").to_owned(),
                    // The `*` may stand for the `@` too.
                    (None, Some((head, _))) => format!("{head}*"),
                    (None, None) => whole,
                }
            }
        };
        pattern.chars().filter(|c| !"-.()".contains(*c)).map(|c| c.to_ascii_lowercase()).collect()
    }
}

/// A URI pattern without its scheme; what holds escapes could be spelt otherwise, so it stands for anything.
fn whole(pattern: &str) -> String {
    if pattern.contains('%') { "*".to_owned() } else { without_scheme(pattern).to_ascii_lowercase() }
}

fn without_scheme(pattern: &str) -> &str {
    pattern.split_once(':').map_or(pattern, |(_, rest)| rest)
}

/// What a pattern says for certain: how its texts begin and end.
struct Ends<'a> {
    head: &'a str,
    tail: &'a str,
    has_star: bool,
}

impl<'a> Ends<'a> {
    fn of(pattern: &'a str) -> Self {
        let head = pattern.split('*').next().unwrap_or(pattern);
        let tail = pattern.rsplit('*').next().unwrap_or(pattern);
        Self { head, tail, has_star: pattern.contains('*') }
    }

    fn meet(&self, other: &Ends<'_>) -> bool {
        if !self.has_star && !other.has_star {
            return self.head == other.head;
        }
        let heads_meet = self.head.starts_with(other.head) || other.head.starts_with(self.head);
        heads_meet && (self.tail.ends_with(other.tail) || other.tail.ends_with(self.tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(text: &str) -> Called {
        match (text.split_once(':'), text.strip_suffix("..")) {
            (Some(_), _) => Called::Uri(text.to_owned()),
            (None, Some(prefix)) => Called::Prefix(prefix.to_owned()),
            (None, None) => Called::Exact(text.to_owned()),
        }
    }

    #[test]
    fn routes_overlap_unless_it_can_be_ruled_out() {
        for (one, two, expect) in [
            ("+9122", "+9122", true),
            ("+9122", "+9123", false),
            ("+91-22", "+9122", true),
            ("Desk", "desk", true),
            ("+9122", "+91..", true),
            ("+9122..", "+91..", true),
            ("+9122..", "+9123..", false),
            ("+9122", "..", true),
            ("sip:*@acme.example.com", "+9122", true),
            ("sip:desk@acme.example.com", "+9122", false),
            ("sip:desk@acme.example.com", "desk", true),
            ("sip:de-sk;a=b@acme.example.com", "desk", true),
            ("sip:%64esk@acme.example.com", "desk", true),
            ("sip:*.example.com", "+9122", true),
            ("sip:+91*", "+9122..", true),
            ("sip:+91*", "+92..", false),
            ("sip:*@acme.example.com", "sip:*@rival.example.com", false),
            ("sip:*@acme.example.com", "sip:*@ACME.example.com", true),
            ("sips:*@acme.example.com", "sip:desk@acme.example.com", true),
            ("sip:*@acme.example.com", "sip:*@*.example.com", true),
            ("sip:a*@acme.example.com", "sip:b*@acme.example.com", false),
            ("tel:+9122", "tel:+9122", true),
            ("tel:+9122", "tel:+9123", false),
            ("tel:*", "+9122", true),
        ] {
            assert_eq!(called(one).may_overlap(&called(two)), expect, "{one} and {two}");
            assert_eq!(called(two).may_overlap(&called(one)), expect, "{two} and {one}");
        }
    }

    #[test]
    fn what_names_no_letter_and_no_digit_takes_everything() {
        for text in ["..", "+..", "sip:*", "sip:*@*", "sips:**@*.*", "tel:*", "sip:+*@*"] {
            assert!(called(text).takes_everything(), "{text}");
        }
        for text in ["+9..", "0", "sip:*@acme.example.com", "tel:+91*", "sip:desk@*"] {
            assert!(!called(text).takes_everything(), "{text}");
        }
    }
}
