//! Tenants, routes, secrets, tokens: what the admin API will ask for.

mod setup;

use serde_json::{Map, json};
use setup::*;
use store::*;

#[test]
fn a_tenant_lives_from_its_creation_to_its_deletion_and_survives_a_restart() {
    let data = Data::new();
    let store = data.open();
    let quotas = Quotas { calls: 7, ..Quotas::default() };
    let made = store.create_tenant(&by(5), &name("acme"), quotas).unwrap();
    assert_eq!(
        made,
        Tenant {
            name: name("acme"),
            source: Source::Api,
            quotas,
            egress: Vec::new(),
            engines: Map::new(),
            created_at_ms: 5
        }
    );
    drop(store);
    let store = data.open();
    assert_eq!(store.tenants().unwrap(), [made]);
    let more = Quotas { calls: 8, ..quotas };
    assert_eq!(store.set_quotas(&by(6), "acme", more).unwrap().quotas, more);
    assert_eq!(store.tenant("acme").unwrap().quotas, more);
    store.delete_tenant(&by(7), "acme").unwrap();
    assert!(matches!(store.tenant("acme"), Err(Error::NotFound { what: "tenant", .. })));
    let actions = [Action::CreateTenant, Action::SetQuotas, Action::DeleteTenant];
    assert_eq!(told(&store, Some("acme")), actions.map(|action| (action, "acme".to_owned())));
}

#[test]
fn quotas_out_of_range_are_refused_all_at_once_with_their_places() {
    let data = Data::new();
    let store = data.open();
    let quotas = Quotas { calls: 1 << 30, guest_memory_mb: 0, ..Quotas::default() };
    let Err(Error::Invalid(problems)) = store.create_tenant(&by(1), &name("acme"), quotas) else { panic!() };
    let paths: Vec<&str> = problems.0.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["quotas.calls", "quotas.guest_memory_mb"]);
    assert!(problems.to_string().contains("0 is outside 1 to 1024"), "{problems}");
    assert_eq!((store.tenants().unwrap().len(), store.sequence()), (0, 0));
}

#[test]
fn quotas_are_json_with_defaults_and_an_unknown_key_is_an_error() {
    let quotas: Quotas = serde_json::from_value(json!({ "calls": 3 })).unwrap();
    assert_eq!(quotas, Quotas { calls: 3, ..Quotas::default() });
    assert_eq!((quotas.guest_cpu_ms_per_call_second, quotas.guest_cpu_burst_ms), (10, 50));
    assert!(serde_json::from_value::<Quotas>(json!({ "callz": 3 })).is_err());
    let json = serde_json::to_value(quotas).unwrap();
    let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut known = Quotas::KEYS;
    keys.sort_unstable();
    known.sort_unstable();
    assert_eq!(keys, known);
}

#[test]
fn a_second_tenant_of_a_name_is_refused() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let again = store.create_tenant(&by(2), &name("acme"), Quotas::default());
    assert!(matches!(again, Err(Error::Exists { what: "tenant", .. })));
}

#[test]
fn a_route_is_json_and_comes_back_as_it_was_put() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    upload(&store, "acme", "menu", b"1");
    let json = json!({
        "name": "desk", "trunk": "exotel", "called": { "exact": "+912261234567" }, "plugin": "menu",
        "fallback": { "prompt": "sorry" }, "config": { "greeting": "hi", "levels": [1, 2.5, true] }, "ring": true,
    });
    let desk: Route = serde_json::from_value(json.clone()).unwrap();
    store.put_route(&by(3), "acme", &desk, Overlap::Allowed).unwrap();
    assert_eq!(serde_json::to_value(&store.routes("acme").unwrap()[0]).unwrap(), json);
    let moved = Route { called: Called::Uri("sip:*@acme.example.com".into()), ..desk };
    store.put_route(&by(4), "acme", &moved, Overlap::Allowed).unwrap();
    assert_eq!(store.routes("acme").unwrap(), std::slice::from_ref(&moved));
    let before = store.sequence();
    store.put_route(&by(5), "acme", &moved, Overlap::Allowed).unwrap();
    assert_eq!(store.sequence(), before, "what is so already is no change");
    store.delete_route(&by(6), "acme", "desk").unwrap();
    assert!(matches!(store.delete_route(&by(6), "acme", "desk"), Err(Error::NotFound { what: "route", .. })));
}

