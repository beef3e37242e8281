//! What a tenant's bots keep.

mod setup;

use setup::*;
use store::*;

fn put(store: &SqliteStore, key: &str, value: &str) {
    store.put_value("acme", key, value.as_bytes(), None, 1).unwrap();
}

fn kept(store: &SqliteStore, key: &str, now_ms: u64) -> Option<String> {
    store.value("acme", key, now_ms).unwrap().map(|value| String::from_utf8(value).unwrap())
}

fn small(store: &SqliteStore, storage_bytes: u64) {
    store.set_quotas(&by(1), "acme", Quotas { storage_bytes, ..Quotas::default() }).unwrap();
}

#[test]
fn what_was_put_is_there_after_the_host_was_stopped_and_is_its_tenants_alone() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    tenant(&store, "rival");
    put(&store, "greeting", "one");
    put(&store, "greeting", "two");
    let before = store.sequence();
    drop(store);
    let store = data.open();
    assert_eq!(kept(&store, "greeting", 1).as_deref(), Some("two"));
    assert_eq!(store.value("rival", "greeting", 1).unwrap(), None);
    store.delete_value("rival", "greeting").unwrap();
    store.delete_value("acme", "greeting").unwrap();
    assert_eq!(kept(&store, "greeting", 1), None);
    assert_eq!(store.sequence(), before, "the audit log is not for this");
    for nobody in [store.value("nobody", "k", 1).map(drop), store.put_value("nobody", "k", b"", None, 1)] {
        assert!(matches!(nobody, Err(Error::NotFound { what: "tenant", .. })), "{nobody:?}");
    }
    put(&store, "last", "x");
    store.delete_tenant(&by(2), "acme").unwrap();
    tenant(&store, "acme");
    assert_eq!((kept(&store, "last", 1), store.usage("acme").unwrap().storage_bytes), (None, 0));
}

#[test]
fn what_expires_is_gone_at_its_time_and_counts_no_more_after_the_next_write() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    store.put_value("acme", "short", b"12345", Some(1_000), 1).unwrap();
    assert_eq!(kept(&store, "short", 999).as_deref(), Some("12345"));
    assert_eq!(kept(&store, "short", 1_000), None);
    assert_eq!(store.keys("acme", "", "", 999).unwrap(), ["short"]);
    assert!(store.keys("acme", "", "", 1_000).unwrap().is_empty());
    assert!(store.swap_value("acme", "short", None, b"new", 1_000).unwrap(), "nothing is there any more");
    assert_eq!(kept(&store, "short", u64::MAX).as_deref(), Some("new"), "and what is new does not expire");
    // Beyond what a number of SQLite's holds: never.
    store.put_value("acme", "long", b"", Some(u64::MAX), 1).unwrap();
    assert_eq!(kept(&store, "long", 1 << 62).as_deref(), Some(""));
    store.put_value("acme", "gone", &[0; 1_000], Some(50), 1).unwrap();
    let before = store.usage("acme").unwrap().storage_bytes;
    store.put_value("acme", "long", b"", None, 60).unwrap();
    assert_eq!(store.usage("acme").unwrap().storage_bytes, before - 1_000 - 4 - PAIR_BYTES as u64);
}

#[test]
fn a_swap_is_done_only_if_what_is_there_is_what_was_expected() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let swap = |expected: Option<&[u8]>, value: &[u8]| store.swap_value("acme", "k", expected, value, 1).unwrap();
    assert!(!swap(Some(b""), b"x"), "nothing is not the empty value");
    assert!(swap(None, b"one"));
    assert!(!swap(None, b"two"));
    assert!(!swap(Some(b"two"), b"three"));
    assert!(swap(Some(b"one"), b"two"));
    assert_eq!(kept(&store, "k", 1).as_deref(), Some("two"));
    store.put_value("acme", "k", b"two", Some(100), 1).unwrap();
    assert!(swap(Some(b"two"), b"three"));
    assert_eq!((kept(&store, "k", 99).as_deref(), kept(&store, "k", 100)), (Some("three"), None), "its time is kept");
    // Of many at once each counts.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    while {
                        let before = store.value("acme", "n", 1).unwrap();
                        let n = before.as_ref().map_or(0, |n| n[0]);
                        !store.swap_value("acme", "n", before.as_deref(), &[n + 1], 1).unwrap()
                    } {}
                }
            });
        }
    });
    assert_eq!(store.value("acme", "n", 1).unwrap(), Some(vec![100]));
}

