//! The two doors: `Outside`, one for the host, and `Tenant`, one for each tenant and shared by all its calls.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use crate::egress::{OperatorRules, Pattern};
use crate::error::{Code, Error};
use crate::http::{self, Pool};
use crate::limits::{Account, Limits, Usage};
use crate::resolver::Resolve;
use crate::secrets::Secret;
use crate::task::Task;
use crate::websocket;

/// Connections of all tenants together, idle ones included.
pub const CONNECTIONS_MAX: usize = 4096;

/// Cheap to clone.
#[derive(Clone)]
pub struct Outside(Arc<Shared>);

struct Shared {
    rules: RwLock<Arc<OperatorRules>>,
    resolver: Arc<dyn Resolve>,
    tls: Arc<ClientConfig>,
    connections: Arc<Semaphore>,
    runtime: Handle,
}

impl Outside {
    /// `tls`: of [`crate::tls::client_config`]. `runtime`: where all its work is done.
    pub fn new(rules: OperatorRules, resolver: Arc<dyn Resolve>, tls: Arc<ClientConfig>, runtime: Handle) -> Outside {
        let rules = RwLock::new(Arc::new(rules));
        Outside(Arc::new(Shared {
            rules,
            resolver,
            tls,
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            runtime,
        }))
    }

    /// The same resolver, certificate authorities and bound of connections under other rules, for tenants of its own.
    pub fn beside(&self, rules: OperatorRules) -> Outside {
        let Shared { resolver, tls, connections, runtime, .. } = &*self.0;
        Outside(Arc::new(Shared {
            rules: RwLock::new(Arc::new(rules)),
            resolver: resolver.clone(),
            tls: tls.clone(),
            connections: connections.clone(),
            runtime: runtime.clone(),
        }))
    }

