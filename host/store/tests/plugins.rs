//! Uploads, activations and roll-backs as they are kept.

mod setup;

use std::fs;

use setup::*;
use store::*;

#[test]
fn an_upload_is_a_version_and_answers_nobody_until_it_is_activated() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let version = store.upload(&by(5), "acme", &name("menu"), b"one", "0.1.0").unwrap();
    let expected = (Digest::of(b"one"), 3, "0.1.0", 5, "test");
    let told = (version.digest, version.bytes, &*version.wit, version.uploaded_at_ms, &*version.uploaded_by);
    assert_eq!(told, expected);
    assert_eq!(store.component(&version.digest).unwrap(), b"one");
    let plugin = store.plugin("acme", "menu").unwrap();
    assert_eq!((plugin.last_generation, plugin.current), (0, None));
    let plugin = store.activate(&by(6), "acme", "menu", &to(version.digest)).unwrap();
    assert_eq!(plugin.current.as_ref().map(|current| (current.number, current.digest)), Some((1, version.digest)));
    drop(store);
    let store = data.open();
    assert_eq!(store.plugins("acme").unwrap(), [plugin]);
    assert_eq!(*store.found(), Found::default());
}

#[test]
fn the_same_bytes_are_one_file_and_stay_until_the_last_version_of_them_goes() {
    let data = Data::new();
    let store = data.open();
    for owner in ["acme", "rival"] {
        tenant(&store, owner);
        upload(&store, owner, "menu", b"one");
    }
    let before = store.sequence();
    let digest = upload(&store, "acme", "menu", b"one");
    assert_eq!(store.sequence(), before, "an upload that is repeated is no change");
    assert_eq!(store.versions("acme", "menu").unwrap().len(), 1);
    store.delete_version(&by(3), "acme", "menu", &digest).unwrap();
    assert_eq!(data.components(), [format!("{digest}.wasm")]);
    assert!(matches!(store.delete_version(&by(3), "acme", "menu", &digest), Err(Error::NotFound { .. })));
    store.delete_tenant(&by(4), "rival").unwrap();
    assert!(data.components().is_empty());
    assert!(matches!(store.component(&digest), Err(Error::NotFound { what: "component", .. })));
}

#[test]
fn what_is_in_use_cannot_be_deleted_and_the_error_says_by_whom() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let digests: Vec<Digest> = (0..3u8).map(|build| upload(&store, "acme", "menu", &[build])).collect();
    store.activate(&by(3), "acme", "menu", &to(digests[0])).unwrap();
    store.activate(&by(3), "acme", "menu", &to(digests[1])).unwrap();
    store.activate(&by(3), "acme", "menu", &Activate { canary_percent: Some(10), ..to(digests[2]) }).unwrap();
    store.put_route(&by(4), "acme", &route("desk", exact("1"), "menu"), Overlap::Allowed).unwrap();
    for (digest, slot) in digests.iter().zip(["previous generation 1", "current generation 2", "canary generation 3"]) {
        let error = store.delete_version(&by(5), "acme", "menu", digest).unwrap_err();
        assert!(matches!(error, Error::InUse { what: "version", .. }) && error.to_string().contains(slot), "{error}");
    }
    let error = store.delete_plugin(&by(5), "acme", "menu").unwrap_err();
    assert!(error.to_string().contains("route `desk`"), "{error}");
    assert_eq!(data.components().len(), 3);
    store.roll_back(&by(6), "acme", "menu", &RollBack::default()).unwrap();
    store.delete_version(&by(7), "acme", "menu", &digests[2]).unwrap();
    store.delete_route(&by(8), "acme", "desk").unwrap();
    store.delete_plugin(&by(9), "acme", "menu").unwrap();
    assert!(data.components().is_empty());
}

#[test]
fn a_canary_and_its_roll_back_are_told_with_numbers_share_and_reason() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let [old, new] = [b"old", b"new"].map(|bytes| upload(&store, "acme", "menu", bytes));
    store.activate(&by(3), "acme", "menu", &to(old)).unwrap();
    let live = Live { policy: LivePolicy::Move, limit_s: Some(60) };
    let request = Activate { canary_percent: Some(10), live, ..to(new) };
    let plugin = store.activate(&by(4), "acme", "menu", &request).unwrap();
    assert_eq!(store.plugin("acme", "menu").unwrap(), plugin);
    let canary = plugin.canary.unwrap();
    assert_eq!((canary.generation.number, canary.percent, canary.generation.live), (2, 10, live));
    let request = RollBack { reason: "3 traps in 12 calls".into(), if_generation: Some(2), live: Live::default() };
    store.roll_back(&by(5), "acme", "menu", &request).unwrap();
    let late = store.roll_back(&by(6), "acme", "menu", &request);
    assert!(matches!(late, Err(Error::Stale { expected: 2, found: 1, .. })), "the one that answers was rolled back");
    let told = &store.audit(Some("acme"), None, 1).unwrap()[0];
    assert_eq!((told.action, &told.detail["rolled_back"]), (Action::RollBack, &2.into()));
    assert_eq!(told.detail["reason"], "3 traps in 12 calls");
    assert_eq!(told.detail["current"]["generation"], 1);
}

