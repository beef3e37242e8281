//! Any verbs in any order: what is refused changes nothing, what changes has its entry, and a restart changes nothing at all.

mod setup;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use setup::*;
use store::*;

const SEEDS: u64 = 12;
const STEPS: u64 = 120;

/// All that can be seen, but for the log.
fn seen(store: &SqliteStore) -> String {
    let mut seen = String::new();
    for tenant in store.tenants().unwrap() {
        let name = &*tenant.name;
        let parts = (store.routes(name).unwrap(), store.plugins(name).unwrap(), store.secrets(name).unwrap());
        seen +=
            &format!("{tenant:?} {parts:?} {:?} {:?}\n", store.tokens(Some(name)).unwrap(), store.usage(name).unwrap());
        for plugin in parts.1 {
            let versions = store.versions(name, &plugin.name).unwrap();
            versions.iter().for_each(|version| drop(store.component(&version.digest).unwrap()));
            seen += &format!("{versions:?}\n");
        }
    }
    seen
}

fn any<'a>(random: &mut SmallRng, words: &[&'a str]) -> &'a str {
    words[random.random_range(0..words.len())]
}

fn folder(random: &mut SmallRng, tenant: &str) -> FolderTenant {
    let bots = ["menu", "echo"].iter().filter(|_| random.random_bool(0.7)).map(|bot| {
        let bytes = vec![0xf0, bot.len() as u8, 1];
        (name(bot), FolderBot { bytes, wit: "0.1.0".into() })
    });
    let bots: std::collections::BTreeMap<_, _> = bots.collect();
    let routes = bots.keys().map(|bot| route(bot, exact(any(random, &["1", "2", "3"])), bot)).collect();
    FolderTenant {
        name: name(tenant),
        file: format!("tenants/{tenant}/tenant.toml"),
        quotas: Quotas::default(),
        live: Live::default(),
        routes,
        egress: Vec::new(),
        engines: serde_json::Map::new(),
        secrets: [(name("key"), FolderSecret { value: SecretValue::new("x").unwrap(), scope: SecretScope::default() })]
            .into(),
        bots,
    }
}

/// One verb with arguments of a small world, so that it meets what others did.
fn step(store: &SqliteStore, random: &mut SmallRng, at_ms: u64) -> Result<()> {
    let by = &by(at_ms);
    let tenant = any(random, &["a", "b", "c"]);
    let plugin = any(random, &["menu", "echo", "agent"]);
    let bytes = [random.random_range(0..5u8)];
    let digest = Digest::of(&bytes);
    match random.random_range(0..17) {
        0 => store.create_tenant(by, &name(tenant), Quotas::default()).map(drop),
        1 => store
            .set_quotas(by, tenant, Quotas { storage_bytes: random.random_range(1..5), ..Quotas::default() })
            .map(drop),
        2 if random.random_bool(0.2) => store.delete_tenant(by, tenant),
        3 => store.put_route(
            by,
            tenant,
            &route(any(random, &["x", "y"]), exact(any(random, &["1", "2", "3"])), plugin),
            Overlap::Allowed,
        ),
        4 => store.delete_route(by, tenant, any(random, &["x", "y"])),
        5 => store.put_secret(by, tenant, &name("key"), &SecretValue::new("x")?.into()),
        6 => store.delete_secret(by, tenant, "key"),
        7 => store.create_token(by, &Scope::Read(name(tenant)), "").map(drop),
        8 => {
            store.revoke_token(by, &store.tokens(Some(tenant))?.first().map_or(String::new(), |token| token.id.clone()))
        }
        9 | 10 => store.upload(by, tenant, &name(plugin), &bytes, "0.1.0").map(drop),
        11 | 12 => {
            let canary_percent = random.random_bool(0.3).then_some(10);
            store.activate(by, tenant, plugin, &Activate { canary_percent, ..to(digest) }).map(drop)
        }
        13 => store.roll_back(by, tenant, plugin, &RollBack::default()).map(drop),
        14 => store.delete_version(by, tenant, plugin, &digest),
        15 => store.delete_plugin(by, tenant, plugin),
        16 => store.put_folder_tenant(by, &folder(random, "c")).map(drop),
        _ => store.delete_folder_tenant(by, "c"),
    }
}

#[test]
fn what_is_refused_changes_nothing_and_what_changes_is_told() {
    let (mut done, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let data = Data::new();
        let mut store = data.open();
        let mut random = SmallRng::seed_from_u64(seed);
        let mut before = (seen(&store), store.sequence());
        for at in 1..=STEPS {
            let outcome = step(&store, &mut random, at);
            let after = (seen(&store), store.sequence());
            let when = format!("seed {seed}, step {at}: {outcome:?}");
            match &outcome {
                Ok(()) => done += 1,
                Err(error) => {
                    refused += 1;
                    assert_eq!(after, before, "{when}");
                    assert!(!matches!(error, Error::Database(_) | Error::Damaged { .. } | Error::Io { .. }), "{when}");
                }
            }
            assert_eq!(after.0 != before.0, after.1 != before.1, "{when}");
            let Changes::These(told) = store.changes(before.1).unwrap() else { panic!("{when}") };
            assert_eq!(told.len() as u64, after.1 - before.1, "{when}");
            assert!(told.iter().all(|entry| entry.at_ms == at), "{when}");
            before = after;
            if random.random_ratio(1, 40) {
                drop(store);
                store = data.open();
                assert_eq!((seen(&store), store.sequence()), before, "seed {seed}, a restart after step {at}");
                assert_eq!(*store.found(), Found::default(), "seed {seed}, a restart after step {at}");
            }
        }
    }
    // Both kinds were seen, or this says nothing.
    assert!(done > 300 && refused > 300, "{done} done, {refused} refused");
}