#[test]
fn a_route_that_cannot_be_says_where_and_what_to_write() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    upload(&store, "acme", "menu", b"1");
    let long = "9".repeat(300);
    for (called, plugin, place, says) in [
        (exact(""), "menu", "called.exact", "prefix"),
        (exact(&long), "menu", "called.exact", "256"),
        (exact("+91 22"), "menu", "called.exact", "blanks"),
        (Called::Uri("*@example.com".into()), "menu", "called.uri", "sip:"),
        (Called::Uri("sip:*a*a*a*a*@b".into()), "menu", "called.uri", "4 at most"),
        (exact("1"), "menue", "plugin", "did you mean `menu`?"),
        (exact("1"), "zzzzzz", "plugin", "upload it first"),
    ] {
        let Err(Error::Invalid(problems)) =
            store.put_route(&by(3), "acme", &route("r", called, plugin), Overlap::Allowed)
        else {
            panic!("{plugin} {place} was taken")
        };
        assert_eq!(problems.0[0].path, place);
        assert!(problems.to_string().contains(says), "{problems}");
    }
    let mut heavy = route("r", exact("1"), "menu");
    heavy.config.insert("x".into(), "y".repeat(CONFIG_BYTES_MAX).into());
    assert!(matches!(store.put_route(&by(3), "acme", &heavy, Overlap::Allowed), Err(Error::Invalid(_))));
    assert!(store.routes("acme").unwrap().is_empty());
}

#[test]
fn two_routes_never_have_the_same_calls_and_another_tenants_is_not_named() {
    let data = Data::new();
    let store = data.open();
    for owner in ["acme", "rival"] {
        tenant(&store, owner);
        upload(&store, owner, "menu", b"1");
    }
    let desk = route("desk", exact("+91"), "menu");
    store.put_route(&by(3), "acme", &desk, Overlap::Allowed).unwrap();
    let own =
        store.put_route(&by(4), "acme", &Route { name: name("other"), ..desk.clone() }, Overlap::Allowed).unwrap_err();
    assert!(own.to_string().contains("taken by route `desk`"), "{own}");
    let theirs = store.put_route(&by(4), "rival", &desk, Overlap::Allowed).unwrap_err();
    assert!(matches!(theirs, Error::CalledTaken { .. }) && !theirs.to_string().contains("acme"), "{theirs}");
    // The same text means other calls on a trunk of its own, or as a prefix.
    store.put_route(&by(5), "rival", &Route { trunk: Some(name("exotel")), ..desk.clone() }, Overlap::Allowed).unwrap();
    store.put_route(&by(5), "rival", &route("all", Called::Prefix("+91".into()), "menu"), Overlap::Allowed).unwrap();
    assert_eq!(store.routes("acme").unwrap(), [desk]);
}

#[test]
fn a_secret_goes_in_and_never_comes_out_by_a_list_a_log_or_the_disk() {
    const VALUE: &str = "correct horse battery staple";
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let value = SecretValue::new(VALUE).unwrap();
    store.put_secret(&by(3), "acme", &name("key"), &value.clone().into()).unwrap();
    let listed = store.secrets("acme").unwrap();
    assert_eq!((&*listed[0].name, listed[0].changed_at_ms), ("key", 3));
    let shown = format!("{listed:?} {value:?} {:?}", store.audit(None, None, 100).unwrap());
    assert!(!shown.contains("horse"), "{shown}");
    assert_eq!(store.reveal_secret("acme", "key").unwrap().reveal(), VALUE);
    for entry in
        std::fs::read_dir(data.data()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"horse"), "{}", entry.display());
    }
    store.delete_secret(&by(4), "acme", "key").unwrap();
    assert!(matches!(store.reveal_secret("acme", "key"), Err(Error::NotFound { what: "secret", .. })));
}

#[test]
fn a_sealed_secret_that_is_moved_to_another_tenant_does_not_open() {
    let data = Data::new();
    let store = data.open();
    for owner in ["acme", "rival"] {
        tenant(&store, owner);
        store.put_secret(&by(3), owner, &name("key"), &SecretValue::new(owner).unwrap().into()).unwrap();
    }
    drop(store);
    let database = rusqlite::Connection::open(data.data().join("patchbay.db")).unwrap();
    let stolen =
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE tenant = 'acme') WHERE tenant = 'rival'";
    assert_eq!(database.execute(stolen, []).unwrap(), 1);
    drop(database);
    let store = data.open();
    assert!(matches!(store.reveal_secret("rival", "key"), Err(Error::Damaged { .. })));
    assert_eq!(store.reveal_secret("acme", "key").unwrap().reveal(), "acme");
}

