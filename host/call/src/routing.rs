//! From trunk and called number to tenant and bot.
//!
//! The user part of the request-URI is what most routes go by: what a trusted trunk writes into the host part is its own business, and
//! no reason to refuse. A route by URI pattern asks for more.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Trunk + called number -> tenant + plugin, and what else the call needs to know of its bot.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// For the log and the summary.
    pub name: String,
    /// None: calls of every trunk.
    pub trunk: Option<String>,
    pub called: Called,
    pub tenant: String,
    /// What people are shown.
    pub plugin: String,
    /// Whatever the edge knows its builds by.
    pub bot: String,
    /// Reaches the bot whole in `start`, and value by value in `config.get`.
    pub config: Map<String, Value>,
    pub fallback: Option<Fallback>,
    /// 180 while the bot's `start` runs.
    pub ring: bool,
    pub max_calls: Option<u32>,
}

/// Which calls a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// The whole user part, its `+` and case kept.
    Exact(String),
    /// Its beginning: the longest that fits wins; the empty one takes every call that nothing else takes.
    Prefix(String),
    /// The request-URI as [`called_uri`] gives it, `*` for any run of characters: `sip:*@acme.example.com`. The longest that fits wins.
    /// Without a port it takes every port.
    Uri(String),
}

/// What the caller hears instead of a bot that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Whatever the edge knows the sound by.
    pub prompt: String,
}

/// All routes, ready for look-up. Cost: one hash for exact numbers, then one comparison per prefix, then one pass of the URI per pattern.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    /// By trunk, empty for any, and number.
    exact: HashMap<(String, String), Arc<Route>>,
    /// Those that are not empty, the longest first; of equals, those of a named trunk before those of any. So are the other two.
    prefixes: Vec<Arc<Route>>,
    uris: Vec<Arc<Route>>,
    /// By the empty prefix.
    all: Vec<Arc<Route>>,
}

impl Routing {
    /// Of two routes for the same trunk and number the first counts.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut routing = Routing::default();
        for mut route in routes {
            if let Called::Uri(pattern) = &mut route.called {
                lower_scheme_and_host(pattern);
            }
            let route = Arc::new(route);
            match &route.called {
                Called::Exact(number) => {
                    let key = (route.trunk.clone().unwrap_or_default(), number.clone());
                    routing.exact.entry(key).or_insert(route);
                }
                Called::Prefix(prefix) if prefix.is_empty() => routing.all.push(route),
                Called::Prefix(_) => routing.prefixes.push(route),
                Called::Uri(_) => routing.uris.push(route),
            }
        }
        for routes in [&mut routing.prefixes, &mut routing.uris, &mut routing.all] {
            // Stable: of equals the first stays first.
            routes.sort_by_key(|route| std::cmp::Reverse((route.called.text().len(), route.trunk.is_some())));
        }
        routing
    }

    /// Every bot under its own name: `sip:echo@...` reaches `echo`. A bot whose build is broken is named too, so that it is
    /// refused as not loadable (480) and not as unknown (404).
    pub fn folder<'a>(bots: impl IntoIterator<Item = &'a str>, tenant: &str, fallback: Option<Fallback>) -> Self {
        Self::new(bots.into_iter().map(|bot| Route {
            name: bot.to_owned(),
            trunk: None,
            called: Called::Exact(bot.to_owned()),
            tenant: tenant.to_owned(),
            plugin: bot.to_owned(),
            bot: bot.to_owned(),
            config: Map::new(),
            fallback: fallback.clone(),
            ring: false,
            max_calls: None,
        }))
    }

    /// `called` is the user part as [`called_number`] gives it, `uri` the request-URI as [`called_uri`] does; empty where there is only a number.
    /// An exact number goes first, the trunk's own before that of any trunk; then the longest prefix, the longest URI pattern, and the empty prefix.
    pub fn find(&self, trunk: &str, called: &str, uri: &str) -> Option<&Arc<Route>> {
        let exact = |trunk: &str| self.exact.get(&(trunk.to_owned(), called.to_owned()));
        let without_port = without_port(uri);
        let fits = |route: &&Arc<Route>| {
            let takes = match &route.called {
                Called::Exact(number) => called == number,
                Called::Prefix(prefix) => called.starts_with(prefix),
                Called::Uri(pattern) => matches(pattern, uri) || matches(pattern, without_port),
            };
            takes && route.trunk.as_deref().is_none_or(|name| name == trunk)
        };
        let mut others = self.prefixes.iter().chain(&self.uris).chain(&self.all);
        exact(trunk).or_else(|| exact("")).or_else(|| others.find(fits))
    }
}

impl Called {
    fn text(&self) -> &str {
        match self {
            Called::Exact(text) | Called::Prefix(text) | Called::Uri(text) => text,
        }
    }
}