    /// Holds for every connection and request from now on; what is under way goes on.
    pub fn set_rules(&self, rules: OperatorRules) {
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    pub fn tenant(&self, rules: TenantRules) -> Tenant {
        Tenant(Arc::new(State {
            outside: self.clone(),
            rules: RwLock::new(Arc::new(rules)),
            account: Arc::default(),
            pool: Arc::default(),
        }))
    }

    pub(crate) fn rules(&self) -> Arc<OperatorRules> {
        self.0.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn resolver(&self) -> &dyn Resolve {
        self.0.resolver.as_ref()
    }

    pub(crate) fn tls(&self) -> &Arc<ClientConfig> {
        &self.0.tls
    }

    pub(crate) fn connections(&self) -> &Arc<Semaphore> {
        &self.0.connections
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }
}

/// What a tenant may reach and use. The default reaches nothing.
#[derive(Debug, Default)]
pub struct TenantRules {
    pub egress: Vec<Pattern>,
    pub secrets: Vec<Secret>,
    pub limits: Limits,
}

/// Cheap to clone. Its clones share connections, limits and counts.
#[derive(Clone)]
pub struct Tenant(Arc<State>);

struct State {
    outside: Outside,
    rules: RwLock<Arc<TenantRules>>,
    account: Arc<Account>,
    pool: Arc<Pool>,
}

impl Tenant {
    /// Holds for every connection and request from now on; what is under way goes on.
    pub fn set_rules(&self, rules: TenantRules) {
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    pub fn usage(&self) -> Usage {
        self.0.account.counts.read()
    }

    /// Sends a request. Returns at once, from any thread; whatever becomes of it is an event.
    pub fn http(&self, request: http::Request) -> http::Response {
        let (sender, events) = mpsc::channel(http::EVENTS_WAITING);
        let limits = self.rules().limits;
        let open = match self.account().request(&limits) {
            Ok(open) => open,
            Err(error) => {
                // The channel is empty.
                let _ = sender.try_send(http::Event::Failed(self.failed(error)));
                return http::Response::new(events, None);
            }
        };
        let tenant = self.clone();
        let task = Task::start(self.0.outside.runtime(), async move {
            let within = request.timeout.map_or(limits.exchange, |asked| asked.min(limits.exchange));
            let done = timeout(within, http::exchange(&tenant, request, &sender)).await;
            drop(open);
            let done = done.unwrap_or_else(|_| {
                Err(Error::new(Code::TimedOut, format!("not done within {} ms", within.as_millis())))
            });
            let last = match done {
                Ok(()) => http::Event::Done,
                Err(error) => http::Event::Failed(tenant.failed(error)),
            };
            // Not taken: nobody waits for it any more.
            let _ = sender.send(last).await;
        });
        http::Response::new(events, Some(task))
    }

    /// Opens a WebSocket. Returns at once, from any thread; whatever becomes of it is an event.
    pub fn websocket(&self, open: websocket::Open) -> (websocket::Sender, websocket::Socket) {
        let (sender, outgoing) = websocket::queue();
        let (events, received) = mpsc::channel(websocket::EVENTS_WAITING);
        let counted = match self.account().socket(&self.rules().limits) {
            Ok(counted) => counted,
            Err(error) => {
                // The channel is empty.
                let _ = events.try_send(websocket::Event::Failed(self.failed(error)));
                return (sender, websocket::Socket::new(received, None));
            }
        };
        let tenant = self.clone();
        let task = Task::start(self.0.outside.runtime(), async move {
            let done = websocket::converse(&tenant, open, outgoing, &events).await;
            drop(counted);
            let last = match done {
                Ok(goodbye) => websocket::Event::Closed(goodbye),
                Err(error) => websocket::Event::Failed(tenant.failed(error)),
            };
            // Not taken: nobody waits for it any more.
            let _ = events.send(last).await;
        });
        (sender, websocket::Socket::new(received, Some(task)))
    }

    /// Counts it.
    fn failed(&self, error: Error) -> Error {
        self.0.account.counts.failed(&error);
        error
    }

    pub(crate) fn outside(&self) -> &Outside {
        &self.0.outside
    }

    pub(crate) fn rules(&self) -> Arc<TenantRules> {
        self.0.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.0.account
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.0.pool
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use futures_util::future::BoxFuture;
    use tokio::net::TcpListener;

    use super::*;
    use crate::egress::Private;
    use crate::error::Refusal;

    struct NoNames;

    impl Resolve for NoNames {
        fn resolve(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, String>> {
            Box::pin(std::future::ready(Err(format!("nobody knows {name}"))))
        }
    }

    fn get(url: &str) -> http::Request {
        http::Request {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            body: Default::default(),
            timeout: None,
            pieces: http::Pieces::Whole,
        }
    }

    #[tokio::test]
    async fn the_host_has_4096_connections_for_all_tenants_and_engines_together() {
        // Nobody answers: whoever is connected stays so.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let hosts: Vec<Pattern> = vec![at.parse().unwrap()];
        let networks = vec!["127.0.0.0/8".parse().unwrap()];
        let local = Private { name: "local".into(), hosts: hosts.clone(), networks, plain: true };
        let rules = OperatorRules { allow: Vec::new(), private: vec![local] };
        let tls = crate::tls::client_config(false, Vec::new()).unwrap();
        let outside = Outside::new(rules.clone(), Arc::new(NoNames), tls, Handle::current());
        let tenant =
            |outside: &Outside| outside.tenant(TenantRules { egress: hosts.clone(), ..TenantRules::default() });
        let (bots, engines) = (tenant(&outside), tenant(&outside.beside(rules)));
        let accepted = async || timeout(Duration::from_secs(20), listener.accept()).await.unwrap().unwrap();

        let _others = outside.connections().clone().try_acquire_many_owned(4095).unwrap();
        let url = format!("http://{at}/");
        let last = bots.http(get(&url));
        let _first_end = accepted().await;
        let mut refused = engines.http(get(&url));
        match timeout(Duration::from_secs(20), refused.next()).await.unwrap() {
            Some(http::Event::Failed(error)) => assert_eq!(error.refusal, Some(Refusal::Connections), "{error}"),
            other => panic!("{other:?}"),
        }
        assert!(engines.usage().refused.contains(&(Refusal::Connections, 1)));
        drop(last);
        let closed = async {
            while bots.usage().connections_open > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_secs(20), closed).await.unwrap();
        let _taken = engines.http(get(&url));
        accepted().await;
    }
}