#[test]
fn secrets_are_neither_empty_nor_long() {
    for length in [0, SECRET_BYTES_MAX + 1] {
        assert!(matches!(SecretValue::new("x".repeat(length)), Err(Error::Invalid(_))), "{length}");
    }
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    // By way of serde the length is looked at when it is put.
    let empty: SecretValue = serde_json::from_value(json!("")).unwrap();
    assert!(matches!(store.put_secret(&by(1), "acme", &name("key"), &empty.into()), Err(Error::Invalid(_))));
}

#[test]
fn where_a_secret_may_go_is_changed_by_who_may_and_by_nobody_else() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let scope = |host: &str| SecretScope { hosts: vec![host.into()], header: "Authorization".into() };
    let put = |value: Option<&str>, scope: Option<SecretScope>, may_rescope| {
        let value = value.map(|value| SecretValue::new(value).unwrap());
        store.put_secret(&by(3), "acme", &name("key"), &SecretChange { value, scope, may_rescope })
    };
    let now = || {
        let secret = store.secrets("acme").unwrap().remove(0);
        (secret.scope, store.reveal_secret("acme", "key").unwrap().reveal().to_owned())
    };
    let none = put(None, Some(scope("a.example:443")), true);
    assert!(matches!(none, Err(Error::NotFound { what: "secret", .. })), "{none:?}");
    put(Some("one"), Some(scope("a.example:443")), false).unwrap();
    // Another value, its scope as it is or not named.
    put(Some("two"), None, false).unwrap();
    put(Some("three"), Some(scope("a.example:443")), false).unwrap();
    assert_eq!(now(), (scope("a.example:443"), "three".into()));
    let before = store.sequence();
    for wider in
        [scope("*.example:443"), SecretScope::default(), SecretScope { header: "X".into(), ..scope("a.example:443") }]
    {
        for value in [None, Some("four")] {
            let refused = put(value, Some(wider.clone()), false);
            assert!(matches!(refused, Err(Error::ScopeOfSecret { .. })), "{wider:?}: {refused:?}");
        }
    }
    put(None, Some(scope("a.example:443")), true).unwrap();
    assert_eq!((now(), store.sequence()), ((scope("a.example:443"), "three".into()), before), "nothing was changed");
    put(None, Some(scope("b.example:443")), true).unwrap();
    assert_eq!(now(), (scope("b.example:443"), "three".into()));
    let told = store.audit(Some("acme"), None, 1).unwrap().remove(0);
    assert_eq!(told.detail["hosts"], json!(["b.example:443"]), "{told:?}");
    for wrong in [
        SecretScope { hosts: vec!["a.example:443".into(); HOSTS_PER_SECRET_MAX + 1], header: "A".into() },
        SecretScope { hosts: vec!["x".repeat(HOST_BYTES_MAX + 1)], header: "A".into() },
        SecretScope { hosts: vec![], header: "two words".into() },
    ] {
        let refused = put(None, Some(wrong), true);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
}

#[test]
fn what_a_tenant_wants_to_reach_is_kept_and_a_list_without_end_is_not() {
    let data = Data::new();
    tenant(&data.open(), "acme");
    let wanted = vec!["api.example.com:443".to_owned()];
    data.open().set_egress(&by(2), "acme", &wanted).unwrap();
    let store = data.open();
    assert_eq!(store.tenant("acme").unwrap().egress, wanted);
    let before = store.sequence();
    store.set_egress(&by(2), "acme", &wanted).unwrap();
    let many = vec!["a.example:443".to_owned(); EGRESS_PER_TENANT_MAX + 1];
    assert!(matches!(store.set_egress(&by(2), "acme", &many), Err(Error::Invalid(_))));
    assert_eq!(store.sequence(), before);
}

