//! `store` and `store-handler`.

use super::HostError;

/// Keys have 1 to 256 bytes, values 64 KiB at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreRequest {
    Get {
        key: String,
    },
    /// `expires_ms`: 0 is never.
    Put {
        key: String,
        value: Vec<u8>,
        expires_ms: u64,
    },
    Swap {
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    },
    Delete {
        key: String,
    },
    List {
        prefix: String,
        after: String,
    },
}

/// Each ends its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    Value(Option<Vec<u8>>),
    Stored,
    Swapped(bool),
    Keys(Vec<String>),
    Failed(HostError),
}

impl StoreRequest {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Get { key } | Self::Delete { key } => key.len(),
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Swap { key, expected, value } => key.len() + expected.as_ref().map_or(0, Vec::len) + value.len(),
            Self::List { prefix, after } => prefix.len() + after.len(),
        }
    }
}

impl StoreEvent {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Value(value) => value.as_ref().map_or(0, Vec::len),
            Self::Keys(keys) => keys.iter().map(|key| key.len() + size_of::<String>()).sum(),
            Self::Failed(error) => error.message.len(),
            Self::Stored | Self::Swapped(_) => 0,
        }
    }
}
