//! Which engines the bots of a tenant hear, speak and converse with: the tenant's own, else those of the whole host.
//!
//! The operator's engines are reached because the operator names them: wherever they are, and without TLS if their URL says so. A
//! tenant's are reached as its bots reach anything: under the operator's egress rules. Either way the client of an engine reaches the
//! hosts of the configured engines and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outside::{Limits, OperatorRules, Outside, Private, Secret, Tenant, TenantRules};
use speech::{LanguageModel, OpenAiChat, OpenAiSpeech, OpenAiTranscription, SpeechToText, TextToSpeech, Wire};

use super::metered::Metered;
use crate::config;
use crate::observe::Metrics;

/// Of one tenant. A clone is the same.
#[derive(Clone, Default)]
pub struct Engines {
    pub hears: Option<Hears>,
    pub speaks: Option<Arc<dyn TextToSpeech>>,
    pub converses: Option<Arc<dyn LanguageModel>>,
}

#[derive(Clone)]
pub struct Hears {
    pub engine: Arc<dyn SpeechToText>,
    /// If a bot says nothing else.
    pub end_of_turn_ms: u32,
}

impl Engines {
    pub fn of(config: &config::Engines, wire: &Arc<dyn Wire>) -> Self {
        let hears = config.speech.stt.clone().map(|stt| Hears {
            end_of_turn_ms: stt.end_of_turn_ms,
            engine: Arc::new(OpenAiTranscription::new(stt, Arc::clone(wire))),
        });
        let speaks = config.speech.tts.clone().map(|tts| Arc::new(OpenAiSpeech::new(tts, Arc::clone(wire))) as _);
        let converses = config.chat.clone().map(|chat| Arc::new(OpenAiChat::new(chat, Arc::clone(wire))) as _);
        Self { hears, speaks, converses }
    }

    /// The same, counted as this tenant's.
    pub fn metered(self, metrics: &Metrics, tenant: &str) -> Self {
        let hears = self.hears.map(|Hears { engine, end_of_turn_ms }| {
            let engine = Arc::new(Metered::<dyn SpeechToText>::new(engine, "stt", metrics, tenant));
            Hears { engine, end_of_turn_ms }
        });
        let speaks = self.speaks.map(|engine| Arc::new(Metered::new(engine, "tts", metrics, tenant)) as _);
        let converses = self.converses.map(|engine| Arc::new(Metered::new(engine, "chat", metrics, tenant)) as _);
        Self { hears, speaks, converses }
    }

    /// Those of another in the places where this has none.
    fn or(self, other: Self) -> Self {
        Self {
            hears: self.hears.or(other.hears),
            speaks: self.speaks.or(other.speaks),
            converses: self.converses.or(other.converses),
        }
    }
}

/// An engine's own deadlines end what waits for it, and only count what is spent waiting. An answer that is read as fast as a caller
/// hears it takes as long as its sound: 600 s, and what comes before.
const EXCHANGE: Duration = Duration::from_secs(720);

/// Room for a few thousand calls of a tenant; what one call has under way is bounded there.
fn limits() -> Limits {
    Limits {
        requests: 2048,
        sockets: 2048,
        bytes_in_per_minute: 4 << 30,
        bytes_out_per_minute: 4 << 30,
        response_bytes: 256 << 20,
        exchange: EXCHANGE,
        idle: EXCHANGE,
        ..Limits::default()
    }
}

/// What the operator opens by naming engines: their hosts, wherever they are.
fn operator_rules(config: &config::Engines) -> OperatorRules {
    let hosts = config.hosts();
    let anywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
    let private = Private { name: "engines".to_owned(), hosts: hosts.clone(), networks: anywhere, plain: true };
    OperatorRules { allow: hosts, private: vec![private] }
}

/// Under which the client of these engines works.
fn rules(config: &config::Engines, secrets: Vec<Secret>) -> TenantRules {
    TenantRules { egress: config.hosts(), secrets, limits: limits() }
}

/// The engines of every tenant.
pub struct Directory {
    host: config::Engines,
    /// What they may be shown.
    host_secrets: Vec<Secret>,
    /// The way to the operator's engines, and to those of tenants.
    to_operators: Outside,
    to_tenants: Outside,
    metrics: Metrics,
    of_tenants: Mutex<HashMap<String, Entry>>,
}

/// A tenant's. Connections stay with it, so it is kept while its configuration is the same.
struct Entry {
    /// The host's engines, which this tenant uses by its own account.
    host: Engines,
    own: Option<(config::Engines, Tenant)>,
    engines: Engines,
}

impl Directory {
    /// `outside`: under the rules for what tenants' bots may reach.
    pub fn new(host: config::Engines, host_secrets: Vec<Secret>, outside: &Outside, metrics: &Metrics) -> Self {
        let (to_operators, to_tenants) = (outside.beside(operator_rules(&host)), outside.clone());
        let metrics = metrics.clone();
        Self { host, host_secrets, to_operators, to_tenants, metrics, of_tenants: Mutex::default() }
    }

    fn entry_of_host(&self, tenant: &str) -> Entry {
        let rules = rules(&self.host, self.host_secrets.iter().map(copy).collect());
        let wire: Arc<dyn Wire> = Arc::new(self.to_operators.tenant(rules));
        let host = Engines::of(&self.host, &wire).metered(&self.metrics, tenant);
        Entry { engines: host.clone(), host, own: None }
    }

    /// Those that a tenant's bots have now. What is under way goes on with what it began with.
    pub fn of(&self, tenant: &str) -> Engines {
        let mut of_tenants = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        match of_tenants.get(tenant) {
            Some(entry) => entry.engines.clone(),
            None => of_tenants.entry(tenant.to_owned()).or_insert_with(|| self.entry_of_host(tenant)).engines.clone(),
        }
    }

