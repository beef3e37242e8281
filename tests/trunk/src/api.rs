//! The trunk's Make-a-Call API: POST /v1/Accounts/<AccountSid>/Calls/connect.json, HTTP Basic, a form, and JSON of Exotel's shape.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::connection::{Stream, accepted};
use crate::http::{self, Request};

/// Calls a minute. Source: the guide's "Throttle".
pub const THROTTLE: usize = 200;
const MINUTE: Duration = Duration::from_secs(60);

/// Who may ask.
#[derive(Clone, Debug)]
pub struct Account {
    pub sid: String,
    pub key: String,
    pub token: String,
}

/// What the next request is answered.
#[derive(Clone, Debug)]
pub enum Conduct {
    /// As the API does: a call, or what is wrong.
    Answer,
    /// A call, once [`Asked::release`] is called.
    Hold,
    /// A status line from the number on, and the message of its exception.
    Refuse(&'static str, &'static str),
    /// Whatever these bytes are, as the body of a 200.
    Rubbish(Vec<u8>),
    /// The connection closes without an answer.
    HangUp,
}

/// A call that was asked for.
#[derive(Debug)]
pub struct Asked {
    /// The trunk's name of the call.
    pub sid: String,
    pub fields: Vec<(String, String)>,
    release: Option<Sender<()>>,
}

impl Asked {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Lets the API answer.
    pub fn release(&mut self) {
        self.release = None;
    }

    /// It has not been answered yet.
    pub fn is_held(&self) -> bool {
        self.release.is_some()
    }
}

pub struct Api {
    /// Without a path.
    pub url: String,
    pub address: SocketAddr,
    asked: Receiver<Asked>,
    conducts: Arc<Mutex<VecDeque<Conduct>>>,
}

struct Shared {
    account: Account,
    calls_per_minute: usize,
    tls: Option<Arc<ServerConfig>>,
    /// When each call of the last minute was taken.
    taken: Mutex<VecDeque<Instant>>,
    conducts: Arc<Mutex<VecDeque<Conduct>>>,
    asked: Sender<Asked>,
}

impl Api {
    /// Serves in threads of its own, as long as the process lives; over TLS, if there is what to show.
    pub fn start(
        listen: SocketAddr,
        account: Account,
        calls_per_minute: usize,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Api> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let url = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
        let conducts = Arc::<Mutex<VecDeque<Conduct>>>::default();
        let (sender, asked) = channel();
        let shared = Arc::new(Shared {
            account,
            calls_per_minute,
            tls,
            taken: Mutex::default(),
            conducts: Arc::clone(&conducts),
            asked: sender,
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that breaks off gets no answer, that is all.
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Api { url, address, asked, conducts })
    }

    /// What the next requests are answered, in their order; after them all get `Answer`.
    pub fn next(&self, conduct: Conduct) {
        lock(&self.conducts).push_back(conduct);
    }

    /// The next call that was asked for and taken.
    pub fn asked(&self, limit: Duration) -> Result<Asked> {
        self.asked.recv_timeout(limit).context("nobody asks the trunk for a call")
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(http::PATIENCE))?;
        let mut stream = accepted(stream, self.tls.as_ref())?;
        let stream = &mut *stream;
        let request = Request::read(stream)?;
        let conduct = lock(&self.conducts).pop_front().unwrap_or(Conduct::Answer);
        match conduct {
            Conduct::Answer | Conduct::Hold => match self.judge(&request) {
                Ok(fields) => self.take(stream, fields, matches!(conduct, Conduct::Hold)),
                Err((status, message)) => refuse(stream, status, message),
            },
            Conduct::Refuse(status, message) => refuse(stream, status, message),
            Conduct::Rubbish(bytes) => http::answer(stream, "200 OK", "", &bytes),
            Conduct::HangUp => Ok(()),
        }
    }

