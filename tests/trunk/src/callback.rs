//! Status callbacks: the trunk says what became of a call. Source: Exotel's developer pages, "StatusCallback".

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ClientConfig;
use serde_json::{Map, Value};

use crate::api::Asked;
use crate::http::{encoded, post};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the trunk sends unless told otherwise.
    Multipart,
    Form,
    Json,
}

/// Posts it to where the call's request said; the status of the answer. `trust`: whom to trust there, if that is over TLS.
pub fn call_back(asked: &Asked, kind: Kind, status: &str, trust: Option<&Arc<ClientConfig>>) -> Result<u16> {
    let url = asked.field("StatusCallback").context("no StatusCallback was asked for")?;
    let (address, path) = split(url)?;
    let trust = if url.starts_with("https://") { Some(trust.context("nobody to trust over TLS")?) } else { None };
    let (content_type, body) = written(asked, kind, status);
    post(address, trust, &path, &content_type, body.as_bytes())
}

/// Address and path of a URL.
pub fn split(url: &str) -> Result<(SocketAddr, String)> {
    let (_, rest) = url.split_once("://").context("not a URL")?;
    let (authority, path) = rest.split_once('/').context("a URL without a path")?;
    Ok((authority.parse()?, format!("/{path}")))
}

fn written(asked: &Asked, kind: Kind, status: &str) -> (String, String) {
    let field = |name: &str| asked.field(name).unwrap_or_default().to_owned();
    let fields = [
        ("CallSid", asked.sid.clone()),
        ("EventType", "terminal".into()),
        ("DateCreated", "2026-01-01 10:00:00".into()),
        ("DateUpdated", "2026-01-01 10:00:09".into()),
        ("Status", status.into()),
        ("To", field("To")),
        ("From", field("From")),
        ("PhoneNumberSid", field("CallerId")),
        ("Direction", "outbound-api".into()),
        ("CustomField", field("CustomField")),
    ];
    match kind {
        Kind::Form => {
            let pairs: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
            ("application/x-www-form-urlencoded".into(), pairs.join("&"))
        }
        Kind::Json => {
            let object: Map<String, Value> =
                fields.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
            ("application/json".into(), Value::Object(object).to_string())
        }
        Kind::Multipart => {
            let boundary = format!("------------------------{:016x}", rand::random::<u64>());
            let part = |(key, value): &(&str, String)| {
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n")
            };
            let parts: String = fields.iter().map(part).collect();
            (format!("multipart/form-data; boundary={boundary}"), format!("{parts}--{boundary}--\r\n"))
        }
    }
}
