//! The answer to one request, with its deadlines and its bound.

use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use crate::fault::one_line;
use crate::{Code, Fault, Piece, Pieces, Request, Wire};

/// How long an engine may take. Only what is spent waiting for it counts: who reads slowly, because the caller hears slowly, does
/// not use the engine's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Without progress: until the first of it, and from one to the next.
    pub quiet: Duration,
    pub total: Duration,
}

/// Of an answer that says why not.
const REFUSAL_BYTES_MAX: usize = 8 * 1024;

pub(crate) struct Answer {
    pieces: Pieces,
    limits: Limits,
    waited: Duration,
    quiet: Duration,
    bytes_left: usize,
    place: String,
}

impl Answer {
    /// Sends it and reads the status. Errors: any status but 2xx is `engine`, with what the engine says of it.
    pub async fn to(wire: &dyn Wire, request: Request, limits: Limits) -> Result<Answer, Fault> {
        let place = place(&request.url);
        let bytes_left = request.bytes_max;
        let pieces = wire.post(request);
        let mut answer = Answer { pieces, limits, waited: Duration::ZERO, quiet: Duration::ZERO, bytes_left, place };
        let status = match answer.piece().await? {
            Some(Piece::Head(status)) => status,
            _ => return Err(answer.fault(Code::Protocol, "an answer without a status")),
        };
        if (200..300).contains(&status) { Ok(answer) } else { Err(answer.refusal(status).await) }
    }

    /// The next piece of the body, never empty; None at its end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            match self.piece().await? {
                Some(Piece::Body(bytes)) if bytes.is_empty() => {}
                Some(Piece::Body(bytes)) => {
                    let Some(left) = self.bytes_left.checked_sub(bytes.len()) else {
                        return Err(self.fault(Code::TooLong, "the answer does not end"));
                    };
                    self.bytes_left = left;
                    return Ok(Some(bytes));
                }
                Some(Piece::Head(_)) => return Err(self.fault(Code::Protocol, "a second status")),
                None => return Ok(None),
            }
        }
    }

    pub async fn whole(&mut self) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while let Some(bytes) = self.next().await? {
            body.extend(bytes);
        }
        Ok(body)
    }

    /// Something useful came: the engine is not quiet.
    pub fn has_progressed(&mut self) {
        self.quiet = Duration::ZERO;
    }

    /// A fault in what the engine sent.
    pub fn fault(&self, code: Code, what: impl Into<String>) -> Fault {
        self.at(Fault::new(code, what))
    }

    /// With the place that the request went to.
    pub fn at(&self, fault: Fault) -> Fault {
        fault.privately(&self.place)
    }

    async fn piece(&mut self) -> Result<Option<Piece>, Fault> {
        let quiet_left = self.limits.quiet.saturating_sub(self.quiet);
        let total_left = self.limits.total.saturating_sub(self.waited);
        let began = Instant::now();
        let came = timeout(quiet_left.min(total_left), self.pieces.next()).await;
        let waited = began.elapsed();
        self.waited += waited;
        self.quiet += waited;
        came.map_err(|_| self.too_late(total_left < quiet_left))?.transpose().map_err(|fault| self.at(fault))
    }

    fn too_late(&self, is_total: bool) -> Fault {
        let (limit, what) = match is_total {
            true => (self.limits.total, "not done"),
            false => (self.limits.quiet, "nothing came"),
        };
        self.fault(Code::TimedOut, format!("{what} within {} ms", limit.as_millis()))
    }

    /// What it says of 401 and 403 is not passed on: it speaks of the key.
    async fn refusal(&mut self, status: u16) -> Fault {
        self.bytes_left = REFUSAL_BYTES_MAX;
        let (told, said) = match status {
            401 | 403 => (": it does not take the key", None),
            _ => ("", self.whole().await.ok().and_then(|body| reason(&body))),
        };
        let fault = Fault::new(Code::Engine, format!("status {status}{told}"));
        self.at(fault.privately(&said.unwrap_or_default()))
    }
}

/// Where a request went, without what a query may hold.
pub(crate) fn place(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

#[derive(Deserialize)]
struct Refusal {
    error: Said,
}

/// `{"message": ...}` as OpenAI writes it, or a bare text as others do.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Said {
    Object {
        #[serde(default)]
        message: String,
    },
    Text(String),
}

impl Said {
    pub fn line(&self) -> String {
        match self {
            Said::Object { message } | Said::Text(message) => one_line(message),
        }
    }
}

fn reason(body: &[u8]) -> Option<String> {
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    Some(refusal.error.line()).filter(|line| !line.is_empty())
}
