//! Names to addresses. A trait, so that tests can lie.

use std::net::IpAddr;

use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;

/// Addresses of one name that are looked at.
pub const ADDRESSES_MAX: usize = 8;

pub trait Resolve: Send + Sync {
    /// All addresses of a name, in the order in which to try them. Errors: why there are none, in words.
    fn resolve(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, String>>;
}

/// DNS, as the system or its configuration says. A name is taken as it is: no search list is tried.
pub struct Dns(pub TokioResolver);

impl Resolve for Dns {
    fn resolve(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, String>> {
        Box::pin(async move {
            let found = self.0.lookup_ip(format!("{name}.")).await.map_err(|error| error.to_string())?;
            Ok(found.iter().take(ADDRESSES_MAX).collect())
        })
    }
}
