//! What comes in: JSON bodies, components and query strings, bounded in bytes and in time.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout_at;

use super::Api;
use super::bounds::{JSON_BYTES_MAX, Pace};
use super::refusal::{Answer, Kind, Refusal};

/// A JSON body.
pub struct Sent<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Api) -> Answer<Self> {
        let (parts, body) = request.into_parts();
        expect_length(&parts.headers, JSON_BYTES_MAX)?;
        let has_type = parts.headers.contains_key(CONTENT_TYPE);
        if has_type {
            expect_type(&parts.headers, "application/json")?;
        }
        let bytes = read(body, JSON_BYTES_MAX, api.bounds.pace).await?;
        match bytes.is_empty() {
            // All that may be left out was left out.
            true => parse(b"{}"),
            false if !has_type => Err(wrong_type("application/json")),
            false => parse(&bytes),
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<Sent<T>> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    let wrong = match read {
        Ok(value) => match reader.end() {
            Ok(()) => return Ok(Sent(value)),
            Err(error) => (String::new(), error),
        },
        Err(error) => {
            let path = error.path().to_string();
            (if path == "." { String::new() } else { path }, error.into_inner())
        }
    };
    let (place, error) = wrong;
    // Of what came from outside no more is said back than helps.
    let text: String = error.to_string().chars().take(500).collect();
    if error.is_data() {
        Err(Refusal::invalid(place, text, "GET /v1/openapi.json describes the body"))
    } else {
        Err(Refusal::new(Kind::Malformed, format!("the body is not JSON: {text}")))
    }
}

fn wrong_type(expected: &str) -> Refusal {
    Refusal::new(Kind::MediaType, format!("send the body with `Content-Type: {expected}`"))
}

/// Errors: another media type than `expected`, whose parameters do not matter.
pub fn expect_type(headers: &HeaderMap, expected: &str) -> Answer<()> {
    let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = found.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(expected) { Ok(()) } else { Err(wrong_type(expected)) }
}

/// Refuses a body that says itself that it is too long, before any of it is read.
pub fn expect_length(headers: &HeaderMap, bytes_max: usize) -> Answer<()> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) { Err(too_large(bytes_max)) } else { Ok(()) }
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(Kind::TooLarge, format!("the body is more than {bytes_max} bytes: send less"))
}

/// The whole body. Errors: it is too long, too slow, or breaks off.
pub async fn read(body: Body, bytes_max: usize, pace: Pace) -> Answer<Vec<u8>> {
    let begun = Instant::now();
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    loop {
        let deadline = begun + pace.deadline(bytes.len());
        let chunk = timeout_at(deadline.into(), stream.next()).await.map_err(|_| {
            let rate = pace.bytes_per_second;
            Refusal::new(Kind::TooSlow, format!("the body came slower than {rate} bytes a second: send it again"))
        })?;
        match chunk {
            None => return Ok(bytes),
            Some(Err(_)) => return Err(Refusal::new(Kind::Malformed, "the body broke off: send all of it")),
            Some(Ok(chunk)) if bytes.len() + chunk.len() > bytes_max => return Err(too_large(bytes_max)),
            Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
        }
    }
}

/// The query string.
pub struct Queried<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Queried<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Answer<Self> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => {
                let text: String = error.body_text().chars().take(500).collect();
                Err(Refusal::new(Kind::Malformed, format!("{text}: GET /v1/openapi.json describes the query")))
            }
        }
    }
}