#[test]
fn keys_are_listed_by_prefix_in_order_a_page_at_a_time() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    for key in ["a", "a/1", "a/2", "a/\u{10ffff}", "a0", "b", "\u{e9}", "A", "a/nul\0"] {
        put(&store, key, "");
    }
    let list = |prefix: &str, after: &str| store.keys("acme", prefix, after, 1).unwrap();
    assert_eq!(list("a/", ""), ["a/1", "a/2", "a/nul\0", "a/\u{10ffff}"]);
    assert_eq!(list("a/", "a/1"), ["a/2", "a/nul\0", "a/\u{10ffff}"]);
    assert_eq!(list("a/", "b"), [""; 0]);
    assert_eq!(list("", ""), ["A", "a", "a/1", "a/2", "a/nul\0", "a/\u{10ffff}", "a0", "b", "\u{e9}"]);
    assert_eq!(list("\u{e9}", ""), ["\u{e9}"]);
    for n in 0..KEYS_PAGE_MAX + 1 {
        put(&store, &format!("page/{n:03}"), "");
    }
    let first = list("page/", "");
    assert_eq!(first.len(), KEYS_PAGE_MAX);
    assert_eq!(list("page/", first.last().unwrap()), [format!("page/{KEYS_PAGE_MAX:03}")]);
}

#[test]
fn keys_and_values_have_their_lengths() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let longest = "k".repeat(KEY_BYTES_MAX);
    store.put_value("acme", &longest, &vec![0; VALUE_BYTES_MAX], None, 1).unwrap();
    for (key, bytes) in [("", 0), (&*format!("{longest}k"), 0), ("k", VALUE_BYTES_MAX + 1)] {
        let refused = store.put_value("acme", key, &vec![0; bytes], None, 1);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{} {bytes}: {refused:?}", key.len());
    }
}

#[test]
fn what_bots_keep_counts_in_the_storage_quota_with_what_was_uploaded() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let used = || store.usage("acme").unwrap().storage_bytes;
    let each = PAIR_BYTES as u64 + 1;
    small(&store, 2 * each + 20);
    put(&store, "a", "");
    put(&store, "b", "0123456789");
    assert_eq!(used(), 2 * each + 10);
    let refused = |result: Result<()>| match result {
        Err(Error::StorageQuota { bytes, .. }) => bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(store.put_value("acme", "c", b"", None, 1)), 3 * each + 10);
    assert_eq!(refused(store.put_value("acme", "a", &[0; 11], None, 1)), 2 * each + 21);
    assert_eq!(refused(store.swap_value("acme", "a", Some(b""), &[0; 11], 1).map(drop)), 2 * each + 21);
    assert_eq!(kept(&store, "a", 1).as_deref(), Some(""));
    assert_eq!(refused(store.upload(&by(2), "acme", &name("menu"), &[0; 11], "0.1.0").map(drop)), 2 * each + 21);
    upload(&store, "acme", "menu", &[0; 10]);
    assert_eq!(used(), 2 * each + 20);
    // The quota has become too small: less is taken, more is not.
    small(&store, 1);
    put(&store, "b", "012345678");
    refused(store.put_value("acme", "b", b"0123456789", None, 1));
    store.delete_value("acme", "b").unwrap();
    assert_eq!(used(), each + 10);
}

#[test]
fn a_tenant_keeps_100_000_keys() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    tenant(&store, "rival");
    // All but one at once: each by itself would wait for the disk.
    let file = rusqlite::Connection::open(data.data().join("patchbay.db")).unwrap();
    file.execute_batch(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 99999)
            INSERT INTO pairs (tenant, key, value) SELECT 'acme', CAST(n AS BLOB), x'' FROM numbers",
    )
    .unwrap();
    drop(file);
    put(&store, "last", "");
    assert_eq!(store.usage("acme").unwrap().kept.keys, 100_000);
    let refused = |result: Result<()>| {
        assert!(matches!(result, Err(Error::TooMany { what: "keys", max: 100_000, .. })), "{result:?}");
    };
    refused(store.put_value("acme", "more", b"", None, 1));
    refused(store.swap_value("acme", "more", None, b"", 1).map(drop));
    // What is there may change, and what goes makes room.
    put(&store, "last", "other");
    store.delete_value("acme", "last").unwrap();
    put(&store, "more", "");
    assert_eq!(store.kept("acme").unwrap().keys, 100_000);
    store.put_value("rival", "more", b"", None, 1).unwrap();
    assert_eq!(store.kept("rival").unwrap(), Kept { keys: 1, bytes: 4 + PAIR_BYTES as u64 });
}

#[test]
fn a_database_that_fills_up_leaves_room_for_what_is_not_kept_by_bots() {
    let data = Data::new();
    let settings = Settings { database_bytes_max: 2 << 20, ..Settings::default() };
    let store = data.open_with(settings).unwrap();
    tenant(&store, "acme");
    let full = (0..64).find_map(|n| store.put_value("acme", &n.to_string(), &vec![0; VALUE_BYTES_MAX], None, 1).err());
    assert!(matches!(full, Some(Error::DiskFull { .. })), "{full:?}");
    tenant(&store, "bravo");
    upload(&store, "bravo", "menu", b"one");
    (0..4).for_each(|n| store.delete_value("acme", &n.to_string()).unwrap());
    put(&store, "again", "x");
}
