//! Every answer that is not what was asked for: RFC 9457 problem details that say what to do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// What an operation answers.
pub type Answer<T> = Result<T, Refusal>;

/// RFC 9457 problem details.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProblemDetails {
    /// Names the kind of problem, `/problems/stale`; stays the same from version to version.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: &'static str,
    pub status: u16,
    /// What is wrong here, and what to do.
    pub detail: String,
    /// Of a failure of the host: the id to look for in its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The mistakes in what was sent, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Mistake>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Mistake {
    /// `called.prefix`; empty for the body as a whole.
    pub place: String,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What kind of refusal. One row of `Kind::row` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Malformed,
    Unauthenticated,
    Scope,
    NotFound,
    Method,
    TooSlow,
    Exists,
    Taken,
    InUse,
    KeptElsewhere,
    NothingBefore,
    NothingToShareWith,
    TooMany,
    Stale,
    TooLarge,
    MediaType,
    Invalid,
    Component,
    Rate,
    Crowded,
    Internal,
    Busy,
    StorageQuota,
    DiskFull,
    Trunk,
    TrunkUnclear,
}

impl Kind {
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Kind::Malformed => (S::BAD_REQUEST, "/problems/malformed", "The request cannot be read"),
            Kind::Unauthenticated => (S::UNAUTHORIZED, "/problems/unauthenticated", "No valid token"),
            Kind::Scope => (S::FORBIDDEN, "/problems/scope", "The token's scope is too small"),
            Kind::NotFound => (S::NOT_FOUND, "/problems/not-found", "There is no such thing"),
            Kind::Method => (S::METHOD_NOT_ALLOWED, "/problems/method", "Not with this method"),
            Kind::TooSlow => (S::REQUEST_TIMEOUT, "/problems/too-slow", "The body came too slowly"),
            Kind::Exists => (S::CONFLICT, "/problems/exists", "The name is taken"),
            Kind::Taken => (S::CONFLICT, "/problems/called-taken", "The calls are taken"),
            Kind::InUse => (S::CONFLICT, "/problems/in-use", "It is in use"),
            Kind::KeptElsewhere => (S::CONFLICT, "/problems/kept-elsewhere", "The tenant has another source"),
            Kind::NothingBefore => (S::CONFLICT, "/problems/nothing-before", "There is nothing to roll back to"),
            Kind::NothingToShareWith => (S::CONFLICT, "/problems/nothing-to-share-with", "A canary needs a neighbour"),
            Kind::TooMany => (S::CONFLICT, "/problems/too-many", "There are as many as there can be"),
            Kind::Stale => (S::PRECONDITION_FAILED, "/problems/stale", "Somebody else was faster"),
            Kind::TooLarge => (S::PAYLOAD_TOO_LARGE, "/problems/too-large", "The body is too large"),
            Kind::MediaType => (S::UNSUPPORTED_MEDIA_TYPE, "/problems/media-type", "The body has another type"),
            Kind::Invalid => (S::UNPROCESSABLE_ENTITY, "/problems/invalid", "What was sent cannot be"),
            Kind::Component => (S::UNPROCESSABLE_ENTITY, "/problems/component", "The component was refused"),
            Kind::Rate => (S::TOO_MANY_REQUESTS, "/problems/rate", "Too many requests"),
            Kind::Crowded => (S::TOO_MANY_REQUESTS, "/problems/crowded", "Too many at a time"),
            Kind::Internal => (S::INTERNAL_SERVER_ERROR, "/problems/internal", "The host failed"),
            Kind::Trunk => (S::BAD_GATEWAY, "/problems/trunk", "The trunk does not make the call"),
            Kind::TrunkUnclear => (S::GATEWAY_TIMEOUT, "/problems/trunk-unclear", "The trunk may make the call or not"),
            Kind::Busy => (S::SERVICE_UNAVAILABLE, "/problems/busy", "The host cannot do this at the moment"),
            Kind::StorageQuota => (S::INSUFFICIENT_STORAGE, "/problems/storage-quota", "The storage quota is used up"),
            Kind::DiskFull => (S::INSUFFICIENT_STORAGE, "/problems/disk-full", "The host's disk is full"),
        }
    }
}

#[derive(Debug)]
pub struct Refusal {
    kind: Kind,
    detail: String,
    problems: Vec<Mistake>,
    retry_after: Option<Duration>,
    instance: Option<String>,
}