/// Whether `text` is the pattern, each `*` standing for any run of characters, the empty one included.
/// Cost: one pass of the text, however many `*` there are: of each piece the first place that fits will do.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

/// `sip:a@b:5060` -> `sip:a@b`. The number of `tel:5060` is none.
fn without_port(uri: &str) -> &str {
    match uri.rsplit_once(':') {
        Some((rest, port)) if rest.contains(':') && port.bytes().all(|c| c.is_ascii_digit()) => rest,
        _ => uri,
    }
}

/// Scheme and host are the same in any case, the user part is not. Source: RFC 3261 19.1.4.
fn lower_scheme_and_host(uri: &mut str) {
    let scheme = uri.find(':').unwrap_or(0);
    uri[..scheme].make_ascii_lowercase();
    if let Some(at) = uri.rfind('@') {
        uri[at..].make_ascii_lowercase();
    }
}

/// A request-URI as routes see it: without parameters, headers and password, scheme and host in lower case, the user part as
/// [`called_number`] gives it: `sip:+912261234567@acme.example.com:5070`, `tel:+912261234567`.
pub fn called_uri(uri: &sip::Uri) -> String {
    let number = uri.number().map(|user| called_number(&user));
    let mut text = format!("{}:", uri.scheme_name());
    match (number, uri.host()) {
        (Some(user), Some(host)) => text.extend([user.as_str(), "@", &host_as_written(host)]),
        (Some(number), None) => text += &number,
        (None, Some(host)) => text += &host_as_written(host).to_ascii_lowercase(),
        (None, None) => text = uri.as_str().to_owned(),
    }
    if let Some(port) = uri.port() {
        text += &format!(":{port}");
    }
    lower_scheme_and_host(&mut text);
    text
}

/// An IPv6 address in its brackets.
fn host_as_written(host: &str) -> Cow<'_, str> {
    if host.contains(':') { format!("[{host}]").into() } else { host.into() }
}

