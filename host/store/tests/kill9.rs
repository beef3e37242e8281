//! kill -9 at random moments of uploads, activations and deletions: each plugin is the complete old or the complete new one, and
//! what bots keep is what was answered last, or one more.
//!
//! `PATCHBAY_KILL9_RUNS` says how often (30), `PATCHBAY_KILL9_SEED` with which moments. A kill leaves what the system
//! had taken to its cache; that a loss of power leaves it too is for fsync and SQLite's synchronous=FULL, and not seen here.

mod setup;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use setup::*;
use store::*;

/// Set: this process is the one to be killed, and this its data folder.
const CHILD: &str = "PATCHBAY_KILL9_CHILD";
const PLUGINS: [&str; 3] = ["echo", "menu", "agent"];
/// A key that is counted up.
const COUNT: &str = "count";
/// From the child's first word to its end.
const LIFE_MS_MAX: u64 = 120;

/// What every build of every plugin is, so that any file can be told to be whole.
fn build(plugin: &str, number: u64) -> Vec<u8> {
    let seed = number * 16 + PLUGINS.iter().position(|name| *name == plugin).unwrap() as u64;
    let mut random = SmallRng::seed_from_u64(seed);
    let mut bytes = vec![0; random.random_range(1..300_000)];
    random.fill(&mut bytes[..]);
    bytes
}

#[test]
fn after_a_kill_at_any_moment_each_plugin_is_the_complete_old_or_the_complete_new_one() {
    if let Some(data) = std::env::var_os(CHILD) {
        live_until_killed(Path::new(&data));
    }
    let number = |name: &str, default| std::env::var(name).ok().map_or(default, |text| text.parse().expect(name));
    let (runs, seed) = (number("PATCHBAY_KILL9_RUNS", 30), number("PATCHBAY_KILL9_SEED", 1));
    let data = Data::new();
    tenant(&data.open(), "acme");
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut answered, mut collected) = (BTreeMap::new(), 0);
    for run in 0..runs {
        let life = Duration::from_micros(random.random_range(0..LIFE_MS_MAX * 1000));
        killed_after(&data, life, &mut answered);
        collected += check(&data, &mut answered, &format!("run {run} of seed {seed}, killed after {life:?}"));
    }
    let generations: u64 = answered.values().sum();
    println!("{runs} kills, {generations} activations, {collected} files collected");
    assert!(generations >= runs, "the children did too little for this to say anything: {generations} activations");
}

/// Starts a child, hears what it has done, and kills it. A plugin's last answered generation is in `answered`.
fn killed_after(data: &Data, life: Duration, answered: &mut BTreeMap<String, u64>) {
    let mut child = start(data);
    let (line, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        // The test harness may print before and between.
        let own =
            stdout.lines().map_while(|line| line.ok()).filter_map(|line| Some(line.split_once('#')?.1.to_owned()));
        own.for_each(|text| line.send(text).unwrap_or(()));
    });
    assert_eq!(lines.recv_timeout(Duration::from_secs(60)).as_deref(), Ok("ready"));
    std::thread::sleep(life);
    child.kill().expect("the child was still alive");
    let ended = child.wait().unwrap();
    assert!(!ended.success());
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "it ended by itself: {ended}");
    reader.join().unwrap();
    for text in lines.try_iter() {
        let (plugin, generation) = text.split_once(' ').expect("a plugin and a generation");
        answered.insert(plugin.to_owned(), generation.parse().expect("a number"));
    }
}

fn start(data: &Data) -> Child {
    let test = "after_a_kill_at_any_moment_each_plugin_is_the_complete_old_or_the_complete_new_one";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, data.data())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be run again")
}

