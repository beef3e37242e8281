//! Tenants kept in files.

mod setup;

use std::fs;
use std::path::Path;

use setup::*;
use store::*;

const ACME: &str = r#"
[quotas]
calls = 5

[live]
policy = "move"
limit_s = 30

[[routes]]
name = "desk"
trunk = "exotel"
called = { exact = "+912261234567" }
plugin = "menu"
fallback = { prompt = "sorry" }
config = { greeting = "hi" }
ring = true

[[routes]]
name = "all"
called = { prefix = "" }
plugin = "echo"
"#;

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn acme(data: &Data) -> std::path::PathBuf {
    let folder = data.0.join("tenants");
    write(
        &folder,
        &[
            ("acme/tenant.toml", ACME),
            ("acme/bots/menu.wasm", "menu 1"),
            ("acme/bots/echo.wasm", "echo 1"),
            ("acme/bots/notes.txt", "not a bot"),
            ("acme/secrets/key", "horse\n"),
            (".git/tenant.toml", "hidden"),
            ("README", "not a tenant"),
        ],
    );
    folder
}

type Read = std::result::Result<FolderTenant, Problems>;

fn read(folder: &Path) -> Vec<(String, Read)> {
    read_folder(folder, 1000).unwrap().collect()
}

fn the_only(folder: &Path) -> FolderTenant {
    read(folder).pop().unwrap().1.unwrap()
}

/// What is wrong with a tenant of this tenant.toml and the bots `menu` and `echo`.
fn problems(text: &str) -> Problems {
    let bots = ["menu", "echo"].map(|bot| (bot.to_owned(), Vec::new())).to_vec();
    let files = TenantFiles { name: "acme".into(), text: text.into(), bots, ..TenantFiles::default() };
    read_tenant(files).err().unwrap_or_default()
}

#[test]
fn a_folder_is_the_same_model_as_the_api() {
    let data = Data::new();
    let folder = acme(&data);
    let found = read(&folder);
    assert_eq!(found.len(), 1, "hidden folders and files are not tenants");
    let tenant = the_only(&folder);
    assert_eq!((&*tenant.name, tenant.quotas), ("acme", Quotas { calls: 5, ..Quotas::default() }));
    assert_eq!(tenant.live, Live { policy: LivePolicy::Move, limit_s: Some(30) });
    let desk = &tenant.routes[0];
    assert_eq!((&desk.called, desk.ring, &desk.config["greeting"]), (&exact("+912261234567"), true, &"hi".into()));
    assert_eq!(desk.fallback, Some(Fallback::Prompt(name("sorry"))));
    assert_eq!(tenant.bots.keys().map(|bot| &**bot).collect::<Vec<_>>(), ["echo", "menu"]);
    assert_eq!(tenant.secrets[&name("key")].value.reveal(), "horse");
}

