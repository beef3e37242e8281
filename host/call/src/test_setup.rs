//! What the tests of this crate are set up with.

use media::{Codec, SrtpPolicy};
use serde_json::Map;

use crate::{Called, Route, Trunk};

pub(crate) fn trunk(name: &str) -> Trunk {
    Trunk {
        name: name.into(),
        trusted: true,
        require_pai: false,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        srtp: SrtpPolicy::Prefer,
        media_networks: vec!["192.0.2.0/24".parse().expect("a network")],
        sdp_address_allowed: true,
        max_calls: None,
    }
}

pub(crate) fn route(name: &str, tenant: &str) -> Route {
    Route {
        name: name.into(),
        trunk: None,
        called: Called::Exact(name.into()),
        tenant: tenant.into(),
        plugin: name.into(),
        bot: name.into(),
        config: Map::new(),
        fallback: None,
        ring: false,
        max_calls: None,
    }
}