#[test]
fn a_token_is_shown_once_found_by_its_text_and_dead_when_revoked() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let scope = Scope::Deploy(name("acme"));
    let (token, text) = store.create_token(&by(3), &scope, "ci").unwrap();
    assert!(text.show().len() >= 43 && !format!("{text:?}{token:?}").contains(text.show()));
    let found = store.token(text.show(), 100).unwrap().unwrap();
    assert_eq!((found.id.as_str(), &found.scope, found.last_used_at_ms), (token.id.as_str(), &scope, Some(100)));
    assert_eq!(store.token("patchbay_wrong", 100).unwrap(), None);
    assert_eq!(store.token("", 100).unwrap(), None);
    assert_eq!(store.tokens(Some("acme")).unwrap()[0].last_used_at_ms, Some(100));
    assert_eq!(store.token(text.show(), 200).unwrap().unwrap().last_used_at_ms, Some(100), "to the minute");
    assert_eq!(store.token(text.show(), 100 + LAST_USED_EVERY_MS).unwrap().unwrap().last_used_at_ms, Some(60_100));
    store.revoke_token(&by(9), &token.id).unwrap();
    assert_eq!(store.token(text.show(), 70_000).unwrap(), None);
    assert_eq!(store.tokens(Some("acme")).unwrap()[0].revoked_at_ms, Some(9));
    let told = told(&store, Some("acme"));
    assert_eq!(told[1..], [(Action::CreateToken, token.id.clone()), (Action::RevokeToken, token.id)]);
    let bytes = std::fs::read(data.data().join("patchbay.db-wal")).unwrap();
    assert!(!bytes.windows(20).any(|window| window == &text.show().as_bytes()[..20]), "the text was written down");
}

#[test]
fn tokens_belong_to_their_tenant_and_end_with_it() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    let (operator, _) = store.create_token(&by(1), &Scope::Operator, "root").unwrap();
    let (_, text) = store.create_token(&by(1), &Scope::Read(name("acme")), "").unwrap();
    assert_eq!(store.tokens(None).unwrap(), [operator]);
    assert_eq!(store.tokens(Some("acme")).unwrap().len(), 1);
    let nobody = store.create_token(&by(1), &Scope::Read(name("nobody")), "");
    assert!(matches!(nobody, Err(Error::NotFound { what: "tenant", .. })));
    store.delete_tenant(&by(2), "acme").unwrap();
    assert_eq!(store.token(text.show(), 3).unwrap(), None);
    let scope = serde_json::to_value(Scope::Deploy(name("acme"))).unwrap();
    assert_eq!(scope, json!({ "kind": "deploy", "tenant": "acme" }));
}

#[test]
fn there_are_so_many_tokens_and_a_revoked_one_makes_room() {
    let data = Data::new();
    let store = data.open();
    let create = || store.create_token(&by(1), &Scope::Operator, "");
    let tokens: Vec<_> = (0..TOKENS_PER_OWNER_MAX).map(|_| create().unwrap().0).collect();
    assert!(matches!(create(), Err(Error::TooMany { what: "tokens", .. })));
    store.revoke_token(&by(2), &tokens[7].id).unwrap();
    create().unwrap();
    assert!(!store.tokens(None).unwrap().iter().any(|token| token.id == tokens[7].id));
}

#[test]
fn every_change_has_a_number_and_whoever_lags_is_told_what_or_to_begin_again() {
    let data = Data::new();
    let store = data.open_with(Settings { audit_entries_max: 5, ..Settings::default() }).unwrap();
    tenant(&store, "acme");
    upload(&store, "acme", "menu", b"1");
    let Changes::These(changes) = store.changes(1).unwrap() else { panic!() };
    assert_eq!(
        changes.iter().map(|change| (change.sequence, change.action)).collect::<Vec<_>>(),
        [(2, Action::Upload)]
    );
    assert_eq!(store.changes(2).unwrap(), Changes::These(vec![]));
    for calls in 1..=10 {
        store.set_quotas(&by(3), "acme", Quotas { calls, ..Quotas::default() }).unwrap();
    }
    assert_eq!(store.sequence(), 12);
    assert_eq!(store.changes(2).unwrap(), Changes::Everything { sequence: 12 });
    assert_eq!(store.changes(99).unwrap(), Changes::Everything { sequence: 12 });
    let Changes::These(changes) = store.changes(7).unwrap() else { panic!() };
    assert_eq!(changes.len(), 5);
    drop(store);
    assert_eq!(data.open().sequence(), 12);
}

