//! The trunk's Make-a-Call API: one POST, and what its answer means.
//! Source: Exotel's developer pages, "Make a call"; the voicebot guide, "Outbound Call Integration".

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::http::{HeaderValue, Response, StatusCode, header};
use ureq::{Agent, Body, Error, Timeout};

use crate::config::{Outbound, Secret};
use crate::tls;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// All of it. A call that is not confirmed by then may be made all the same.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// A name of a call, or a message, beyond this is none.
const CALL_SID_BYTES_MAX: usize = 128;
const MESSAGE_CHARS_MAX: usize = 200;
/// What a trunk that throttles and does not say how long is given.
const THROTTLED: Duration = Duration::from_secs(5);
/// What a trunk that throttles is believed.
const THROTTLED_MAX: Duration = Duration::from_secs(60);

pub struct TrunkApi {
    agent: Agent,
    url: String,
    authorization: HeaderValue,
    caller_id: String,
    flow: String,
    tenants: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum ApiAnswer {
    Accepted {
        call_sid: String,
    },
    Refused(String),
    Throttled(Duration),
    /// Nothing was asked.
    Unreached(String),
    /// It was asked, and what it did is not known.
    Unclear(String),
}

impl fmt::Display for ApiAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { .. } => f.write_str("accepted"),
            Self::Throttled(_) => f.write_str("throttled"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unreached(why) => write!(f, "not reached: {why}"),
            Self::Unclear(why) => write!(f, "unclear: {why}"),
        }
    }
}

impl TrunkApi {
    /// Errors: a secret or a certificate cannot be read.
    pub fn new(outbound: &Outbound) -> Result<Self, String> {
        let read = |secret: &Secret| secret.read().map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        let pair = format!("{}:{}", read(&outbound.key)?, read(&outbound.token)?);
        let mut authorization = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
            .map_err(|_| "key and token make no header".to_owned())?;
        authorization.set_sensitive(true);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Nobody else is shown key and token.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("patchbay/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT_TIME_MAX))
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(ANSWER_TIME_MAX))
            .tls_config(tls::for_ureq(outbound.tls_ca.as_deref())?);
        Ok(Self {
            agent: config.build().into(),
            url: format!("{}/v1/Accounts/{}/Calls/connect.json", outbound.api, outbound.account_sid),
            authorization,
            caller_id: outbound.caller_id.clone(),
            flow: outbound.flow.clone(),
            tenants: outbound.tenants.clone(),
        })
    }

    pub fn serves(&self, tenant: &str) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.iter().any(|known| known == tenant))
    }

    /// Blocking, 10 s at most. `to`: the customer, whom the trunk calls first, and therefore names `From`; `from`: our number, its `To`.
    pub fn ask(&self, to: &str, from: &str, id: &str, callback: Option<&str>) -> ApiAnswer {
        let fields =
            [("From", to), ("To", from), ("CallerId", &self.caller_id), ("Url", &self.flow), ("CustomField", id)];
        let fields = fields.into_iter().chain(callback.map(|url| ("StatusCallback", url)));
        let request = self.agent.post(&self.url).header(header::AUTHORIZATION, &self.authorization);
        match request.send_form(fields) {
            Ok(response) => read(response),
            Err(error) if was_not_asked(&error) => ApiAnswer::Unreached(error.to_string()),
            Err(error) => ApiAnswer::Unclear(format!("the trunk's API: {error}")),
        }
    }
}

/// The connection was never made.
fn was_not_asked(error: &Error) -> bool {
    match error {
        Error::HostNotFound | Error::ConnectionFailed | Error::Tls(_) | Error::Rustls(_) | Error::BadUri(_) => true,
        Error::Timeout(of) => matches!(of, Timeout::Resolve | Timeout::Connect),
        Error::Io(error) => {
            error.kind() == std::io::ErrorKind::ConnectionRefused
                || error.get_ref().is_some_and(|error| error.is::<rustls::Error>())
        }
        _ => false,
    }
}

fn read(mut response: Response<Body>) -> ApiAnswer {
    let status = response.status();
    let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let bytes = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = bytes.ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()).unwrap_or_default();
    judge(status, wait.map(Duration::from_secs), &body)
}

fn judge(status: StatusCode, wait: Option<Duration>, body: &Value) -> ApiAnswer {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return ApiAnswer::Throttled(wait.unwrap_or(THROTTLED).min(THROTTLED_MAX));
    }
    let message = body["RestException"]["Message"].as_str().unwrap_or("it does not say why");
    let message: String = message.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect();
    let call_sid = body["Call"]["Sid"].as_str().filter(|sid| !sid.is_empty() && sid.len() <= CALL_SID_BYTES_MAX);
    match call_sid {
        Some(call_sid) if status.is_success() => ApiAnswer::Accepted { call_sid: call_sid.to_owned() },
        None if status.is_success() => ApiAnswer::Unclear("the trunk's API answered, and named no call".into()),
        // It may have begun before it failed.
        _ if status.is_server_error() => ApiAnswer::Unclear(format!("the trunk's API failed with {status}: {message}")),
        _ => ApiAnswer::Refused(format!("the trunk's API answered {status}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_a_call_a_refusal_or_unclear() {
        let exception = json!({ "RestException": { "Status": 403, "Message": "no\r\nbalance" } });
        let long = "x".repeat(129);
        let (ok, seconds) = (StatusCode::OK, Duration::from_secs);
        for (status, wait, body, expected) in [
            (ok, None, json!({ "Call": { "Sid": "s-1" } }), "accepted"),
            (ok, None, json!({ "Call": { "Sid": "" } }), "unclear: the trunk's API answered, and named no call"),
            (ok, None, json!({ "Call": { "Sid": long } }), "unclear: the trunk's API answered, and named no call"),
            (ok, None, Value::Null, "unclear: the trunk's API answered, and named no call"),
            (StatusCode::FORBIDDEN, None, exception, "refused: the trunk's API answered 403 Forbidden: nobalance"),
            (StatusCode::FOUND, None, json!(7), "refused: the trunk's API answered 302 Found: it does not say why"),
            (
                StatusCode::BAD_GATEWAY,
                None,
                Value::Null,
                "unclear: the trunk's API failed with 502 Bad Gateway: it does not say why",
            ),
            (StatusCode::TOO_MANY_REQUESTS, Some(seconds(7)), Value::Null, "throttled"),
        ] {
            assert_eq!(judge(status, wait, &body).to_string(), expected);
        }
        let throttled = |wait| judge(StatusCode::TOO_MANY_REQUESTS, wait, &Value::Null);
        assert_eq!(throttled(Some(seconds(7))), ApiAnswer::Throttled(seconds(7)));
        assert_eq!(throttled(Some(seconds(1 << 40))), ApiAnswer::Throttled(seconds(60)));
        assert_eq!(throttled(None), ApiAnswer::Throttled(seconds(5)));
    }
}
