//! Which engines the bots of a tenant hear, speak and converse with: the tenant's own, else those of the whole host.
//!
//! The operator's engines are reached because the operator names them: wherever they are, and without TLS if their URL says so. A
//! tenant's are reached as its bots reach anything: under the operator's egress rules. Either way the client of an engine reaches the
//! hosts of the configured engines and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outside::{Limits, OperatorRules, Outside, Pattern, Private, Secret, Tenant, TenantRules};
use serde::{Deserialize, Serialize};
use speech::{
    ByUtterance, ChatConfig, LanguageModel, OpenAiChat, OpenAiSpeech, Realtime, SpeechConfig, SpeechToText, SttConfig,
    TextToSpeech, TtsConfig, Wire,
};
use store::Problem;

/// `[speech.stt]`, `[speech.tts]` and `[chat]`. What is missing is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnginesConfig {
    pub speech: SpeechConfig,
    pub chat: Option<ChatConfig>,
}

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

/// One engine of a configuration.
struct Named<'a> {
    /// Where it stands in the file.
    place: &'static str,
    url: &'a str,
    api_key: Option<&'a str>,
    problems: Vec<(&'static str, String)>,
}

impl EnginesConfig {
    fn named(&self) -> Vec<Named<'_>> {
        let stt = |stt: &'_ SttConfig| stt.problems();
        let tts = |tts: &'_ TtsConfig| tts.problems();
        let mut named = Vec::new();
        if let Some(engine) = &self.speech.stt {
            let (url, api_key) = (&*engine.url, engine.api_key.as_deref());
            named.push(Named { place: "speech.stt", url, api_key, problems: stt(engine) });
        }
        if let Some(engine) = &self.speech.tts {
            let (url, api_key) = (&*engine.url, engine.api_key.as_deref());
            named.push(Named { place: "speech.tts", url, api_key, problems: tts(engine) });
        }
        if let Some(engine) = &self.chat {
            let (url, api_key) = (&*engine.url, engine.api_key.as_deref());
            named.push(Named { place: "chat", url, api_key, problems: engine.problems() });
        }
        named
    }

    /// Everything that is wrong with it, with paths from the top of the file. `secrets`: names that an `api_key` may have.
    pub fn problems(&self, secrets: &[&str]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for engine in self.named() {
            let path = |key: &str| format!("{}.{key}", engine.place);
            problems.extend(engine.problems.iter().map(|(key, text)| Problem::new(path(key), text.clone())));
            if !engine.problems.is_empty() {
                continue;
            }
            if let Err(text) = host_of(engine.url) {
                problems.push(Problem::new(path("url"), text));
            }
            let Some(key) = engine.api_key else { continue };
            if !secrets.contains(&key) {
                let problem = Problem::new(path("api_key"), format!("there is no secret `{key}`"));
                problems.push(match store::nearest(key, secrets.iter().copied()) {
                    Some(name) => problem.hint(format!("did you mean `{name}`?")),
                    None => problem.hint("add it to the secrets, under the name that stands here"),
                });
            } else if engine.url.starts_with("http://") {
                let problem = Problem::new(path("api_key"), "a secret goes over TLS only");
                problems.push(problem.hint("write https:// in url, or leave api_key out"));
            }
        }
        problems
    }

    /// Host and port of each.
    fn hosts(&self) -> Vec<Pattern> {
        self.named().iter().filter_map(|engine| host_of(engine.url).ok()).collect()
    }
}

/// Errors: one line.
fn host_of(url: &str) -> Result<Pattern, String> {
    let wrong = || "names no host".to_owned();
    let uri: hyper::Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    format!("{host}:{port}").parse()
}