#[test]
fn an_unknown_key_is_an_error_with_a_hint_at_any_depth() {
    for (text, expected) in [
        ("quota = {}", "quota: unknown key (did you mean `quotas`?)"),
        ("zzz = 1", "zzz: unknown key (known here: quotas, egress, speech, chat, live, routes, secrets)"),
        ("[quotas]\ncals = 1", "quotas.cals: unknown key (did you mean `calls`?)"),
        ("[live]\npolice = 'move'", "live.police: unknown key (did you mean `policy`?)"),
        (
            "[[routes]]\nname = 'a'\ncalled = { prefix = '' }\nplugin = 'menu'\nrings = true",
            "routes[0].rings: unknown key (did you mean `ring`?)",
        ),
        ("[routes]\nname = 'a'", "routes: expected a list of tables, found table (write [[routes]])"),
        ("quotas = 7", "quotas: expected a table, found integer"),
        ("[quotas]\ncalls = -1", "quotas: "),
        ("[quotas]\nplayout_ms = 1", "quotas.playout_ms: 1 is outside 20 to 600000"),
        ("[live]\npolicy = 'kill'", "live: unknown variant `kill`"),
        ("[live]\nlimit_s = 0", "live.limit_s: 0 is outside 1 to 86400"),
        ("a = [\n", "tenant.toml: line "),
        (
            "[[routes]]\nname = 'a'\ncalled = { prefix = '' }\nplugin = 'men'",
            "routes[0].plugin: there is no plugin `men` (did you mean `menu`?)",
        ),
        ("[[routes]]\nname = 'a'\ncalled = { suffix = '' }\nplugin = 'menu'", "routes[0]: "),
        ("[[routes]]\nname = 'a b'\ncalled = { prefix = '' }\nplugin = 'menu'", "\"a b\" is not a name"),
    ] {
        let told = problems(text).to_string();
        assert!(told.contains(expected), "{text}\n{told}\n{expected}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = "x = 1\n[quotas]\ncalls = 1000000\nguest_memory_mb = 0\n[[routes]]\nname = 'a'\ncalled = { exact = '' }\nplugin = 'p'";
    let paths: Vec<String> = problems(text).0.into_iter().map(|problem| problem.path).collect();
    let expected = ["quotas.calls", "quotas.guest_memory_mb", "x", "routes[0].called.exact", "routes[0].plugin"];
    assert_eq!(paths, expected);
}

#[test]
fn two_routes_of_a_folder_with_one_name_or_the_same_calls_are_an_error() {
    let route = |name: &str, prefix: &str| {
        format!("[[routes]]\nname = '{name}'\ncalled = {{ prefix = '{prefix}' }}\nplugin = 'menu'\n")
    };
    assert!(problems(&[route("a", "1"), route("b", "2")].concat()).0.is_empty());
    assert_eq!(problems(&[route("a", "1"), route("a", "2")].concat()).0[0].path, "routes[1].name");
    assert_eq!(problems(&[route("a", "1"), route("b", "1")].concat()).0[0].path, "routes[1].called");
}

#[test]
fn a_broken_folder_harms_no_other_and_says_which_file() {
    let data = Data::new();
    let folder = acme(&data);
    write(
        &folder,
        &[
            ("broken/tenant.toml", "quotas = ["),
            ("empty/bots/x.wasm", "x"),
            ("bad name/tenant.toml", ""),
            ("long/tenant.toml", ""),
            ("long/bots/x.wasm", &"x".repeat(1001)),
            ("long/bots/a b.wasm", ""),
            ("long/secrets/void", "\n"),
            ("plain/tenant.toml", ""),
        ],
    );
    fs::create_dir_all(folder.join("folders/tenant.toml")).unwrap();
    let told: Vec<(String, Option<String>)> =
        read(&folder).into_iter().map(|(name, read)| (name, read.err().map(|problems| problems.to_string()))).collect();
    let of = |name: &str| told.iter().find(|(tenant, _)| tenant == name).unwrap().1.clone();
    assert_eq!((of("acme"), of("plain")), (None, None));
    for (tenant, says) in [
        ("broken", "tenant.toml: line 1"),
        ("empty", "tenant.toml: No such file"),
        ("bad name", "is not a name"),
        ("long", "bots/x.wasm: is longer than 1000 bytes"),
        ("long", "bots/a b.wasm: \"a b\" is not a name"),
        ("long", "secrets/void: is empty"),
        ("folders", "tenant.toml: is not a file"),
    ] {
        let told = of(tenant).unwrap();
        assert!(told.contains(says), "{tenant}: {told}");
    }
    assert!(read_folder(&folder.join("nowhere"), 1000).is_err());
}

#[test]
fn a_folder_is_taken_over_whole_and_again_without_a_change() {
    let data = Data::new();
    let store = data.open();
    let tenant = the_only(&acme(&data));
    assert!(store.put_folder_tenant(&by(1), &tenant).unwrap());
    let sequence = store.sequence();
    assert!(!store.put_folder_tenant(&by(2), &tenant).unwrap());
    assert_eq!(store.sequence(), sequence);
    let menu = store.plugin("acme", "menu").unwrap();
    let current = menu.current.unwrap();
    assert_eq!((current.number, current.digest, current.live), (1, Digest::of(b"menu 1"), tenant.live));
    assert_eq!(store.routes("acme").unwrap().len(), 2);
    assert_eq!(store.reveal_secret("acme", "key").unwrap().reveal(), "horse");
    assert_eq!(store.tenant("acme").unwrap().source, Source::Folder(tenant.file));
}

#[test]
fn what_changes_in_a_folder_changes_here_and_what_is_gone_is_gone() {
    let data = Data::new();
    let store = data.open();
    let folder = acme(&data);
    store.put_folder_tenant(&by(1), &the_only(&folder)).unwrap();
    for build in 2..=4 {
        write(&folder, &[("acme/bots/menu.wasm", &format!("menu {build}"))]);
        assert!(store.put_folder_tenant(&by(build), &the_only(&folder)).unwrap());
    }
    let menu = store.plugin("acme", "menu").unwrap();
    let digests = [menu.current, menu.previous].map(|slot| slot.map(|generation| generation.digest));
    assert_eq!(digests, [Some(Digest::of(b"menu 4")), Some(Digest::of(b"menu 3"))]);
    assert_eq!(data.components().len(), 3, "two builds of menu, one of echo");
    // The two routes swap their numbers; one plugin and the secret go.
    let swapped = "[[routes]]\nname = 'desk'\ncalled = { prefix = '' }\nplugin = 'menu'\n\
                   [[routes]]\nname = 'all'\ntrunk = 'exotel'\ncalled = { exact = '+912261234567' }\nplugin = 'menu'";
    write(&folder, &[("acme/tenant.toml", swapped), ("acme/secrets/other", "x")]);
    fs::remove_file(folder.join("acme/bots/echo.wasm")).unwrap();
    fs::remove_file(folder.join("acme/secrets/key")).unwrap();
    store.put_folder_tenant(&by(9), &the_only(&folder)).unwrap();
    let calls: Vec<String> = store.routes("acme").unwrap().iter().map(|route| route.called.to_string()).collect();
    assert_eq!(calls, ["exact `+912261234567`", "prefix ``"]);
    assert_eq!(store.plugins("acme").unwrap().len(), 1);
    let secrets: Vec<Name> = store.secrets("acme").unwrap().into_iter().map(|secret| secret.name).collect();
    assert_eq!(secrets, [name("other")]);
    assert_eq!(store.tenant("acme").unwrap().quotas, Quotas::default());
    let Changes::These(changes) = store.changes(0).unwrap() else { panic!() };
    let last: Vec<Action> = changes.iter().filter(|change| change.at_ms == 9).map(|change| change.action).collect();
    assert!(last.contains(&Action::DeletePlugin) && last.contains(&Action::SetQuotas), "{last:?}");
    store.delete_folder_tenant(&by(10), "acme").unwrap();
    assert!(data.components().is_empty() && store.tenants().unwrap().is_empty());
}

#[test]
fn a_folder_that_cannot_be_taken_over_changes_nothing_and_leaves_no_file() {
    let data = Data::new();
    let store = data.open();
    let folder = acme(&data);
    store.put_folder_tenant(&by(1), &the_only(&folder)).unwrap();
    let before = (store.sequence(), data.components(), store.plugins("acme").unwrap());
    let small = format!("{ACME}\n").replace("calls = 5", "storage_bytes = 20");
    write(&folder, &[("acme/tenant.toml", &small), ("acme/bots/menu.wasm", "a longer one than fits")]);
    let error = store.put_folder_tenant(&by(2), &the_only(&folder)).unwrap_err();
    assert!(matches!(error, Error::StorageQuota { quota: 20, .. }), "{error}");
    assert_eq!((store.sequence(), data.components(), store.plugins("acme").unwrap()), before);
    assert_eq!(store.tenant("acme").unwrap().quotas.calls, 5);
}

#[test]
fn a_tenant_belongs_to_one_source_and_the_refusal_names_the_file() {
    let data = Data::new();
    let store = data.open();
    let folder_tenant = the_only(&acme(&data));
    store.put_folder_tenant(&by(1), &folder_tenant).unwrap();
    let digest = Digest::of(b"menu 1");
    let value = SecretValue::new("x").unwrap();
    let desk = route("desk", exact("1"), "menu");
    let before = store.sequence();
    let refusals: [Result<()>; 11] = [
        store.set_quotas(&by(2), "acme", Quotas::default()).map(drop),
        store.delete_tenant(&by(2), "acme"),
        store.put_route(&by(2), "acme", &desk, Overlap::Allowed),
        store.delete_route(&by(2), "acme", "desk"),
        store.put_secret(&by(2), "acme", &name("key"), &value.into()),
        store.set_egress(&by(2), "acme", &[]).map(drop),
        store.delete_secret(&by(2), "acme", "key"),
        store.upload(&by(2), "acme", &name("menu"), b"2", "0.1.0").map(drop),
        store.activate(&by(2), "acme", "menu", &to(digest)).map(drop),
        store.roll_back(&by(2), "acme", "menu", &RollBack::default()).map(drop),
        store.delete_plugin(&by(2), "acme", "menu"),
    ];
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert!(matches!(error, Error::FromFolder { .. }) && error.to_string().contains("acme/tenant.toml"), "{error}");
    }
    let version = store.delete_version(&by(2), "acme", "menu", &digest);
    assert!(matches!(version, Err(Error::FromFolder { .. })));
    assert_eq!(store.sequence(), before);
    // Tokens are the API's for every tenant: a folder cannot hold one.
    store.create_token(&by(3), &Scope::Read(name("acme")), "").unwrap();
    tenant(&store, "api");
    let theirs = FolderTenant { name: name("api"), ..folder_tenant };
    assert!(matches!(store.put_folder_tenant(&by(4), &theirs), Err(Error::FromApi { .. })));
    assert!(matches!(store.delete_folder_tenant(&by(4), "api"), Err(Error::FromApi { .. })));
}
