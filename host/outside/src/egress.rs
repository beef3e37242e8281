//! Where bots may connect to: nowhere, unless both the operator's list and the tenant's name host and port, and the address
//! that is dialled is one of the public Internet, or of a range that the operator opened by name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::address::{Class, class};
use crate::error::{Error, Refusal};
use crate::target::{Host, Kind, Target};

/// One line of a list: `api.example.com:443`, `*.example.com:443` (all names below it, at any depth, and not itself), `192.0.2.1:443`,
/// `[2001:db8::1]:443`, or `*:443` (all names, and no bare addresses). The port is always named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    hosts: Hosts,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    One(Host),
    /// `.example.com`
    Below(String),
    AnyName,
}

impl Pattern {
    pub fn matches(&self, host: &Host, port: u16) -> bool {
        let matches = match (&self.hosts, host) {
            (Hosts::One(one), host) => one == host,
            (Hosts::Below(suffix), Host::Name(name)) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
            (Hosts::AnyName, Host::Name(_)) => true,
            (_, Host::Address(_)) => false,
        };
        matches && self.port == port
    }

    /// Host and port of one URL. Errors: it names none.
    pub fn of_url(url: &str) -> Result<Pattern, Error> {
        let Target { host, port, .. } = Target::read(url, Kind::Http)?;
        Ok(Pattern { hosts: Hosts::One(host), port })
    }

    /// Whether it matches the one host that another names.
    pub fn covers(&self, other: &Pattern) -> bool {
        match &other.hosts {
            Hosts::One(host) => self.matches(host, other.port),
            Hosts::Below(_) | Hosts::AnyName => self == other,
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        let wrong = |why: &str| format!("`{text}`: {why}");
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("name the port: `api.example.com:443`"))?;
        let port = port.parse().ok().filter(|port| *port > 0);
        let port = port.ok_or_else(|| wrong("name the port: `api.example.com:443`"))?;
        let read = |host: &str| Host::read(host).ok_or_else(|| wrong("not a host"));
        let hosts = match host.strip_prefix('*') {
            Some("") => Hosts::AnyName,
            Some(below) => match below.strip_prefix('.').map(read).transpose()? {
                Some(Host::Name(name)) if name.contains('.') && !name.contains('*') => Hosts::Below(format!(".{name}")),
                _ => return Err(wrong("`*.` stands before a name of two labels or more: `*.example.com:443`")),
            },
            None => match read(host)? {
                Host::Name(name) if name.contains('*') => return Err(wrong("`*` stands only at the beginning")),
                Host::Address(IpAddr::V4(address)) if address.to_string() != host => {
                    return Err(wrong(&format!("write `{address}:{port}`")));
                }
                one => Hosts::One(one),
            },
        };
        Ok(Pattern { hosts, port })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::One(host) => write!(f, "{host}:{}", self.port),
            Hosts::Below(suffix) => write!(f, "*{suffix}:{}", self.port),
            Hosts::AnyName => write!(f, "*:{}", self.port),
        }
    }
}

/// Addresses other than those of the public Internet that these hosts may have. What it names needs not stand in the operator's
/// own list again, but in the tenant's.
#[derive(Clone, Debug)]
pub struct Private {
    /// What messages call it.
    pub name: String,
    pub hosts: Vec<Pattern>,
    pub networks: Vec<IpNet>,
    /// `http://` and `ws://` are allowed, to these addresses. Secrets never go there.
    pub plain: bool,
}

impl Private {
    fn names(&self, target: &Target) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(&target.host, target.port)) && (target.is_tls || self.plain)
    }
}

/// What the operator allows to all tenants.
#[derive(Clone, Debug, Default)]
pub struct OperatorRules {
    pub allow: Vec<Pattern>,
    pub private: Vec<Private>,
}