#[test]
fn a_version_that_is_not_there_cannot_be_activated() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    tenant(&store, "rival");
    upload(&store, "acme", "menu", b"one");
    let theirs = upload(&store, "rival", "menu", b"theirs");
    let Err(Error::Invalid(problems)) = store.activate(&by(3), "acme", "menu", &to(theirs)) else { panic!() };
    assert_eq!(problems.0[0].path, "digest");
    let nobody = store.activate(&by(3), "acme", "nobody", &to(theirs));
    assert!(matches!(nobody, Err(Error::NotFound { what: "plugin", .. })));
}

#[test]
fn concurrent_activations_are_serialised_each_with_a_number_of_its_own() {
    const THREADS: u64 = 8;
    const EACH: u64 = 10;
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let digests: Vec<Digest> = (0..=1u8).map(|build| upload(&store, "acme", "menu", &[build])).collect();
    let (store, digests) = (&store, &digests);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for turn in 0..EACH {
                    let digest = digests[usize::from((thread + turn) % 2 == 0)];
                    store.activate(&by(turn), "acme", "menu", &to(digest)).unwrap();
                }
            });
        }
    });
    let plugin = store.plugin("acme", "menu").unwrap();
    let mut entries = store.audit(Some("acme"), None, AUDIT_PAGE_MAX).unwrap();
    entries.retain(|entry| entry.action == Action::Activate);
    entries.reverse();
    let numbers: Vec<u64> =
        entries.iter().map(|entry| entry.detail["current"]["generation"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=plugin.last_generation).collect::<Vec<_>>());
    assert!((2..=THREADS * EACH).contains(&plugin.last_generation));
    assert_ne!(plugin.current.unwrap().digest, plugin.previous.unwrap().digest);
}

#[test]
fn of_two_who_expect_the_same_generation_one_wins() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let digests: Vec<Digest> = (0..8u8).map(|build| upload(&store, "acme", "menu", &[build])).collect();
    let store = &store;
    let won: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = digests
            .iter()
            .map(|digest| {
                let request = Activate { if_last_generation: Some(0), ..to(*digest) };
                scope.spawn(move || store.activate(&by(3), "acme", "menu", &request))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|outcome| outcome.is_ok()).count()
    });
    assert_eq!((won, store.plugin("acme", "menu").unwrap().last_generation), (1, 1));
}

#[test]
fn too_long_a_component_and_one_beyond_the_quota_leave_no_trace() {
    let data = Data::new();
    let store = data.open_with(Settings { component_bytes_max: 100, ..Settings::default() }).unwrap();
    store.create_tenant(&by(1), &name("acme"), Quotas { storage_bytes: 150, ..Quotas::default() }).unwrap();
    let long = store.upload(&by(2), "acme", &name("menu"), &[0; 101], "0.1.0");
    assert!(matches!(long, Err(Error::TooLarge { bytes_max: 100 })));
    upload(&store, "acme", "menu", &[1; 100]);
    let sequence = store.sequence();
    let much = store.upload(&by(3), "acme", &name("other"), &[2; 51], "0.1.0");
    assert!(matches!(much, Err(Error::StorageQuota { bytes: 151, quota: 150, .. })), "{much:?}");
    // The same bytes under another name cost nothing.
    upload(&store, "acme", "other", &[1; 100]);
    let usage = store.usage("acme").unwrap();
    assert_eq!(usage, Usage { storage_bytes: 100, plugins: 2, routes: 0, kept: Kept::default() });
    assert_eq!((store.sequence(), data.components().len()), (sequence + 1, 1));
    let nobody = store.upload(&by(3), "nobody", &name("menu"), &[3], "0.1.0");
    assert!(matches!(nobody, Err(Error::NotFound { what: "tenant", .. })));
    assert_eq!(data.components().len(), 1);
}

#[test]
fn opening_collects_what_a_kill_left_and_tells_what_is_missing() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let kept = upload(&store, "acme", "menu", b"kept");
    let lost = upload(&store, "acme", "menu", b"lost");
    drop(store);
    let components = data.data().join("components");
    fs::remove_file(components.join(format!("{lost}.wasm"))).unwrap();
    let stray = format!("{}.wasm", Digest::of(b"stray"));
    let half = format!("{}.a1.tmp", Digest::of(b"half"));
    for name in [&stray, &half] {
        fs::write(components.join(name), b"stray").unwrap();
    }
    let store = data.open();
    let mut collected = [stray, half];
    collected.sort();
    assert_eq!(*store.found(), Found { collected: collected.to_vec(), missing: vec![lost] });
    assert_eq!(data.components(), [format!("{kept}.wasm")]);
    // An upload of the same bytes mends it.
    upload(&store, "acme", "menu", b"lost");
    assert_eq!(store.component(&lost).unwrap(), b"lost");
}