#[test]
fn a_waiter_wakes_at_a_change_and_otherwise_when_the_time_is_up() {
    use std::time::{Duration, Instant};
    let data = Data::new();
    let store = data.open();
    assert_eq!(store.wait_for_change(0, Duration::from_millis(10)), 0);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| store.wait_for_change(0, Duration::from_secs(60)));
        let began = Instant::now();
        tenant(&store, "acme");
        assert_eq!(waiter.join().unwrap(), 1);
        assert!(began.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn the_log_is_read_page_by_page_and_tenant_by_tenant() {
    let data = Data::new();
    let store = data.open();
    for owner in ["a", "b", "c"] {
        tenant(&store, owner);
    }
    let page = store.audit(None, None, 2).unwrap();
    assert_eq!(page.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [3, 2]);
    let rest = store.audit(None, Some(2), 2).unwrap();
    assert_eq!(rest.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1]);
    let own = store.audit(Some("b"), None, 10).unwrap();
    assert_eq!((own.len(), own[0].by.as_str(), own[0].at_ms), (1, "test", 1));
}

#[test]
fn a_tenant_that_binds_its_own_numbers_takes_no_call_of_another_and_not_all_of_them() {
    let data = Data::new();
    let store = data.open();
    for owner in ["acme", "rival"] {
        tenant(&store, owner);
        upload(&store, owner, "menu", b"1");
    }
    let on_trunk = |called, trunk: &str| Route { trunk: Some(name(trunk)), ..route("r", called, "menu") };
    let prefix = |text: &str| Called::Prefix(text.into());
    store.put_route(&by(3), "acme", &route("desk", prefix("+9122"), "menu"), Overlap::Allowed).unwrap();
    store.put_route(&by(3), "acme", &on_trunk(prefix("+44"), "exotel"), Overlap::Allowed).unwrap();
    for called in [exact("+912261"), prefix("+91"), prefix("+91226"), Called::Uri("sip:*@rival.example.com".into())] {
        let refused = store.put_route(&by(4), "rival", &route("r", called, "menu"), Overlap::Refused).unwrap_err();
        assert!(matches!(refused, Error::CalledTaken { .. }) && !refused.to_string().contains("acme"), "{refused}");
    }
    for called in [prefix(""), prefix("+"), Called::Uri("sip:*@*".into())] {
        let refused = store.put_route(&by(4), "rival", &route("r", called, "menu"), Overlap::Refused).unwrap_err();
        assert!(refused.to_string().contains("only the operator"), "{refused}");
    }
    assert!(store.routes("rival").unwrap().is_empty());
    // Of one trunk is apart from another trunk, and not from any trunk.
    store.put_route(&by(5), "rival", &on_trunk(prefix("+44"), "twilio"), Overlap::Refused).unwrap();
    assert!(store.put_route(&by(5), "rival", &on_trunk(exact("+441"), "exotel"), Overlap::Refused).is_err());
    assert!(store.put_route(&by(5), "rival", &route("any", exact("+441"), "menu"), Overlap::Refused).is_err());
    // What the operator bound for it stays its own, also where it overlaps.
    store.put_route(&by(6), "rival", &route("vip", exact("+91227"), "menu"), Overlap::Allowed).unwrap();
    let ringing = Route { ring: true, ..route("vip", exact("+91227"), "menu") };
    store.put_route(&by(7), "rival", &ringing, Overlap::Refused).unwrap();
    assert!(store.put_route(&by(8), "rival", &route("vip", exact("+91228"), "menu"), Overlap::Refused).is_err());
}

#[test]
fn engines_of_a_tenant_are_kept_and_bounded() {
    let data = Data::new();
    let engines = |text: &str| json!({ "chat": { "url": text } }).as_object().unwrap().clone();
    let store = data.open();
    store.create_tenant(&by(1), &name("acme"), Quotas::default()).unwrap();
    let wanted = engines("https://a.example/v1");
    assert_eq!(store.set_engines(&by(2), "acme", &wanted).unwrap().engines, wanted);
    let before = store.sequence();
    store.set_engines(&by(2), "acme", &wanted).unwrap();
    assert_eq!(store.sequence(), before, "they are so already");
    let many = engines(&"x".repeat(16 << 10));
    assert!(matches!(store.set_engines(&by(2), "acme", &many), Err(Error::Invalid(_))));
    drop(store);
    assert_eq!(data.open().tenant("acme").unwrap().engines, wanted);
}