impl OperatorRules {
    /// Before the name is looked up. Errors: `egress-denied`, which names the list that does not hold the target.
    pub fn admit(&self, tenant: &[Pattern], target: &Target) -> Result<(), Error> {
        let is_in = |list: &[Pattern]| list.iter().any(|pattern| pattern.matches(&target.host, target.port));
        if !is_in(tenant) {
            return Err(Error::refused(
                Refusal::TenantsList,
                format!("the tenant's egress list does not allow {target}"),
            ));
        }
        if self.private.iter().any(|range| range.names(target)) {
            return Ok(());
        }
        if !is_in(&self.allow) && !self.private.iter().any(|range| is_in(&range.hosts)) {
            return Err(Error::refused(
                Refusal::OperatorsList,
                format!("the operator's egress list does not allow {target}"),
            ));
        }
        if !target.is_tls {
            return Err(Error::refused(
                Refusal::WithoutTls,
                format!("without TLS: no egress.private of the operator with `plain` names {target}"),
            ));
        }
        Ok(())
    }

    /// The address that is dialled, each time it is. Errors: `egress-denied`, which names the kind of address and not the address:
    /// what the operator's own names resolve to is not a bot's to know.
    pub fn admit_address(&self, target: &Target, address: IpAddr) -> Result<(), Error> {
        let class = class(address);
        if class == Class::Metadata {
            return Err(Error::refused(
                Refusal::Metadata,
                format!("{target} has {class} address, which no rule can open"),
            ));
        }
        // A host that only a range names has only the addresses of that range.
        let is_listed = self.allow.iter().any(|pattern| pattern.matches(&target.host, target.port));
        if class == Class::Global && target.is_tls && is_listed {
            return Ok(());
        }
        let mut ranges = self.private.iter().filter(|range| range.names(target));
        if ranges.any(|range| range.networks.iter().any(|network| network.contains(&address))) {
            return Ok(());
        }
        let what = if target.is_tls { "" } else { " with `plain`" };
        Err(Error::refused(
            Refusal::Address,
            format!("{target} has {class} address, and no egress.private of the operator{what} opens it"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn target(url: &str) -> Target {
        Target::read(url, Kind::Http).unwrap()
    }

    #[test]
    fn the_host_of_a_url_is_covered_by_the_lines_that_match_it() {
        let check = |line: &str, url: &str, expect: bool| {
            let line: Pattern = line.parse().unwrap();
            assert_eq!(line.covers(&Pattern::of_url(url).unwrap()), expect, "{line} {url}");
        };
        check("api.example.com:443", "https://api.example.com/v1", true);
        check("*.example.com:443", "https://api.example.com/v1", true);
        check("api.example.com:443", "http://api.example.com/v1", false);
        check("[::1]:8000", "http://[::1]:8000/v1", true);
        check("127.0.0.1:8000", "http://127.0.0.1:8001/v1", false);
        assert!(Pattern::of_url("https://").is_err() && Pattern::of_url("ftp://a.example/").is_err());
    }

    #[test]
    fn a_line_of_a_list_matches_what_it_says_and_no_more() {
        let check = |line: &str, url: &str, expect: bool| {
            let pattern: Pattern = line.parse().unwrap();
            let target = target(url);
            assert_eq!(pattern.matches(&target.host, target.port), expect, "{line} {url}");
        };
        check("api.example.com:443", "https://api.example.com/", true);
        check("API.Example.COM.:443", "https://api.example.com./", true);
        check("api.example.com:443", "https://api.example.com:8443/", false);
        check("api.example.com:443", "https://xapi.example.com/", false);
        check("api.example.com:443", "https://api.example.com.evil.example/", false);
        check("*.example.com:443", "https://a.example.com/", true);
        check("*.example.com:443", "https://a.b.example.com/", true);
        check("*.example.com:443", "https://example.com/", false);
        check("*.example.com:443", "https://aexample.com/", false);
        check("*:443", "https://anything.example/", true);
        check("*:443", "https://8.8.8.8/", false);
        check("*:443", "https://anything.example:444/", false);
        check("8.8.8.8:443", "https://8.8.8.8/", true);
        check("8.8.8.8:443", "https://8.8.8.9/", false);
        check("[2606:4700:0::1]:443", "https://[2606:4700::1]/", true);
        check("bücher.example:443", "https://xn--bcher-kva.example/", true);
    }

    #[test]
    fn what_is_no_line_of_a_list_is_refused_and_a_line_prints_as_it_is_read() {
        let wrong = [
            "",
            "*",
            "api.example.com",
            "api.example.com:",
            "a.example:0",
            "a.example:65536",
            "*.com:443",
            "*.8.8.8.8:443",
            "*a.example.com:443",
            "a.*.example.com:443",
            "*.*.example.com:443",
            "0x7f.1:443",
            "2130706433:443",
            "a b:443",
            "https://a.example:443",
            "::1:443",
            ".:443",
            "*.:443",
        ];
        for line in wrong {
            assert!(line.parse::<Pattern>().is_err(), "{line}");
        }
        for line in ["a.example:443", "*.a.example:8443", "*:443", "8.8.8.8:80", "[::1]:9000"] {
            assert_eq!(line.parse::<Pattern>().unwrap().to_string(), line);
        }
    }

    #[test]
    fn both_lists_must_allow_a_target_and_a_refusal_names_the_one_that_does_not() {
        let operator =
            OperatorRules { allow: list(&["a.example:443", "b.example:443", "a.example:80"]), private: Vec::new() };
        let tenant = list(&["a.example:443", "c.example:443", "a.example:80"]);
        let check = |url: &str, expect: Option<&str>| {
            let answer = operator.admit(&tenant, &target(url));
            match expect {
                None => assert_eq!(answer, Ok(()), "{url}"),
                Some(names) => assert!(answer.clone().unwrap_err().message.contains(names), "{url}: {answer:?}"),
            }
        };
        check("https://a.example/", None);
        check("https://b.example/", Some("the tenant's egress list"));
        check("https://c.example/", Some("the operator's egress list"));
        check("https://a.example:444/", Some("the tenant's egress list"));
        check("http://a.example/", Some("without TLS"));
    }

    #[test]
    fn an_address_is_dialled_if_it_is_global_or_its_range_was_opened_for_that_host() {
        let range = |hosts: &[&str], networks: &[&str], plain| Private {
            name: "engines".into(),
            hosts: list(hosts),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
            plain,
        };
        let operator = OperatorRules {
            allow: list(&["a.example:443"]),
            private: vec![
                range(&["127.0.0.1:9000", "engine.example:9000"], &["127.0.0.0/8"], true),
                range(&["inside.example:443"], &["10.0.0.0/8", "fd00::/8", "169.254.0.0/16"], false),
            ],
        };
        let check = |url: &str, address: &str, expect: bool| {
            let target = target(url);
            let tenant = [format!("{target}").parse().unwrap()];
            let admitted = operator.admit(&tenant, &target);
            let answer = admitted.and_then(|()| operator.admit_address(&target, address.parse().unwrap()));
            assert_eq!(answer.is_ok(), expect, "{url} {address}: {answer:?}");
        };
        check("https://a.example/", "8.8.8.8", true);
        check("https://a.example/", "2606:4700::1", true);
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:53aa:64c::",
            "2001:db8::1",
        ] {
            check("https://a.example/", address, false);
        }
        check("http://127.0.0.1:9000/", "127.0.0.1", true);
        check("https://127.0.0.1:9000/", "127.0.0.1", true);
        check("http://engine.example:9000/", "127.8.8.8", true);
        check("http://engine.example:9000/", "10.0.0.1", false);
        check("http://engine.example:9000/", "8.8.8.8", false);
        check("http://engine.example:9000/", "::ffff:127.0.0.1", false);
        check("http://127.0.0.1:9001/", "127.0.0.1", false);
        check("https://inside.example/", "10.1.2.3", true);
        check("https://inside.example/", "fd00::1", true);
        check("https://inside.example/", "192.168.1.1", false);
        check("https://inside.example/", "8.8.8.8", false);
        check("https://inside.example/", "169.254.1.1", true);
        check("https://inside.example/", "169.254.169.254", false);
        check("https://inside.example/", "fd00:ec2::254", false);
        check("http://inside.example:443/", "10.1.2.3", false);
    }
}
