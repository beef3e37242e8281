//! HTTP to the admin API: bounded answers, deadlines, and no token in the clear.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;
use store::Name;
use ureq::http::{HeaderValue, Method, Request, Response, header};
use ureq::{Agent, AsSendBody, Body, SendBody};

use super::ask::Ask;
use super::credentials::Access;
use super::problem::Refusal;
use super::{Failure, Outcome};
use crate::tls;

/// To the first byte of an answer, unless the host has to compile before.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Between two stages of an upload: others may be compiling before this one.
const STAGE_TIME_MAX: Duration = Duration::from_secs(600);
/// Whether the host wants the body at all; a host that does not say is sent it.
const CONTINUE_TIME_MAX: Duration = Duration::from_secs(2);
/// The longest document: routes of a tenant with all their configuration are less.
const DOCUMENT_BYTES_MAX: u64 = 512 << 20;
/// The longest line of a stream.
const LINE_BYTES_MAX: u64 = 4 << 20;

const NDJSON: &str = "application/x-ndjson";

pub struct Client {
    agent: Agent,
    access: Access,
    authorization: HeaderValue,
}

impl Client {
    /// Errors: a certificate file that cannot be read.
    pub fn new(access: Access) -> Outcome<Self> {
        let is_https = access.url.starts_with("https:");
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // A host that sends elsewhere is not followed with a token.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("patchbay/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_resolve(Some(CONNECT_TIME_MAX))
            .timeout_await_100(Some(CONTINUE_TIME_MAX));
        if is_https {
            config = config.tls_config(tls::for_ureq(access.ca.as_deref()).map_err(Failure::Usage)?);
        } else {
            // Loopback, and never by way of a proxy.
            config = config.proxy(None);
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", access.token.show()))
            .map_err(|_| Failure::Usage("the token holds characters that no token has".into()))?;
        authorization.set_sensitive(true);
        Ok(Self { agent: config.build().into(), access, authorization })
    }

    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The answer's JSON; `null` for one without.
    pub fn ask(&self, ask: &Ask) -> Outcome<Value> {
        let request = self.request(&ask.method, &ask.path);
        let json = |error: ureq::http::Error| Failure::Usage(error.to_string());
        let sent = match &ask.body {
            Some(body) => {
                let request = request.header(header::CONTENT_TYPE, "application/json");
                self.send(request.body(body.to_string()).map_err(json)?, Some(ANSWER_TIME_MAX))
            }
            None => self.send(request.body(()).map_err(json)?, Some(ANSWER_TIME_MAX)),
        };
        self.document(sent?)
    }

    /// Begins to listen to what the host has to say, for [`lines`](Self::lines).
    pub fn listen(&self, path: &str) -> Outcome<Response<Body>> {
        let request = self.request(&Method::GET, path).header(header::ACCEPT, NDJSON);
        let request = request.body(()).map_err(|error| Failure::Usage(error.to_string()))?;
        let request = self.agent.configure_request(request).timeout_recv_response(Some(ANSWER_TIME_MAX)).build();
        self.agent.run(request).map_err(|error| self.unreached(&error))
    }

    /// Sends a component of so many bytes; each stage it passes, then what came of it, is a line.
    pub fn upload(
        &self,
        path: &str,
        bytes: u64,
        component: &mut dyn Read,
        each: impl FnMut(Value) -> Outcome<bool>,
    ) -> Outcome<()> {
        let request = self
            .request(&Method::POST, path)
            .header(header::ACCEPT, NDJSON)
            .header(header::CONTENT_TYPE, "application/wasm")
            .header(header::CONTENT_LENGTH, bytes)
            // A host that refuses it by its head is not sent the rest.
            .header(header::EXPECT, "100-continue")
            .body(SendBody::from_reader(component))
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let request = self.agent.configure_request(request).timeout_per_read(Some(STAGE_TIME_MAX)).build();
        let response = self.agent.run(request).map_err(|error| self.unreached(&error))?;
        self.lines(response, each)
    }

    /// The tenant that is meant: the one given, else the token's own. None: an operator's token, which has none.
    pub fn tenant(&self, given: Option<&Name>) -> Outcome<Option<String>> {
        if let Some(name) = given {
            return Ok(Some(name.to_string()));
        }
        let who = self.ask(&Ask::whoami())?;
        Ok(who["scope"]["tenant"].as_str().map(str::to_owned))
    }

    /// As `tenant`, for what cannot be done without one.
    pub fn one_tenant(&self, given: Option<&Name>) -> Outcome<String> {
        self.tenant(given)?.ok_or_else(super::ask::which_tenant)
    }

    fn request(&self, method: &Method, path: &str) -> ureq::http::request::Builder {
        let uri = format!("{}{path}", self.access.url);
        Request::builder().method(method).uri(uri).header(header::AUTHORIZATION, &self.authorization)
    }

    fn send(&self, request: Request<impl AsSendBody>, time_max: Option<Duration>) -> Outcome<Response<Body>> {
        let request = self.agent.configure_request(request).timeout_global(time_max).build();
        self.agent.run(request).map_err(|error| self.unreached(&error))
    }

    fn unreached(&self, error: &ureq::Error) -> Failure {
        let is_tls = match error {
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
            ureq::Error::Io(error) => error.get_ref().is_some_and(|error| error.is::<rustls::Error>()),
            _ => false,
        };
        let mend = match is_tls {
            true => "is its certificate one that --ca or the system trusts?",
            false => "does it run, and is this the address of its admin API?",
        };
        Failure::Unreached(format!("{} is not reached: {error}: {mend}", self.access.url))
    }

    fn document(&self, mut response: Response<Body>) -> Outcome<Value> {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.map(str::to_owned);
        let bytes = response.body_mut().with_config().limit(DOCUMENT_BYTES_MAX).read_to_vec();
        let bytes = bytes.map_err(|error| self.unreached(&error))?;
        let document = if bytes.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&bytes).ok() };
        match document {
            Some(document) if status.is_success() => Ok(document),
            Some(document @ Value::Object(_)) => Err(Failure::Refused(Refusal { document, retry_after })),
            _ => Err(self.no_host(&format!("status {status}"))),
        }
    }

    /// A line each of what the host has to say, until `each` has enough (false) or the host ends it.
    pub fn lines(&self, response: Response<Body>, mut each: impl FnMut(Value) -> Outcome<bool>) -> Outcome<()> {
        if !response.status().is_success() {
            return self.document(response).map(|_| ());
        }
        let mut reader = BufReader::new(response.into_body().into_reader());
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let read = read.map_err(|error| Failure::Unreached(format!("{} was lost: {error}", self.access.url)))?;
            if read == 0 {
                return Ok(());
            }
            // An empty line only shows that the connection is alive.
            if line.trim_ascii().is_empty() {
                continue;
            }
            let value = serde_json::from_slice(&line).map_err(|_| self.no_host("a line that is not JSON"))?;
            if !each(value)? {
                return Ok(());
            }
        }
    }

    fn no_host(&self, what: &str) -> Failure {
        let url = &self.access.url;
        Failure::Failed(format!(
            "{url} answers, but not as the admin API of a Patchbay host does ({what}): is the URL right?"
        ))
    }
}
