//! The compiled cache: what is not exactly what this host wrote is compiled again.

use crate::stage::{Folder, at, compiler, echo, engine, numbered};
use plugin::{Cache, CacheCounts, CompileLimits, Compiler, Digest, Engine, Limits, LoadError};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A cache with the echo bot in it, and the file that it lies in.
fn filled() -> (Folder, std::path::PathBuf) {
    let folder = Folder::new();
    compiler().load(&folder.cache(&engine()), "echo", echo(), at(0)).unwrap();
    let entries = folder.entries();
    assert_eq!(entries.len(), 1, "{entries:?}");
    let entry = entries.into_iter().next().unwrap();
    (folder, entry)
}

/// Nothing was taken from the cache, and what was there is gone.
fn is_rejected(cache: &Cache, why: &str) {
    let before = cache.counts();
    assert_eq!(cache.get(&Digest::of(echo()), at(1)), None, "{why}");
    assert_eq!(cache.counts(), CacheCounts { rejected: before.rejected + 1, ..before }, "{why}");
    assert_eq!(cache.get(&Digest::of(echo()), at(1)), None, "{why}");
    assert_eq!(cache.counts().misses, before.misses + 1, "{why}: the entry is gone");
}

fn is_compiled_again(folder: &Folder, cache: &Cache) {
    let plugin = compiler().load(cache, "echo", echo(), at(2)).unwrap();
    assert_eq!((plugin.made.try_out(), plugin.warnings), (Ok(()), Vec::new()));
    let hits = cache.counts().hits;
    assert!(cache.get(&Digest::of(echo()), at(3)).is_some());
    assert_eq!(cache.counts().hits, hits + 1);
    assert_eq!(folder.entries().len(), 1);
}

pub fn what_was_compiled_once_is_not_compiled_again() {
    let (folder, _) = filled();
    // Another host process on the same folder, whose compiler cannot be started.
    let engine = Engine::new(Limits::default()).unwrap();
    let cache = folder.cache(&engine);
    let compiler = Compiler::new(engine, "/nowhere/patchbay".into(), Vec::new(), CompileLimits::default());
    let plugin = compiler.load(&cache, "echo", echo(), at(1)).unwrap().made;
    assert_eq!(plugin.try_out(), Ok(()));
    assert_eq!(cache.counts(), CacheCounts { hits: 1, ..CacheCounts::default() });
    let error = compiler.load(&cache, "other", &numbered(1), at(1)).err().unwrap();
    assert!(error.to_string().starts_with("other: the host could not compile it: "), "{error}");
}

pub fn an_entry_that_was_changed_anywhere_is_compiled_again() {
    let (folder, entry) = filled();
    let cache = folder.cache(&engine());
    let good = fs::read(&entry).unwrap();
    // Each field of the header, and places in the code.
    let places = [0, 16, 47, 48, 79, 80, 87, 88, 119, 120, good.len() / 2, good.len() - 1];
    for place in places {
        let mut changed = good.clone();
        changed[place] ^= 1;
        fs::write(&entry, &changed).unwrap();
        is_rejected(&cache, &format!("byte {place}"));
    }
    is_compiled_again(&folder, &cache);
}

pub fn an_entry_cut_short_or_longer_is_compiled_again() {
    let (folder, entry) = filled();
    let cache = folder.cache(&engine());
    let good = fs::read(&entry).unwrap();
    for length in [0, 1, 119, 120, 121, good.len() - 1, good.len() + 1] {
        let mut changed = good.clone();
        changed.resize(length, 0);
        fs::write(&entry, &changed).unwrap();
        is_rejected(&cache, &format!("{length} bytes"));
    }
    is_compiled_again(&folder, &cache);
}

pub fn an_entry_under_another_key_is_compiled_again() {
    let (folder, _) = filled();
    fs::write(folder.key(), [7; 32]).unwrap();
    let cache = folder.cache(&engine());
    is_rejected(&cache, "another key");
    is_compiled_again(&folder, &cache);
}

