//! Why a verb changed nothing. Each text names the thing, the place and the mend.

use std::io;
use std::path::{Path, PathBuf};

use crate::problem::Problems;

pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, by who can mend it. Whatever it is, the state is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What came in cannot be.
    #[error("{0}")]
    Invalid(Problems),
    #[error("there is no {what} `{name}`")]
    NotFound { what: &'static str, name: String },
    #[error("there is a {what} `{name}` already: choose another name, or delete that one first")]
    Exists { what: &'static str, name: String },
    /// Two routes for the same calls. Another tenant's is not named: its existence is not told.
    #[error("{called} of {trunk} is taken by {owner}: bind another number, or free this one first")]
    CalledTaken { called: String, trunk: String, owner: String },
    #[error("{what} `{name}` is in use by {by}: change that first")]
    InUse { what: &'static str, name: String, by: String },
    /// A tenant belongs to one source.
    #[error("tenant `{tenant}` is kept in {file}: change it there, not through the API")]
    FromFolder { tenant: String, file: String },
    #[error("tenant `{tenant}` is kept by the API: delete it there, or give the folder another name")]
    FromApi { tenant: String },
    /// Somebody else was faster.
    #[error("plugin `{plugin}`: expected generation {expected}, found {found}: look at what changed and try again")]
    Stale { plugin: String, expected: u64, found: u64 },
    #[error("plugin `{plugin}` has no earlier generation to roll back to: activate a version instead")]
    NothingBefore { plugin: String },
    #[error(
        "plugin `{plugin}` answers no calls yet, so a canary would have nobody to share with: activate without one"
    )]
    NothingToShareWith { plugin: String },
    #[error("{owner} has {max} {what} already, the most there can be: delete some first")]
    TooMany { what: &'static str, owner: String, max: usize },
    #[error("a component is {bytes_max} bytes at most: make it smaller (strip debug information, optimise for size)")]
    TooLarge { bytes_max: u64 },
    #[error(
        "tenant `{tenant}` would store {bytes} bytes, {quota} are its quota: delete versions or keys that are not in use, or raise storage_bytes"
    )]
    StorageQuota { tenant: String, bytes: u64, quota: u64 },
    #[error(
        "where secret `{name}` may go is the operator's to change: leave hosts and header as they are, or ask for it"
    )]
    ScopeOfSecret { name: String },
    /// ENOSPC, EDQUOT, or the database at its largest.
    #[error("no room on the disk for {place}: free some and try again; nothing was changed")]
    DiskFull { place: String },
    #[error("the database is locked by another program: close it and try again")]
    Busy,
    #[error("{folder} is in use by another patchbay: stop it, or give this one a data folder of its own")]
    FolderInUse { folder: PathBuf },
    #[error(
        "{file} was written by a newer patchbay (schema {found}, known here up to {known}): run that one, or restore a backup"
    )]
    NewerSchema { file: PathBuf, found: u32, known: u32 },
    #[error("{file}: {text}: restore the file that belongs to this database")]
    HostKey { file: PathBuf, text: &'static str },
    /// What we wrote is not what we read.
    #[error("{place} is damaged: {text}")]
    Damaged { place: String, text: String },
    #[error("{place}: {error}")]
    Io { place: String, error: io::Error },
    #[error("the database: {0}")]
    Database(rusqlite::Error),
}

impl Error {
    pub fn not_found(what: &'static str, name: impl Into<String>) -> Self {
        // Whoever asks for something absurdly long is not sent it back.
        let name: String = name.into().chars().take(crate::bounds::NAME_CHARS_MAX).collect();
        Self::NotFound { what, name }
    }

    /// The disk's own refusals are told apart from every other.
    pub(crate) fn io(place: &Path, error: io::Error) -> Self {
        let place = place.display().to_string();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { place },
            _ => Self::Io { place, error },
        }
    }

    pub(crate) fn damaged(place: impl Into<String>, text: impl ToString) -> Self {
        Self::Damaged { place: place.into(), text: text.to_string() }
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Self::Invalid(problems)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi::{ErrorCode, SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMSIZE};
        let Some(code) = error.sqlite_error() else { return Self::Database(error) };
        match (code.code, code.extended_code) {
            // The index of the write-ahead log cannot grow: the system gives no other reason than the disk's.
            (ErrorCode::DiskFull, _) | (_, SQLITE_IOERR_SHMSIZE | SQLITE_IOERR_SHMMAP) => {
                Self::DiskFull { place: "the database".to_owned() }
            }
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Self::Busy,
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Self::damaged("the database", error),
            _ => Self::Database(error),
        }
    }
}
