//! Who may open a data folder, and what is refused.

mod setup;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use setup::*;
use store::*;

fn refused(data: &Data) -> Error {
    data.open_with(Settings::default()).err().expect("the store was opened")
}

#[test]
fn a_database_of_a_newer_patchbay_is_refused_and_left_as_it_is() {
    let data = Data::new();
    drop(data.open());
    let file = data.data().join("patchbay.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database.execute("INSERT INTO migrations (schema, patchbay) VALUES (99, '9.9.9')", []).unwrap();
    drop(database);
    let error = refused(&data);
    assert!(matches!(error, Error::NewerSchema { found: 99, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("newer patchbay (schema 99"), "{error}");
}

#[test]
fn one_process_at_a_time_has_a_data_folder() {
    let data = Data::new();
    let store = data.open();
    assert!(matches!(refused(&data), Error::FolderInUse { .. }));
    drop(store);
    data.open();
}

#[test]
fn only_the_hosts_user_may_read_what_is_kept() {
    let data = Data::new();
    let store = data.open();
    tenant(&store, "acme");
    upload(&store, "acme", "menu", b"one");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data.data()), 0o700);
    assert_eq!(mode(&data.data().join("components")), 0o700);
    for name in ["patchbay.db", "patchbay.db-wal", "patchbay.db-shm", "host.key", "lock"] {
        assert_eq!(mode(&data.data().join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_database_opens_with_the_key_that_sealed_it_and_no_other() {
    let data = Data::new();
    drop(data.open());
    let key = data.data().join("host.key");
    let own = fs::read(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&data).to_string().contains("chmod 600"));
    fs::remove_file(&key).unwrap();
    assert!(refused(&data).to_string().contains("missing"));
    assert!(!key.exists(), "a new key was made beside a database that knows another");
    let write = |bytes: &[u8]| {
        fs::write(&key, bytes).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(&[7; 32]);
    assert!(refused(&data).to_string().contains("another key"));
    write(&[7; 31]);
    assert!(refused(&data).to_string().contains("32 bytes"));
    write(&own);
    data.open();
}

#[test]
fn keys_for_other_purposes_are_the_same_after_a_restart_and_differ_from_each_other() {
    let data = Data::new();
    let cache = data.open().key().derive("compiled cache");
    let store = data.open();
    assert_eq!(store.key().derive("compiled cache"), cache);
    assert_ne!(store.key().derive("another"), cache);
}

#[test]
fn what_is_not_a_database_is_told_as_damaged() {
    let data = Data::new();
    fs::create_dir_all(data.data()).unwrap();
    fs::write(data.data().join("patchbay.db"), b"this is no database, whatever its name says; it is text".repeat(100))
        .unwrap();
    assert!(matches!(refused(&data), Error::Damaged { .. }));
}
