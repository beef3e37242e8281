//! An operator, a tenant, and a DNS that says what the test wants.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use outside::http::{Event, Pieces, Request, Response};
use outside::resolver::Resolve;
use outside::{Code, Error, Limits, OperatorRules, Outside, Pattern, Private, Secret, Tenant, TenantRules};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

/// Generous: a busy machine is no failure.
pub const WITHIN: Duration = Duration::from_secs(20);

/// What each name resolves to, lookup by lookup, the last for ever.
#[derive(Default)]
pub struct Names {
    answers: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
    pub asked: Mutex<Vec<String>>,
}

impl Names {
    pub fn say(&self, name: &str, lookups: &[&[&str]]) {
        let addresses = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        self.answers.lock().unwrap().insert(name.to_owned(), lookups.iter().map(addresses).collect());
    }
}

impl Resolve for Names {
    fn resolve(&self, name: String) -> BoxFuture<'_, Result<Vec<IpAddr>, String>> {
        let mut answers = self.answers.lock().unwrap();
        let found = answers
            .get_mut(&name)
            .and_then(|lookups| if lookups.len() > 1 { lookups.pop_front() } else { lookups.front().cloned() });
        self.asked.lock().unwrap().push(name);
        Box::pin(std::future::ready(found.ok_or_else(|| "no such name".to_owned())))
    }
}

pub struct World {
    pub outside: Outside,
    pub names: Arc<Names>,
    pub acceptor: TlsAcceptor,
}

fn patterns(texts: &[impl AsRef<str>]) -> Vec<Pattern> {
    texts.iter().map(|text| text.as_ref().parse().unwrap()).collect()
}

pub fn secret(name: &str, value: &str, host: &str) -> Secret {
    let hosts = vec![host.parse().unwrap()];
    Secret { name: name.into(), value: value.to_owned().into(), hosts, header: "authorization".into() }
}

impl World {
    /// `a.test.example` and `b.test.example` are 127.0.0.1, and have a certificate that is trusted.
    pub fn new() -> World {
        let names = Arc::new(Names::default());
        names.say("a.test.example", &[&["127.0.0.1"]]);
        names.say("b.test.example", &[&["127.0.0.1"]]);
        let (acceptor, certificate) = certified(&["a.test.example", "b.test.example"]);
        let tls = outside::tls::client_config(false, vec![certificate]).unwrap();
        let outside = Outside::new(OperatorRules::default(), names.clone(), tls, Handle::current());
        World { outside, names, acceptor }
    }

    /// These hosts and ports are open to the tenant, on 127.0.0.1 and with TLS or without.
    pub fn tenant(&self, hosts: &[impl AsRef<str>], secrets: Vec<Secret>, limits: Limits) -> Tenant {
        let networks = vec!["127.0.0.1/32".parse().unwrap()];
        let local = Private { name: "local".into(), hosts: patterns(hosts), networks, plain: true };
        self.outside.set_rules(OperatorRules { allow: Vec::new(), private: vec![local] });
        self.outside.tenant(TenantRules { egress: patterns(hosts), secrets, limits })
    }
}

/// A server's side of TLS for these names, and the certificate to trust.
pub fn certified(names: &[&str]) -> (TlsAcceptor, CertificateDer<'static>) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.der().clone())
}

pub fn get(url: &str) -> Request {
    let body = Default::default();
    Request { method: "GET".into(), url: url.into(), headers: Vec::new(), body, timeout: None, pieces: Pieces::Whole }
}

pub fn with_header(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.push((name.into(), value.into()));
    request
}

/// All events of a response.
pub async fn all(mut response: Response) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = tokio::time::timeout(WITHIN, response.next()).await.expect("an event in time") {
        events.push(event);
    }
    events
}

/// Status and whole body, or why not.
pub async fn whole(response: Response) -> Result<(u16, String), Error> {
    let mut answer = (0, String::new());
    for event in all(response).await {
        match event {
            Event::Head(head) => answer.0 = head.status,
            Event::Body(body) => answer.1 += std::str::from_utf8(&body).unwrap(),
            Event::Message(message) => panic!("nobody asked for {message:?}"),
            Event::Done => return Ok(answer),
            Event::Failed(error) => return Err(error),
        }
    }
    panic!("the response has no end");
}

pub async fn code(response: Response) -> Code {
    whole(response).await.expect_err("a failure").code
}

pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(WITHIN, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}