    /// Errors: status and message of the exception.
    fn judge(&self, request: &Request) -> Result<Vec<(String, String)>, (&'static str, &'static str)> {
        let Account { sid, key, token } = &self.account;
        let authorized = format!("Basic {}", STANDARD.encode(format!("{key}:{token}")));
        if request.header("authorization") != Some(&authorized) {
            return Err(("401 Unauthorized", "Authentication failed"));
        }
        if request.operation != format!("POST /v1/Accounts/{sid}/Calls/connect.json") {
            return Err(("404 Not Found", "The requested resource was not found"));
        }
        let fields = request.fields();
        let has = |name: &str| fields.iter().any(|(known, value)| known == name && !value.is_empty());
        if !["From", "CallerId", "Url"].iter().all(|name| has(name)) {
            return Err(("400 Bad Request", "Mandatory Parameter missing"));
        }
        let mut taken = lock(&self.taken);
        taken.retain(|at| at.elapsed() < MINUTE);
        if taken.len() >= self.calls_per_minute {
            return Err(("429 Too Many Requests", "Too many requests"));
        }
        taken.push_back(Instant::now());
        Ok(fields)
    }

    fn take(&self, stream: &mut dyn Stream, fields: Vec<(String, String)>, hold: bool) -> Result<()> {
        let sid = format!("{:032x}", rand::random::<u128>());
        let answer = document(&self.account.sid, &sid, &fields);
        let (release, released) = channel();
        let told = Asked { sid, fields, release: hold.then_some(release) };
        if hold {
            self.asked.send(told)?;
            // Ends when it is released, or whoever holds it is gone.
            let _ = released.recv();
            return http::answer(stream, "200 OK", "", answer.to_string().as_bytes());
        }
        http::answer(stream, "200 OK", "", answer.to_string().as_bytes())?;
        Ok(self.asked.send(told)?)
    }
}

fn refuse(stream: &mut dyn Stream, status: &str, message: &str) -> Result<()> {
    let number: u16 = status.split(' ').next().unwrap_or_default().parse()?;
    let body = json!({ "RestException": { "Status": number, "Message": message } });
    let headers = if number == 429 { "Retry-After: 7\r\n" } else { "" };
    http::answer(stream, status, headers, body.to_string().as_bytes())
}

/// Source: Exotel's developer pages, "Make a call", its response.
fn document(account: &str, sid: &str, fields: &[(String, String)]) -> Value {
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    json!({ "Call": {
        "Sid": sid,
        "ParentCallSid": null,
        "DateCreated": "2026-01-01 10:00:00",
        "DateUpdated": "2026-01-01 10:00:00",
        "AccountSid": account,
        "To": field("To"),
        "From": field("From"),
        "PhoneNumberSid": field("CallerId"),
        "Status": "in-progress",
        "StartTime": "2026-01-01 10:00:00",
        "EndTime": null,
        "Duration": null,
        "Price": null,
        "Direction": "outbound-api",
        "AnsweredBy": null,
        "ForwardedFrom": null,
        "CallerName": null,
        "Uri": format!("/v1/Accounts/{account}/Calls/{sid}.json"),
        "RecordingUrl": null
    } })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_minute_holds_so_many_calls_and_who_may_not_ask_takes_none() -> Result<()> {
    let account = Account { sid: "acme1".into(), key: "k".into(), token: "t".into() };
    use anyhow::ensure;
    let api = Api::start("127.0.0.1:0".parse()?, account, 2, None)?;
    let ask = |authorization: &str, path: &str, body: &str| -> Result<String> {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(api.address)?;
        let length = body.len();
        let text = format!(
            "POST {path} HTTP/1.1\r\nAuthorization: Basic {}\r\nContent-Length: {length}\r\n\r\n{body}",
            STANDARD.encode(authorization)
        );
        stream.write_all(text.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let (path, body) = ("/v1/Accounts/acme1/Calls/connect.json", "From=%2B91&CallerId=1&Url=http%3A%2F%2Fx");
    ensure!(ask("k:x", path, body)?.starts_with("HTTP/1.1 401"));
    ensure!(ask("k:t", "/v1/Accounts/other/Calls/connect.json", body)?.starts_with("HTTP/1.1 404"));
    ensure!(ask("k:t", path, "From=1")?.contains("Mandatory Parameter missing"));
    for _ in 0..2 {
        ensure!(ask("k:t", path, body)?.contains("\"Status\":\"in-progress\""));
        assert_eq!(api.asked(Duration::from_secs(20))?.field("From"), Some("+91"));
    }
    ensure!(ask("k:t", path, body)?.starts_with("HTTP/1.1 429"));
    Ok(())
}