    /// A tenant's own engines from now on, and what they may be shown.
    pub fn set(&self, tenant: &str, config: config::Engines, secrets: Vec<Secret>) {
        let mut of_tenants = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = of_tenants.entry(tenant.to_owned()).or_insert_with(|| self.entry_of_host(tenant));
        if config.is_empty() {
            entry.engines = entry.host.clone();
            entry.own = None;
            return;
        }
        let rules = rules(&config, secrets);
        if let Some((known, way)) = &entry.own
            && *known == config
        {
            return way.set_rules(rules);
        }
        let way = self.to_tenants.tenant(rules);
        let wire: Arc<dyn Wire> = Arc::new(way.clone());
        entry.engines = Engines::of(&config, &wire).metered(&self.metrics, tenant).or(entry.host.clone());
        entry.own = Some((config, way));
    }

    /// It is gone.
    pub fn forget(&self, tenant: &str) {
        self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}

fn copy(Secret { name, value, hosts, header }: &Secret) -> Secret {
    Secret { name: name.clone(), value: value.clone(), hosts: hosts.clone(), header: header.clone() }
}

#[cfg(test)]
impl Directory {
    /// All tenants have these.
    pub fn of_all(engines: Engines) -> Arc<Self> {
        let runtime = tokio::runtime::Handle::current();
        let tls = outside::tls::client_config(false, Vec::new()).expect("no certificates");
        let outside = Outside::new(OperatorRules::default(), Arc::new(NoNames), tls, runtime);
        let directory = Self::new(config::Engines::default(), Vec::new(), &outside, &Metrics::default());
        let entry = Entry { engines: engines.clone(), host: engines, own: None };
        directory.of_tenants.lock().expect("no panic").insert("acme".to_owned(), entry);
        Arc::new(directory)
    }
}

#[cfg(test)]
struct NoNames;

#[cfg(test)]
impl outside::resolver::Resolve for NoNames {
    fn resolve(&self, name: String) -> futures_util::future::BoxFuture<'_, Result<Vec<std::net::IpAddr>, String>> {
        Box::pin(std::future::ready(Err(format!("nobody knows {name}"))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use futures_util::StreamExt;
    use serde_json::json;
    use speech::{Ask, Code, Fault, Message, Role};
    use tokio::time::timeout;

    use super::*;
    use crate::services::scripted::GENEROUS;

    /// An endpoint that knows no path, and says so with this status.
    fn endpoint(status: u16) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { return };
                let _ = connection.read(&mut [0; 8192]);
                let _ = write!(connection, "HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        url
    }

    fn chat(url: &str) -> config::Engines {
        serde_json::from_value(json!({ "chat": { "url": url, "model": "m" } })).unwrap()
    }

    /// `rules`: for what tenants reach.
    fn directory(host: config::Engines, rules: OperatorRules) -> Directory {
        let tls = outside::tls::client_config(false, Vec::new()).unwrap();
        let outside = Outside::new(rules, Arc::new(NoNames), tls, tokio::runtime::Handle::current());
        Directory::new(host, Vec::new(), &outside, &Metrics::default())
    }

    async fn asked(directory: &Directory, tenant: &str) -> Fault {
        let engine = directory.of(tenant).converses.expect("an engine");
        let message =
            Message { role: Role::User, content: "?".into(), tool_calls: Vec::new(), tool_call_id: String::new() };
        let mut answer = engine.ask(Ask { messages: vec![message], ..Ask::default() });
        timeout(GENEROUS, answer.next()).await.expect("in time").expect("an end").expect_err("a fault")
    }

    #[tokio::test]
    async fn the_operators_engine_is_reached_where_it_is_and_opens_nothing_to_tenants() {
        let (url, other) = (endpoint(404), endpoint(404));
        let directory = directory(chat(&url), OperatorRules::default());
        assert_eq!(asked(&directory, "acme").await.code, Code::Engine, "it answers");
        for url in [url, other] {
            directory.set("acme", chat(&url), Vec::new());
            let fault = asked(&directory, "acme").await;
            assert!(fault.code == Code::Unreachable && fault.private.contains("egress-denied"), "{fault}");
        }
        assert_eq!(asked(&directory, "bravo").await.code, Code::Engine, "another tenant has the host's");
    }

    #[tokio::test]
    async fn a_tenants_own_engine_goes_before_the_hosts_until_it_is_taken_away() {
        let (hosts, own) = (endpoint(404), endpoint(503));
        let directory = directory(chat(&hosts), operator_rules(&chat(&own)));
        for (engines, status) in [(chat(&own), "503"), (config::Engines::default(), "404"), (chat(&own), "503")] {
            directory.set("acme", engines, Vec::new());
            let fault = asked(&directory, "acme").await;
            assert!(fault.message.contains(status), "{status}: {fault}");
        }
        directory.forget("acme");
        assert!(asked(&directory, "acme").await.message.contains("404"));
    }

    #[tokio::test]
    async fn an_engine_that_is_named_again_keeps_its_connections() {
        let directory = directory(config::Engines::default(), OperatorRules::default());
        let config = chat("https://api.example.com/v1");
        directory.set("acme", config.clone(), Vec::new());
        let first = directory.of("acme").converses.unwrap();
        directory.set("acme", config, Vec::new());
        assert!(Arc::ptr_eq(&first, &directory.of("acme").converses.unwrap()));
        directory.set("acme", chat("https://other.example.com/v1"), Vec::new());
        assert!(!Arc::ptr_eq(&first, &directory.of("acme").converses.unwrap()));
    }
}
