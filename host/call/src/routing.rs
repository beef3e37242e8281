//! From trunk and called number to tenant and bot.
//!
//! Only the user part of the request-URI counts: what a trusted trunk writes into the host part is its own business, and no reason to refuse.

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

/// Which called user parts a route takes, its `+` and case kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    Exact(String),
    /// The longest matching one wins; the empty one takes every call.
    Prefix(String),
}

/// What the caller hears instead of a bot that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Whatever the edge knows the sound by.
    pub prompt: String,
}

/// All routes, ready for look-up. Cost: one hash for exact numbers, then one comparison per prefix.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    /// By trunk, empty for any, and number.
    exact: HashMap<(String, String), Arc<Route>>,
    /// Longest first, and those of a named trunk before those of any.
    prefixes: Vec<Arc<Route>>,
}

impl Routing {
    /// Of two routes for the same trunk and number the first counts.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut routing = Routing::default();
        for route in routes {
            let route = Arc::new(route);
            match &route.called {
                Called::Exact(number) => {
                    let key = (route.trunk.clone().unwrap_or_default(), number.clone());
                    routing.exact.entry(key).or_insert(route);
                }
                Called::Prefix(_) => routing.prefixes.push(route),
            }
        }
        // Stable: of equals the first stays first.
        routing.prefixes.sort_by_key(|route| std::cmp::Reverse((prefix(route).len(), route.trunk.is_some())));
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

    /// `called` is the user part as [`called_number`] gives it. The trunk's own route goes before that for any trunk, an exact one before a prefix.
    pub fn find(&self, trunk: &str, called: &str) -> Option<&Arc<Route>> {
        let exact = |trunk: &str| self.exact.get(&(trunk.to_owned(), called.to_owned()));
        let fits = |route: &&Arc<Route>| {
            called.starts_with(prefix(route)) && route.trunk.as_deref().is_none_or(|name| name == trunk)
        };
        exact(trunk).or_else(|| exact("")).or_else(|| self.prefixes.iter().find(fits))
    }
}

fn prefix(route: &Route) -> &str {
    match &route.called {
        Called::Prefix(prefix) | Called::Exact(prefix) => prefix,
    }
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
        routing.find(trunk, called).map(|route| route.name.clone())
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