/// Returns how many files the kill had left behind.
fn check(data: &Data, answered: &mut BTreeMap<String, u64>, when: &str) -> usize {
    let store = data.open();
    assert!(store.found().missing.is_empty(), "{when}: {:?}", store.found());
    let mut in_use = Vec::new();
    for plugin in store.plugins("acme").unwrap() {
        let name = &*plugin.name;
        let before = answered.get(name).copied().unwrap_or(0);
        // One more may have been written and not been answered.
        assert!((before..=before + 1).contains(&plugin.last_generation), "{when}: {before} answered, {plugin:?}");
        answered.insert(name.to_owned(), plugin.last_generation);
        for (_, generation) in plugin.generations() {
            // Each generation activates the build of its own number.
            let whole = build(name, generation.number);
            assert_eq!(generation.digest, Digest::of(&whole), "{when}: {plugin:?}");
            assert!(store.component(&generation.digest).unwrap() == whole, "{when}: {plugin:?}");
        }
        assert_eq!(plugin.current.as_ref().map_or(0, |current| current.number), plugin.last_generation, "{when}");
        let digests = store.versions("acme", name).unwrap().into_iter().map(|version| version.digest);
        in_use.extend(digests.inspect(|digest| drop(store.component(digest).expect(when))));
        check_audit(&store, &plugin, when);
    }
    check_count(&store, answered, when);
    in_use.sort();
    let files: Vec<String> = in_use.iter().map(|digest| format!("{digest}.wasm")).collect();
    assert_eq!(data.components(), files, "{when}");
    let collected = store.found().collected.len();
    drop(store);
    let database = rusqlite::Connection::open(data.data().join("patchbay.db")).unwrap();
    let sound: String = database.query_one("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let orphans: u64 =
        database.query_one("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!((sound.as_str(), orphans), ("ok", 0), "{when}");
    collected
}

/// The number that is kept under a key, and what it counts for.
fn check_count(store: &SqliteStore, answered: &mut BTreeMap<String, u64>, when: &str) {
    let kept = store.value("acme", COUNT, 1).unwrap();
    let count = kept.as_ref().map_or(0, |kept| std::str::from_utf8(kept).unwrap().parse().unwrap());
    let before = answered.get(COUNT).copied().unwrap_or(0);
    assert!((before..=before + 1).contains(&count), "{when}: {before} answered, {count} kept");
    answered.insert(COUNT.to_owned(), count);
    let versions: u64 =
        PLUGINS.iter().flat_map(|name| store.versions("acme", name).unwrap_or_default()).map(|v| v.bytes).sum();
    let pair = kept.map_or(0, |kept| COUNT.len() + kept.len() + PAIR_BYTES) as u64;
    assert_eq!(store.usage("acme").unwrap().storage_bytes, versions + pair, "{when}");
}

/// The log tells every activation, the last one as it is, and no more uploads and deletions than there were.
fn check_audit(store: &SqliteStore, plugin: &Plugin, when: &str) {
    let entries = store.audit(Some("acme"), None, AUDIT_PAGE_MAX).unwrap();
    let of = |action| entries.iter().filter(move |entry| entry.action == action && entry.subject == *plugin.name);
    // Pages end: what the first one does not hold was compared in an earlier run.
    if entries.len() < AUDIT_PAGE_MAX {
        assert_eq!(of(Action::Activate).count() as u64, plugin.last_generation, "{when}");
        let versions = store.versions("acme", &plugin.name).unwrap().len();
        assert_eq!(of(Action::Upload).count() - of(Action::DeleteVersion).count(), versions, "{when}");
    }
    let told = of(Action::Activate).next().map(|entry| entry.detail["current"].clone());
    let current = plugin.current.as_ref();
    let expected = current.map(|current| serde_json::json!({ "generation": current.number, "digest": current.digest }));
    assert_eq!(told, expected, "{when}");
}

/// Uploads and activates builds of all plugins at once, removes old ones, and says what is done.
fn live_until_killed(data: &Path) -> ! {
    let store = SqliteStore::open(data, Settings::default()).expect("the child opens the store");
    say("ready");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                count_up(&store);
            }
        });
        for plugin in PLUGINS {
            let store = &store;
            scope.spawn(move || {
                loop {
                    next_build(store, plugin);
                }
            });
        }
    });
    unreachable!("the threads never end")
}

fn count_up(store: &SqliteStore) {
    let before = store.value("acme", COUNT, 1).unwrap();
    let next = before.as_ref().map_or(0, |kept| std::str::from_utf8(kept).unwrap().parse::<u64>().unwrap()) + 1;
    assert!(store.swap_value("acme", COUNT, before.as_deref(), next.to_string().as_bytes(), 1).unwrap());
    say(&format!("{COUNT} {next}"));
}

fn next_build(store: &SqliteStore, plugin: &str) {
    let number = store.plugin("acme", plugin).map_or(0, |plugin| plugin.last_generation) + 1;
    let digest = upload(store, "acme", plugin, &build(plugin, number));
    let after = store.activate(&by(number), "acme", plugin, &to(digest)).unwrap();
    assert_eq!(after.last_generation, number);
    say(&format!("{plugin} {number}"));
    let kept: Vec<Digest> = after.generations().map(|(_, generation)| generation.digest).collect();
    for old in store.versions("acme", plugin).unwrap().iter().filter(|version| !kept.contains(&version.digest)) {
        store.delete_version(&by(number), "acme", plugin, &old.digest).unwrap();
    }
}

/// One write, so that a kill leaves no half of a line that looks like a whole one.
fn say(text: &str) {
    std::io::stdout().write_all(format!("#{text}\n").as_bytes()).expect("the parent listens");
}