impl Refusal {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), problems: Vec::new(), retry_after: None, instance: None }
    }

    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// One mistake in what was sent.
    pub fn invalid(place: impl Into<String>, text: impl Into<String>, hint: impl Into<String>) -> Self {
        store::Error::from(store::Problems::from(store::Problem::new(place, text).hint(hint))).into()
    }

    /// The host's own fault: told to the log, not to the client.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        let id = format!("{:016x}", rand::random::<u64>());
        tracing::error!(id, %error, "the admin API failed");
        let detail = format!("the host failed: its operator finds why in the log, by the id {id}");
        Self { instance: Some(format!("urn:patchbay:failure:{id}")), ..Self::new(Kind::Internal, detail) }
    }

    pub fn details(&self) -> ProblemDetails {
        let (status, kind, title) = self.kind.row();
        ProblemDetails {
            kind,
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            instance: self.instance.clone(),
            problems: self.problems.clone(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, ..) = self.kind.row();
        let mut response = (status, Json(self.details())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"patchbay\""));
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never sooner than it helps.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
        }
        response
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        let kind = match &error {
            E::Invalid(_) => Kind::Invalid,
            E::NotFound { .. } => Kind::NotFound,
            E::Exists { .. } => Kind::Exists,
            E::CalledTaken { .. } => Kind::Taken,
            E::InUse { .. } => Kind::InUse,
            E::ScopeOfSecret { .. } => Kind::Scope,
            E::FromFolder { .. } | E::FromApi { .. } => Kind::KeptElsewhere,
            E::Stale { .. } => Kind::Stale,
            E::NothingBefore { .. } => Kind::NothingBefore,
            E::NothingToShareWith { .. } => Kind::NothingToShareWith,
            E::TooMany { .. } => Kind::TooMany,
            E::TooLarge { .. } => Kind::TooLarge,
            E::StorageQuota { .. } => Kind::StorageQuota,
            E::DiskFull { .. } => Kind::DiskFull,
            E::Busy => Kind::Busy,
            _ => return Refusal::internal(error),
        };
        let refusal = match kind {
            Kind::Busy => Refusal::new(kind, error.to_string()).retry_after(Duration::from_secs(1)),
            // Where on the disk is the operator's business.
            Kind::DiskFull => {
                tracing::error!(%error, "a change was refused");
                Refusal::new(kind, "no room on the host's disk: nothing was changed; its operator has to free some")
            }
            _ => Refusal::new(kind, error.to_string()),
        };
        match error {
            E::Invalid(problems) => Self {
                problems: problems
                    .0
                    .into_iter()
                    .map(|problem| Mistake { place: problem.path, text: problem.text, hint: problem.hint })
                    .collect(),
                ..refusal
            },
            _ => refusal,
        }
    }
}

#[cfg(test)]
mod tests {
    use store::Error as E;

    use super::*;

    #[test]
    fn every_error_of_the_store_has_its_status_and_the_hosts_own_are_not_told() {
        let text = String::new;
        let io = || std::io::Error::other("/secret/place");
        for (error, status, kind) in [
            (E::not_found("tenant", "x"), 404, "not-found"),
            (E::Exists { what: "tenant", name: text() }, 409, "exists"),
            (E::CalledTaken { called: text(), trunk: text(), owner: text() }, 409, "called-taken"),
            (E::InUse { what: "plugin", name: text(), by: text() }, 409, "in-use"),
            (E::FromFolder { tenant: text(), file: "a/tenant.toml".into() }, 409, "kept-elsewhere"),
            (E::FromApi { tenant: text() }, 409, "kept-elsewhere"),
            (E::NothingBefore { plugin: text() }, 409, "nothing-before"),
            (E::NothingToShareWith { plugin: text() }, 409, "nothing-to-share-with"),
            (E::TooMany { what: "routes", owner: text(), max: 1 }, 409, "too-many"),
            (E::Stale { plugin: text(), expected: 1, found: 2 }, 412, "stale"),
            (E::TooLarge { bytes_max: 1 }, 413, "too-large"),
            (E::StorageQuota { tenant: text(), bytes: 2, quota: 1 }, 507, "storage-quota"),
            (E::DiskFull { place: "/secret/place".into() }, 507, "disk-full"),
            (E::ScopeOfSecret { name: text() }, 403, "scope"),
            (E::Busy, 503, "busy"),
            (E::Io { place: "/secret/place".into(), error: io() }, 500, "internal"),
            (E::Damaged { place: "/secret/place".into(), text: text() }, 500, "internal"),
            (E::FolderInUse { folder: "/secret/place".into() }, 500, "internal"),
        ] {
            let said = error.to_string();
            let refusal = Refusal::from(error);
            let details = refusal.details();
            assert_eq!((details.status, details.kind), (status, format!("/problems/{kind}").as_str()), "{said}");
            assert!(!details.detail.is_empty() && !details.detail.contains("/secret/place"), "{}", details.detail);
            assert_eq!(details.instance.is_some(), status == 500);
            let response = refusal.into_response();
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503);
        }
    }
}
