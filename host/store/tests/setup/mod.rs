//! A store in a folder of its own, and the words that most tests begin with.
#![allow(dead_code, reason = "each program of tests uses some of it")]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use store::*;

/// A data folder that is gone at the end.
pub struct Data(pub PathBuf);

impl Data {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("patchbay-store-{}-{next}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a temporary folder can be made");
        Self(folder)
    }

    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub fn open(&self) -> SqliteStore {
        self.open_with(Settings::default()).expect("the store opens")
    }

    pub fn open_with(&self, settings: Settings) -> Result<SqliteStore> {
        SqliteStore::open(&self.data(), settings)
    }

    /// Names of the files of components.
    pub fn components(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data().join("components")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn by(at_ms: u64) -> By {
    By { who: "test".into(), at_ms }
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn tenant(store: &SqliteStore, tenant: &str) {
    store.create_tenant(&by(1), &name(tenant), Quotas::default()).unwrap();
}

pub fn upload(store: &SqliteStore, tenant: &str, plugin: &str, bytes: &[u8]) -> Digest {
    store.upload(&by(2), tenant, &name(plugin), bytes, "0.1.0").unwrap().digest
}

pub fn to(digest: Digest) -> Activate {
    Activate { digest, canary_percent: None, live: Live::default(), if_last_generation: None }
}

pub fn route(route: &str, called: Called, plugin: &str) -> Route {
    Route {
        name: name(route),
        trunk: None,
        called,
        plugin: name(plugin),
        fallback: None,
        config: Default::default(),
        ring: false,
    }
}

pub fn exact(number: &str) -> Called {
    Called::Exact(number.into())
}

/// What was done to a tenant, oldest first.
pub fn told(store: &SqliteStore, tenant: Option<&str>) -> Vec<(Action, String)> {
    let mut entries = store.audit(tenant, None, AUDIT_PAGE_MAX).unwrap();
    entries.reverse();
    entries.into_iter().map(|entry| (entry.action, entry.subject)).collect()
}