pub fn an_entry_of_other_settings_or_another_component_is_compiled_again() {
    let (folder, entry) = filled();
    let other = other_engine();
    let cache = folder.cache(&other);
    assert_eq!(cache.get(&Digest::of(echo()), at(1)), None);
    assert_eq!(cache.counts(), CacheCounts { misses: 1, ..CacheCounts::default() });
    // Under the name of the other engine's entry, and of another component's.
    let name = entry.file_name().unwrap().to_str().unwrap();
    let other_settings = name.replace(&engine().settings().to_string()[..16], &other.settings().to_string()[..16]);
    assert_ne!(name, other_settings);
    fs::copy(&entry, entry.with_file_name(other_settings)).unwrap();
    is_rejected(&cache, "other settings");
    let another = Digest::of(b"another");
    let other_component = name.replace(&Digest::of(echo()).to_string(), &another.to_string());
    fs::rename(&entry, entry.with_file_name(other_component)).unwrap();
    let cache = folder.cache(&engine());
    assert_eq!(cache.get(&another, at(1)), None);
    assert_eq!(cache.counts().rejected, 1);
    is_compiled_again(&folder, &cache);
}

/// Memories of another size lie in other reservations, and the code knows.
fn other_engine() -> Engine {
    Engine::new(Limits { memory_bytes: 128 << 20, ..Limits::default() }).unwrap()
}

pub fn an_artefact_of_other_settings_is_not_loaded() {
    let artefact = compiler().compile("echo", echo()).unwrap().made;
    let error = other_engine().load_artefact("echo", &artefact).err();
    let reason = "compiled for another engine".to_owned();
    assert_eq!(error, Some(LoadError::NotCompiled { name: "echo".to_owned(), reason }));
}

pub fn a_link_in_the_place_of_an_entry_is_not_followed() {
    let (folder, entry) = filled();
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    let cache = folder.cache(&engine());
    assert_eq!(cache.get(&Digest::of(echo()), at(1)), None);
    is_compiled_again(&folder, &cache);
    assert!(elsewhere.exists() && !entry.is_symlink());
}

pub fn the_entry_unused_for_longest_goes_first() {
    let folder = Folder::new();
    let bots: Vec<Vec<u8>> = (0..4).map(numbered).collect();
    let artefacts: Vec<_> = bots.iter().map(|bot| compiler().compile("bot", bot).unwrap().made).collect();
    let all = folder.cache(&engine());
    all.put(&artefacts[0], at(0)).unwrap();
    let size = fs::metadata(&folder.entries()[0]).unwrap().len();
    all.put(&artefacts[1], at(1)).unwrap();
    all.put(&artefacts[2], at(2)).unwrap();
    // The oldest is used again, so the second is the one to go; their sizes differ by a few bytes at most.
    assert!(all.get(artefacts[0].component(), at(3)).is_some());
    let three = folder.cache_of(&engine(), 3 * size + size / 2);
    three.put(&artefacts[3], at(4)).unwrap();
    let kept: Vec<bool> = artefacts.iter().map(|a| three.get(a.component(), at(5)).is_some()).collect();
    assert_eq!(kept, [true, false, true, true]);
}

pub fn what_is_larger_than_the_cache_is_used_and_not_kept() {
    let folder = Folder::new();
    let cache = folder.cache_of(&engine(), 1000);
    let compiled = compiler().load(&cache, "echo", echo(), at(0)).unwrap();
    assert_eq!(compiled.made.try_out(), Ok(()));
    assert_eq!(folder.entries().len(), 0);
    let [warning] = &compiled.warnings[..] else { panic!("{:?}", compiled.warnings) };
    assert!(warning.starts_with("the compiled echo is not kept: it has "), "{warning}");
}

pub fn the_key_is_for_this_user_only() {
    let (folder, entry) = filled();
    for file in [folder.key(), entry] {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    let key = fs::read(folder.key()).unwrap();
    assert!(key.len() == 32 && key.iter().any(|byte| *byte != key[0]));
    folder.cache(&engine());
    assert_eq!(fs::read(folder.key()).unwrap(), key, "and stays");
    assert_ne!(fs::read(filled().0.key()).unwrap(), key, "and is each host's own");
}

pub fn a_key_that_others_can_read_is_replaced() {
    let (folder, _) = filled();
    let key = fs::read(folder.key()).unwrap();
    fs::set_permissions(folder.key(), fs::Permissions::from_mode(0o640)).unwrap();
    let cache = folder.cache(&engine());
    assert_ne!(fs::read(folder.key()).unwrap(), key);
    is_rejected(&cache, "under the key that was known");
    is_compiled_again(&folder, &cache);
}

pub fn what_a_killed_host_left_half_written_is_removed() {
    let (folder, entry) = filled();
    let left = entry.with_file_name("1234-0.unfinished");
    fs::write(&left, b"half").unwrap();
    folder.cache(&engine());
    assert_eq!(folder.entries(), [entry]);
}
