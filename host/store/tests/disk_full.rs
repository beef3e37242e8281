//! A disk without room: an error of its own, and the state as it was. The steps of one file are in `components`.

mod setup;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use setup::*;
use store::*;

/// Set: this process sees a small disk there that only it can see.
const DISK: &str = "PATCHBAY_SMALL_DISK";
const DISK_BYTES: usize = 3 << 20;

#[test]
fn a_database_at_its_largest_refuses_changes_and_keeps_what_it_has() {
    let data = Data::new();
    let store = data.open_with(Settings { database_bytes_max: 512 << 10, ..Settings::default() }).unwrap();
    tenant(&store, "acme");
    let put = fill_with_secrets(&store);
    assert!(put > 10, "{put}");
    assert_eq!(store.reveal_secret("acme", "s0").unwrap().reveal().len(), SECRET_BYTES_MAX);
    store.delete_tenant(&by(9), "acme").unwrap();
    tenant(&store, "next");
}

#[test]
fn on_a_disk_that_fills_up_each_verb_does_all_or_nothing_and_room_mends_it() {
    if let Some(disk) = std::env::var_os(DISK) {
        return on_a_small_disk(Path::new(&disk));
    }
    let folder = Data::new();
    let test = "on_a_disk_that_fills_up_each_verb_does_all_or_nothing_and_room_mends_it";
    let mount = format!("mount -t tmpfs -o size={DISK_BYTES} none \"$0\" && exec \"$@\"");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount])
        .arg(&folder.0)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DISK, &folder.0)
        .output();
    let told = output.map_or_else(
        |error| error.to_string(),
        |output| {
            if output.status.success() {
                String::new()
            } else {
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
            }
        },
    );
    // Not everybody may mount; where it counts, everybody can.
    let may_mount = !told.starts_with("unshare:") && !told.contains("mount:") && !told.contains("No such file");
    if may_mount || std::env::var_os("CI").is_some() {
        assert_eq!(told, "");
    } else {
        println!("no small disk can be mounted here, nothing was tested: {told}");
    }
}

fn on_a_small_disk(disk: &Path) {
    let open = || SqliteStore::open(&disk.join("data"), Settings::default());
    let store = open().unwrap();
    tenant(&store, "acme");
    let first = upload(&store, "acme", "menu", b"one");
    store.activate(&by(3), "acme", "menu", &to(first)).unwrap();

    let uploaded = fill_with_components(&store);
    assert_eq!(store.versions("acme", "menu").unwrap().len(), uploaded + 1);
    let files: Vec<_> =
        fs::read_dir(disk.join("data/components")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), uploaded + 1, "{files:?}");
    assert!(files.iter().all(|file| file.extension().is_some_and(|ending| ending == "wasm")), "{files:?}");

    fill_to_the_last_byte(&disk.join("filler"));
    let before = (store.plugins("acme").unwrap(), store.sequence());
    let full = store.upload(&by(5), "acme", &name("menu"), b"another", "0.1.0");
    assert!(matches!(full, Err(Error::DiskFull { .. })), "{full:?}");
    assert_eq!((store.plugins("acme").unwrap(), store.sequence()), before);
    fill_with_secrets(&store);
    assert_eq!(store.component(&first).unwrap(), b"one");
    drop(store);

    // A host that starts on a full disk either runs or says why not; what it holds is safe.
    match open() {
        Ok(store) => assert_eq!(store.plugins("acme").unwrap(), before.0),
        Err(error) => assert!(matches!(error, Error::DiskFull { .. }), "{error}"),
    }
    fs::remove_file(disk.join("filler")).unwrap();
    let store = open().unwrap();
    assert_eq!(store.plugins("acme").unwrap(), before.0);
    let second = upload(&store, "acme", "menu", b"two");
    store.activate(&by(7), "acme", "menu", &to(second)).unwrap();
}

/// Until there is no room. Returns how many there are; the log tells as many.
fn fill_with_secrets(store: &SqliteStore) -> usize {
    let value = SecretValue::new("x".repeat(SECRET_BYTES_MAX)).unwrap();
    let put = |index: usize| store.put_secret(&by(4), "acme", &name(&format!("s{index}")), &value.clone().into());
    // Over and over: a disk may have room for more than there may be, and the log grows on.
    let before = store.sequence();
    let (done, error) = loop_until_error(|index| put(index % SECRETS_PER_TENANT_MAX));
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert_eq!(store.secrets("acme").unwrap().len(), done.min(SECRETS_PER_TENANT_MAX));
    assert_eq!(store.sequence(), before + done as u64);
    assert!(store.audit(Some("acme"), None, 1).unwrap().iter().all(|entry| entry.sequence == store.sequence()));
    done
}

fn fill_with_components(store: &SqliteStore) -> usize {
    let (uploaded, error) = loop_until_error(|index| {
        let bytes = vec![index as u8; 300_000];
        store.upload(&by(4), "acme", &name("menu"), &bytes, "0.1.0").map(drop)
    });
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert!(uploaded > 0);
    uploaded
}

fn loop_until_error(verb: impl Fn(usize) -> Result<()>) -> (usize, Error) {
    for index in 0..10_000 {
        if let Err(error) = verb(index) {
            return (index, error);
        }
    }
    panic!("the disk never filled up")
}

fn fill_to_the_last_byte(path: &Path) {
    let mut file = File::create(path).unwrap();
    for length in [4096, 1] {
        while file.write_all(&vec![0; length]).is_ok() {}
    }
}
