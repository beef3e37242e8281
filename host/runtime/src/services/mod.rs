//! What bots ask for beyond telephony, handed to whoever carries it out.
//!
//! | file | what |
//! |---|---|
//! | outbound | requests and WebSockets under way: `http`, `websocket` |
//! | store | the tenant's keys and values |
//! | reach | which tenant may reach what, with which secrets |
//! | engines | which engines a tenant's bots hear, speak and converse with |
//! | metered | what those engines do, counted |
//! | speech, chat | by those engines |
//!
//! A pair of interfaces has one service, which is named in [`host_services`]; a pair without one is refused as it is asked for.

mod chat;
mod engines;
mod http;
mod metered;
mod outbound;
mod reach;
#[cfg(test)]
mod scripted;
mod speech;
mod store;
mod task;
#[cfg(test)]
mod tests;
mod websocket;

use std::sync::Arc;

use ::store::Pairs;
use plugin::{HostError, Pair, Request};
use tokio::runtime::Handle;

use self::chat::Chat;
use self::outbound::Outbound;
pub use self::reach::{Reach, check_hosts, engines_in, rules_in};
use self::speech::Speech;
use self::store::Keeper;
use crate::bots::{Caller, Services};

/// What this host offers. `store`: none on a host that keeps no tenants.
pub fn host_services(reach: &Reach, store: Option<Arc<dyn Pairs>>, runtime: &Handle) -> Table {
    let outbound: Arc<dyn Services> = Arc::new(Outbound::new(reach.clone(), runtime.clone()));
    Table(vec![
        (&[Pair::Http, Pair::WebSocket], outbound),
        (&[Pair::Store], Arc::new(Keeper::new(store, reach.clone(), runtime.clone()))),
        (&[Pair::Speech], Arc::new(Speech::new(reach.engines(), runtime.clone()))),
        (&[Pair::Chat], Arc::new(Chat::new(reach.engines(), runtime.clone()))),
    ])
}

/// Which service carries out which pairs.
pub struct Table(Vec<(&'static [Pair], Arc<dyn Services>)>);

impl Table {
    fn service(&self, request: &Request) -> Option<&dyn Services> {
        let pair = request.pair();
        self.0.iter().find(|(pairs, _)| pairs.contains(&pair)).map(|(_, service)| &**service)
    }
}

impl Services for Table {
    fn check(&self, caller: &Caller, request: &Request) -> Result<(), HostError> {
        match self.service(request) {
            Some(service) => service.check(caller, request),
            None if matches!(request, Request::Control(_)) => Ok(()),
            None => Err(HostError {
                code: "no-engine",
                message: format!("this host has no engine for {}", request.pair().name()),
            }),
        }
    }

    fn begin(&self, caller: &Caller, id: u64, request: Request) {
        if let Some(service) = self.service(&request) {
            service.begin(caller, id, request);
        }
    }

    /// Ids are of the call, whatever the pair: all but one do not know it.
    fn cancel(&self, caller: &Caller, id: u64) {
        self.0.iter().for_each(|(_, service)| service.cancel(caller, id));
    }

    fn ended(&self, caller: &Caller) {
        self.0.iter().for_each(|(_, service)| service.ended(caller));
    }
}
