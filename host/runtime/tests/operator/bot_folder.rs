//! The folder of the bots: whole files only, each change once.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use runtime::bot_folder::{BotFile, BotFolder, FolderBounds};

const BOUNDS: FolderBounds = FolderBounds { bots_max: 3, bytes_max: 1000 };

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("patchbay-bots-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn changed(name: &str, bytes: &[u8]) -> BotFile {
    BotFile::Changed { name: name.into(), bytes: bytes.into() }
}

async fn next(bots: &mut BotFolder) -> BotFile {
    tokio::time::timeout(Duration::from_secs(10), bots.next()).await.expect("a change in time").unwrap()
}

async fn nothing(bots: &mut BotFolder, for_ms: u64) {
    let event = tokio::time::timeout(Duration::from_millis(for_ms), bots.next()).await;
    assert!(event.is_err(), "unexpected: {event:?}");
}

#[tokio::test]
async fn what_is_there_comes_first_and_then_each_change() {
    let folder = folder("changes");
    std::fs::write(folder.join("echo.wasm"), "one").unwrap();
    std::fs::write(folder.join("readme.txt"), "not a bot").unwrap();
    let mut bots = BotFolder::watch(&folder, BOUNDS).unwrap();
    assert_eq!(bots.present, [changed("echo", b"one")]);

    std::fs::write(folder.join("new.tmp"), "two").unwrap();
    nothing(&mut bots, 300).await;
    std::fs::rename(folder.join("new.tmp"), folder.join("echo.wasm")).unwrap();
    assert_eq!(next(&mut bots).await, changed("echo", b"two"));

    std::fs::remove_file(folder.join("echo.wasm")).unwrap();
    assert_eq!(next(&mut bots).await, BotFile::Removed { name: "echo".into() });
    nothing(&mut bots, 300).await;
}

#[tokio::test]
async fn a_file_being_written_is_reported_once_and_whole() {
    use std::io::Write;
    let folder = folder("writing");
    // A file that rests for 200 ms counts as written. On a machine that held us up for so long there is nothing to see: again.
    for attempt in 0..20 {
        let folder = folder.join(attempt.to_string());
        std::fs::create_dir(&folder).unwrap();
        let mut bots = BotFolder::watch(&folder, BOUNDS).unwrap();
        let mut file = std::fs::File::create(folder.join("slow.wasm")).unwrap();
        let mut longest_rest = Duration::ZERO;
        for _ in 0..10 {
            let written = Instant::now();
            file.write_all(b"part").unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            longest_rest = longest_rest.max(written.elapsed());
        }
        drop(file);
        if longest_rest < Duration::from_millis(150) {
            assert_eq!(next(&mut bots).await, changed("slow", &b"part".repeat(10)));
            return nothing(&mut bots, 400).await;
        }
    }
    panic!("this machine never writes ten pieces of a file in a row");
}

#[tokio::test]
async fn a_file_too_long_a_bad_name_and_one_bot_too_many_are_refused_by_name() {
    let folder = folder("refused");
    let mut bots = BotFolder::watch(&folder, BOUNDS).unwrap();
    let refused = |file: BotFile| match file {
        BotFile::Refused { name, error } => (name, error),
        other => panic!("not refused: {other:?}"),
    };
    std::fs::write(folder.join("long.wasm"), vec![0; 1001]).unwrap();
    assert_eq!(refused(next(&mut bots).await), ("long".into(), "is longer than 1000 bytes".into()));
    std::fs::remove_file(folder.join("long.wasm")).unwrap();
    next(&mut bots).await;
    std::fs::write(folder.join("a b.wasm"), "x").unwrap();
    assert_eq!(refused(next(&mut bots).await).0, "a b");
    for name in ["p", "q"] {
        std::fs::write(folder.join(format!("{name}.wasm")), "x").unwrap();
        assert_eq!(next(&mut bots).await, changed(name, b"x"));
    }
    std::fs::write(folder.join("r.wasm"), "x").unwrap();
    assert_eq!(refused(next(&mut bots).await), ("r".into(), "more than 3 bots".into()));
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error() {
    assert!(BotFolder::watch(std::path::Path::new("/nowhere/bots"), BOUNDS).is_err());
}
