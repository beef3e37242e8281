//! What a tenant keeps from its bots: `{{secret:name}}` in the value of a header is replaced where that secret may go, and is an
//! error anywhere else. Where a host repeats to its clients what they sent, a bot can read its secret: name no such hosts.

use std::fmt;

use hyper::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::egress::Pattern;
use crate::error::{Code, Error};
use crate::target::Target;

const OPENS: &str = "{{secret:";
const CLOSES: &str = "}}";

pub struct Secret {
    pub name: String,
    pub value: Zeroizing<String>,
    /// Where it may go; nowhere, if there are none.
    pub hosts: Vec<Pattern>,
    /// In which header, in any case of letters.
    pub header: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Secret { name, value: _, hosts, header } = self;
        f.debug_struct("Secret")
            .field("name", name)
            .field("hosts", hosts)
            .field("header", header)
            .finish_non_exhaustive()
    }
}

/// Whether it speaks of a secret.
pub(crate) fn mentions(bytes: &[u8]) -> bool {
    bytes.windows(OPENS.len()).any(|window| window == OPENS.as_bytes())
}

/// The value as it goes out: each `{{secret:name}}` replaced. Errors: `secret-denied`, `bad-request` if a header cannot hold it.
pub(crate) fn fill(
    secrets: &[Secret],
    header: &HeaderName,
    value: &str,
    target: &Target,
) -> Result<HeaderValue, Error> {
    let read = |text: &str| {
        let wrong = |_| Error::new(Code::BadRequest, format!("the header {header}: no value of a header"));
        HeaderValue::from_str(text).map_err(wrong)
    };
    if !value.contains(OPENS) {
        return read(value);
    }
    let mut filled = Zeroizing::new(String::new());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(OPENS) {
        let (name, after) = after.split_once(CLOSES).ok_or_else(|| denied("`{{secret:` has no end".into()))?;
        filled.push_str(before);
        filled.push_str(&find(secrets, name, header, target)?.value);
        rest = after;
    }
    filled.push_str(rest);
    let mut value = read(&filled)?;
    value.set_sensitive(true);
    Ok(value)
}

fn find<'a>(secrets: &'a [Secret], name: &str, header: &HeaderName, target: &Target) -> Result<&'a Secret, Error> {
    let secret = secrets.iter().find(|secret| secret.name == name);
    let secret = secret.ok_or_else(|| denied(format!("the tenant has no secret `{name}`")))?;
    if !secret.header.eq_ignore_ascii_case(header.as_str()) {
        return Err(denied(format!("the secret `{name}` goes into the header `{}`, not `{header}`", secret.header)));
    }
    if !secret.hosts.iter().any(|pattern| pattern.matches(&target.host, target.port)) {
        return Err(denied(format!("the secret `{name}` may not go to {target}")));
    }
    if !target.is_tls {
        return Err(denied(format!("the secret `{name}` goes over TLS only")));
    }
    Ok(secret)
}

pub(crate) fn denied(message: String) -> Error {
    Error::new(Code::SecretDenied, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Kind;

    fn secrets() -> Vec<Secret> {
        let secret = |name: &str, value: &str, host: &str, header: &str| Secret {
            name: name.into(),
            value: Zeroizing::new(value.into()),
            hosts: vec![host.parse().unwrap()],
            header: header.into(),
        };
        vec![
            secret("openai", "sk-1", "api.example:443", "Authorization"),
            secret("user", "u-2", "api.example:443", "authorization"),
            secret("broken", "a\r\nb", "api.example:443", "x-key"),
            secret("plain", "p-3", "api.example:80", "authorization"),
        ]
    }

    #[test]
    fn a_secret_is_put_only_where_it_may_go() {
        let check = |url: &str, header: &str, value: &str, expect: Result<&str, Code>| {
            let target = Target::read(url, Kind::Http).unwrap();
            let filled = fill(&secrets(), &header.parse().unwrap(), value, &target);
            if let Err(error) = &filled {
                assert!(!["sk-1", "u-2", "p-3"].iter().any(|secret| error.message.contains(secret)), "{error}");
            }
            let filled = filled.map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(filled.map_err(|error| error.code), expect.map(str::to_owned), "{url} {header}: {value}");
        };
        let there = "https://api.example/v1";
        check(there, "authorization", "Bearer {{secret:openai}}", Ok("Bearer sk-1"));
        check(there, "authorization", "{{secret:user}}:{{secret:openai}}", Ok("u-2:sk-1"));
        check(there, "x-other", "no secret {{here}}", Ok("no secret {{here}}"));
        check(there, "x-other", "{{secret:openai}}", Err(Code::SecretDenied));
        check(there, "authorization", "{{secret:unknown}}", Err(Code::SecretDenied));
        check(there, "authorization", "{{secret:openai", Err(Code::SecretDenied));
        check(there, "authorization", "{{secret:{{secret:openai}}}}", Err(Code::SecretDenied));
        check(there, "x-key", "{{secret:broken}}", Err(Code::BadRequest));
        check("https://other.example/", "authorization", "{{secret:openai}}", Err(Code::SecretDenied));
        check("https://api.example:8443/", "authorization", "{{secret:openai}}", Err(Code::SecretDenied));
        check("http://api.example/", "authorization", "{{secret:plain}}", Err(Code::SecretDenied));
        check("http://api.example:443/", "authorization", "{{secret:openai}}", Err(Code::SecretDenied));
    }

    #[test]
    fn no_secret_is_in_what_is_printed_of_it() {
        let target = Target::read("https://api.example/", Kind::Http).unwrap();
        let filled = fill(&secrets(), &"authorization".parse().unwrap(), "{{secret:openai}}", &target).unwrap();
        let printed = format!("{:?} {filled:?}", secrets());
        assert!(printed.contains("openai") && !printed.contains("sk-1") && !printed.contains("u-2"), "{printed}");
    }
}
