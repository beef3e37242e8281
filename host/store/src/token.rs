//! Tokens of the admin API: 256 random bits, shown once, kept as their SHA-256.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::name::Name;

/// What its bearer may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", tag = "kind", content = "tenant")]
pub enum Scope {
    /// Everything.
    Operator,
    /// Look at one tenant.
    Read(Name),
    /// Look at and change one tenant.
    Deploy(Name),
}

impl Scope {
    pub fn kind(&self) -> &'static str {
        match self {
            Scope::Operator => "operator",
            Scope::Read(_) => "read",
            Scope::Deploy(_) => "deploy",
        }
    }

    pub fn tenant(&self) -> Option<&Name> {
        match self {
            Scope::Operator => None,
            Scope::Read(tenant) | Scope::Deploy(tenant) => Some(tenant),
        }
    }
}

/// What may be told of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Names it in lists and the audit log; says nothing of its text.
    pub id: String,
    pub label: String,
    pub scope: Scope,
    pub created_at_ms: u64,
    pub created_by: String,
    /// To the minute.
    pub last_used_at_ms: Option<u64>,
    pub revoked_at_ms: Option<u64>,
}

/// What the bearer sends. Not shown by `Debug`, not to be serialised: whoever shows it means to.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl TokenText {
    /// The prefix lets people and scanners tell what leaked.
    const PREFIX: &str = "patchbay_";

    /// Errors: the system gives no random bytes.
    pub(crate) fn random() -> std::io::Result<Self> {
        Ok(Self(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(random::<32>()?))))
    }

    pub fn show(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(..)")
    }
}

/// What a token is looked up by. A lookup by digest leaks no part of the token through its time.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

pub(crate) fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}

/// Twelve hexadecimal digits.
pub(crate) fn random_id() -> std::io::Result<String> {
    Ok(random::<6>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