impl Engines {
    pub fn of(config: &EnginesConfig, wire: &Arc<dyn Wire>) -> Self {
        let hears = config.speech.stt.clone().map(|stt| Hears {
            end_of_turn_ms: stt.end_of_turn_ms,
            engine: match stt.realtime {
                true => Arc::new(Realtime::new(stt, Arc::clone(wire))),
                false => Arc::new(ByUtterance::new(stt, Arc::clone(wire))),
            },
        });
        let speaks = config.speech.tts.clone().map(|tts| Arc::new(OpenAiSpeech::new(tts, Arc::clone(wire))) as _);
        let converses = config.chat.clone().map(|chat| Arc::new(OpenAiChat::new(chat, Arc::clone(wire))) as _);
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

/// What waits for an engine at most ends by the engine's own deadlines, which only count what is spent waiting for it. An answer that
/// is read as fast as a caller hears it takes as long as its sound: 600 s, and what comes before.
const ENGINE_LIMITS: Duration = Duration::from_secs(720);

fn limits() -> Limits {
    Limits { exchange: ENGINE_LIMITS, idle: ENGINE_LIMITS, response_bytes: 256 << 20, ..Limits::default() }
}

/// What the operator opens by naming engines.
pub fn operator_rules(config: &EnginesConfig) -> OperatorRules {
    let hosts = config.hosts();
    let anywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
    let private = Private { name: "engines".to_owned(), hosts: hosts.clone(), networks: anywhere, plain: true };
    OperatorRules { allow: hosts, private: vec![private] }
}

/// What the client of these engines may reach.
pub fn tenant_rules(config: &EnginesConfig, secrets: Vec<Secret>) -> TenantRules {
    TenantRules { egress: config.hosts(), secrets, limits: limits() }
}

/// A secret of the operator's, by its name: it may go to the engines that name it.
pub fn operator_secret(config: &EnginesConfig, name: &str, value: &str) -> Secret {
    let engines = config.named().into_iter().filter(|engine| engine.api_key == Some(name));
    let hosts = engines.filter_map(|engine| host_of(engine.url).ok()).collect();
    Secret { name: name.to_owned(), value: value.to_owned().into(), hosts, header: "authorization".to_owned() }
}

/// The engines of every tenant.
pub struct Directory {
    host: EnginesConfig,
    /// Name and value.
    host_secrets: Vec<(String, zeroize::Zeroizing<String>)>,
    /// The way to the operator's engines.
    outside: Outside,
    of_tenants: Mutex<HashMap<String, Entry>>,
}

/// Connections stay with it, so an entry is kept while its configuration is the same.
struct Entry {
    /// Of the host's engines, which this tenant uses by its own account.
    host: Engines,
    own: Option<(EnginesConfig, Tenant)>,
    engines: Engines,
}

impl Directory {
    /// `outside`: with [`operator_rules`] of this configuration.
    pub fn new(
        host: EnginesConfig,
        host_secrets: Vec<(String, zeroize::Zeroizing<String>)>,
        outside: Outside,
    ) -> Self {
        Self { host, host_secrets, outside, of_tenants: Mutex::default() }
    }

    fn entry_of_host(&self) -> Entry {
        let secret = |(name, value): &(String, zeroize::Zeroizing<String>)| operator_secret(&self.host, name, value);
        let rules = tenant_rules(&self.host, self.host_secrets.iter().map(secret).collect());
        let wire: Arc<dyn Wire> = Arc::new(self.outside.tenant(rules));
        let host = Engines::of(&self.host, &wire);
        Entry { engines: host.clone(), host, own: None }
    }

    /// Those that a tenant's bots have now. What is under way goes on with what it began with.
    pub fn of(&self, tenant: &str) -> Engines {
        let mut of_tenants = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        match of_tenants.get(tenant) {
            Some(entry) => entry.engines.clone(),
            None => of_tenants.entry(tenant.to_owned()).or_insert_with(|| self.entry_of_host()).engines.clone(),
        }
    }

    /// A tenant's own engines from now on, reached by `outside`, which holds the operator's egress rules.
    pub fn set(&self, tenant: &str, config: EnginesConfig, secrets: Vec<Secret>, outside: &Outside) {
        let mut of_tenants = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = of_tenants.entry(tenant.to_owned()).or_insert_with(|| self.entry_of_host());
        let rules = tenant_rules(&config, secrets);
        if let Some((known, way)) = &entry.own
            && *known == config
        {
            return way.set_rules(rules);
        }
        let way = outside.tenant(rules);
        let wire: Arc<dyn Wire> = Arc::new(way.clone());
        entry.engines = Engines::of(&config, &wire).or(entry.host.clone());
        entry.own = Some((config, way));
    }

    /// It is gone.
    pub fn forget(&self, tenant: &str) {
        self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}