/// The number of a URI, its user part's escapes already undone (once, by [`sip::Uri::number`]): parameters
/// (`;phone-context=...`, `;npdi`) cut off, visual separators taken out of numbers, the `+` kept.
/// Source: RFC 3261 19.1.6; RFC 3966 3 and 5.1.1 (separators mean nothing).
pub fn called_number(user: &str) -> String {
    const SEPARATORS: &str = "-.()";
    let user = user.split(';').next().unwrap_or("");
    let is_number = user.chars().any(|c| c.is_ascii_digit())
        && user.strip_prefix('+').unwrap_or(user).chars().all(|c| c.is_ascii_digit() || SEPARATORS.contains(c));
    if is_number { user.chars().filter(|c| !SEPARATORS.contains(*c)).collect() } else { user.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, trunk: Option<&str>, called: Called) -> Route {
        Route {
            name: name.into(),
            trunk: trunk.map(Into::into),
            called,
            tenant: "t".into(),
            plugin: "p".into(),
            bot: "p".into(),
            config: Map::new(),
            fallback: None,
            ring: false,
            max_calls: None,
        }
    }

    fn found(routing: &Routing, trunk: &str, called: &str) -> Option<String> {
        routing.find(trunk, called, "").map(|route| route.name.clone())
    }

    fn found_by_uri(routing: &Routing, trunk: &str, uri: &str) -> Option<String> {
        let uri = sip::Uri::parse(uri.as_bytes()).unwrap();
        let called = called_number(&uri.number().unwrap_or_default());
        routing.find(trunk, &called, &called_uri(&uri)).map(|route| route.name.clone())
    }

    #[test]
    fn the_most_specific_route_wins() {
        let exact = |n: &str| Called::Exact(n.into());
        let prefix = |n: &str| Called::Prefix(n.into());
        let routing = Routing::new([
            route("all", None, prefix("")),
            route("india", None, prefix("+91")),
            route("mumbai", None, prefix("+9122")),
            route("mumbai of exotel", Some("exotel"), prefix("+9122")),
            route("desk", None, exact("+912261234567")),
            route("desk of exotel", Some("exotel"), exact("+912261234567")),
            route("shadowed", None, exact("+912261234567")),
        ]);
        for (trunk, called, expect) in [
            ("exotel", "+912261234567", "desk of exotel"),
            ("other", "+912261234567", "desk"),
            ("exotel", "+912200000000", "mumbai of exotel"),
            ("other", "+912200000000", "mumbai"),
            ("other", "+918000000000", "india"),
            ("other", "912261234567", "all"),
            ("other", "", "all"),
        ] {
            assert_eq!(found(&routing, trunk, called).as_deref(), Some(expect), "{trunk} {called}");
        }
    }

    #[test]
    fn a_folder_routes_by_the_name_of_the_bot_and_nothing_else() {
        let routing = Routing::folder(["echo", "dtmf-menu"], "local", None);
        assert_eq!(found(&routing, "any", "echo").as_deref(), Some("echo"));
        assert_eq!(found(&routing, "any", "ech"), None);
        assert_eq!(found(&routing, "any", "ECHO"), None);
    }

    #[test]
    fn a_uri_pattern_goes_after_numbers_and_before_the_route_for_all() {
        let uri = |pattern: &str| Called::Uri(pattern.into());
        let routing = Routing::new([
            route("all", None, Called::Prefix(String::new())),
            route("desk", None, Called::Exact("desk".into())),
            route("india", None, Called::Prefix("+91".into())),
            route("acme", None, uri("sip:*@acme.example.com")),
            route("sales of acme", None, uri("sip:sales*@acme.example.com")),
            route("sales of acme by b", Some("b"), uri("SIP:sales*@ACME.example.com")),
            route("one port", None, uri("sip:*@ports.example.com:5070")),
            route("any tel", None, uri("tel:*")),
            route("six", None, uri("sip:*@[2001:db8::1]")),
        ]);
        for (trunk, uri, expect) in [
            ("a", "sip:desk@acme.example.com", "desk"),
            ("a", "sip:+9122@acme.example.com", "india"),
            ("a", "sip:bob@acme.example.com", "acme"),
            ("a", "SIP:bob:secret@Acme.Example.COM:5070;transport=tcp?subject=x", "acme"),
            ("a", "sip:sales-1@acme.example.com", "sales of acme"),
            ("b", "sip:sales-1@acme.example.com", "sales of acme by b"),
            ("a", "sip:SALES@acme.example.com", "acme"),
            ("a", "sips:bob@acme.example.com", "all"),
            ("a", "sip:bob@acme.example.com.evil.example", "all"),
            ("a", "sip:bob@ports.example.com:5070", "one port"),
            ("a", "sip:bob@ports.example.com", "all"),
            ("a", "tel:+49-30-1234;phone-context=x", "any tel"),
            ("a", "sip:bob@[2001:DB8::1]:5060", "six"),
            ("a", "sip:acme.example.com", "all"),
        ] {
            assert_eq!(found_by_uri(&routing, trunk, uri).as_deref(), Some(expect), "{trunk} {uri}");
        }
        assert_eq!(found(&routing, "a", "bob").as_deref(), Some("all"), "a number alone is no URI");
    }

    #[test]
    fn a_request_uri_is_read_by_routes_in_one_spelling() {
        for (uri, expect) in [
            ("sip:%2B91-22@Host.Example:5060;user=phone", "sip:+9122@host.example:5060"),
            ("sip:+9122;npdi@host", "sip:+9122@host"),
            ("SIPS:Bob@[::1]", "sips:Bob@[::1]"),
            ("sip:HOST:5060", "sip:host:5060"),
            ("tel:5060", "tel:5060"),
        ] {
            assert_eq!(called_uri(&sip::Uri::parse(uri.as_bytes()).unwrap()), expect, "{uri}");
        }
        for (uri, expect) in
            [("sip:a@h:5060", "sip:a@h"), ("tel:5060", "tel:5060"), ("sip:a@[::1]", "sip:a@[::1]"), ("", "")]
        {
            assert_eq!(without_port(uri), expect, "{uri}");
        }
    }

    /// By the definition, in as many steps as it takes.
    fn matches_naively(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| matches_naively(rest, &text[skip..])),
            Some((c, rest)) => {
                text.split_first().is_some_and(|(first, text)| first == c && matches_naively(rest, text))
            }
        }
    }

    #[test]
    fn a_pattern_takes_what_its_definition_says() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        let mut word = |letters: &[u8], length_max: usize| -> String {
            let length = rng.random_range(0..=length_max);
            (0..length).map(|_| char::from(letters[rng.random_range(0..letters.len())])).collect()
        };
        let mut taken = 0;
        for _ in 0..200_000 {
            let (pattern, text) = (word(b"ab*", 7), word(b"ab", 9));
            let expected = matches_naively(pattern.as_bytes(), text.as_bytes());
            assert_eq!(matches(&pattern, &text), expected, "{pattern} {text}");
            taken += usize::from(expected);
        }
        assert!((10_000..190_000).contains(&taken), "both answers are tried: {taken}");
    }

    #[test]
    fn the_called_number_keeps_its_plus_and_loses_parameters_and_separators() {
        for (user, expect) in [
            ("+911234567890", "+911234567890"),
            ("+91-22-6123.4567", "+912261234567"),
            ("+9122;phone-context=example.com", "+9122"),
            ("dtmf-menu", "dtmf-menu"),
            ("(022) 61", "(022) 61"),
            ("022-61", "02261"),
            ("a-1", "a-1"),
            ("-", "-"),
            ("", ""),
        ] {
            assert_eq!(called_number(user), expect, "{user}");
        }
    }
}
