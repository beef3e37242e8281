//! Watches the folder of the bots: each new or changed `.wasm` file once it is whole, each one removed.
//! Whole is what was renamed in, or has come to rest ([`settling`](crate::settling)).

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Instant, SystemTime};

use notify::event::{EventKind, ModifyKind};
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::config::read_bounded;
use crate::settling::Settling;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BotFile {
    /// New, or other than what was reported last.
    Changed {
        name: String,
        bytes: Vec<u8>,
    },
    Removed {
        name: String,
    },
    /// There, but not to be used; once per change.
    Refused {
        name: String,
        error: String,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct FolderBounds {
    pub bots_max: usize,
    pub bytes_max: u64,
}

/// Starts watching; what is there already comes first, then [`BotFolder::next`] goes on for the life of the host.
pub struct BotFolder {
    files: mpsc::Receiver<BotFile>,
    /// What was there at the start, all of it.
    pub present: Vec<BotFile>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl BotFolder {
    /// Reads the folder and watches it. Errors: it is not there or cannot be read.
    pub fn watch(folder: &Path, bounds: FolderBounds) -> Result<Self, String> {
        let named = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::read_dir(folder).map_err(named)?;
        let (wake, wakes) = sync_channel::<Vec<PathBuf>>(64);
        // Before the first look, so that nothing falls between the two.
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_access() {
                return;
            }
            let renamed = matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
            // Full: a look is due anyway, and what was renamed settles in 200 ms.
            let _ = wake.try_send(if renamed { event.paths } else { Vec::new() });
        });
        if let Ok(watcher) = &mut watcher
            && let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive)
        {
            tracing::warn!(%error, "no notifications about bots; the folder is looked at every two seconds");
        }
        let (report, files) = mpsc::channel(4);
        let mut looker = Looker { folder: folder.to_owned(), bounds, settling: Settling::default() };
        let present = looker.look(Instant::now(), &Settled::All);
        std::thread::Builder::new()
            .name("bot-folder".into())
            .spawn(move || {
                loop {
                    let wait = looker.settling.look_again_in();
                    let renamed = match wakes.recv_timeout(wait) {
                        Ok(paths) => paths.into_iter().collect(),
                        Err(RecvTimeoutError::Timeout) => HashSet::new(),
                        // No notifications: only the clock.
                        Err(RecvTimeoutError::Disconnected) => {
                            std::thread::sleep(wait);
                            HashSet::new()
                        }
                    };
                    for file in looker.look(Instant::now(), &Settled::These(renamed)) {
                        if report.blocking_send(file).is_err() {
                            return;
                        }
                    }
                    if report.is_closed() {
                        return;
                    }
                }
            })
            .map_err(named)?;
        Ok(Self { files, present, _watcher: watcher.ok() })
    }

    /// The next change. Safe to cancel. None: the watching thread is gone.
    pub async fn next(&mut self) -> Option<BotFile> {
        self.files.recv().await
    }

    /// The same, for a thread.
    pub fn next_blocking(&mut self) -> Option<BotFile> {
        self.files.blocking_recv()
    }
}

/// What tells one content of a file from the next without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

enum Settled {
    All,
    These(HashSet<PathBuf>),
}

struct Looker {
    folder: PathBuf,
    bounds: FolderBounds,
    settling: Settling<Stamp>,
}

impl Looker {
    fn look(&mut self, now: Instant, settled: &Settled) -> Vec<BotFile> {
        let Some(found) = self.list() else {
            return Vec::new();
        };
        let gone = self.settling.forget_gone(|name| found.contains_key(name));
        let mut reports: Vec<_> = gone.into_iter().map(|name| BotFile::Removed { name }).collect();
        for (name, (path, stamp)) in found {
            let at_once = match settled {
                Settled::All => true,
                Settled::These(paths) => renamed_in(paths, &path),
            };
            if self.settling.take(&name, stamp, now, at_once) {
                reports.push(self.report(name, &path, stamp));
            }
        }
        reports
    }

    fn report(&self, name: String, path: &Path, stamp: Stamp) -> BotFile {
        let read = match name_error(&name) {
            Some(error) => Err(error.to_owned()),
            None if self.settling.taken() > self.bounds.bots_max => {
                Err(format!("more than {} bots", self.bounds.bots_max))
            }
            // The length is looked at first: what is too long is not read.
            None if stamp.bytes > self.bounds.bytes_max => {
                Err(format!("is longer than {} bytes", self.bounds.bytes_max))
            }
            None => read_bounded(path, self.bounds.bytes_max),
        };
        match read {
            Ok(bytes) => BotFile::Changed { name, bytes },
            Err(error) => BotFile::Refused { name, error },
        }
    }

    /// The .wasm files by bot name. None: the folder cannot be read now, which removes nothing.
    fn list(&self) -> Option<BTreeMap<String, (PathBuf, Stamp)>> {
        use std::os::unix::fs::MetadataExt;
        let entries = std::fs::read_dir(&self.folder).ok()?;
        let mut found = BTreeMap::new();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".wasm")) else {
                continue;
            };
            // Through links: a link moved to another file is another stamp.
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            if metadata.is_file() && found.len() <= self.bounds.bots_max * 2 {
                let stamp = Stamp { inode: metadata.ino(), bytes: metadata.len(), modified: metadata.modified().ok() };
                found.insert(name.to_owned(), (path.clone(), stamp));
            }
        }
        Some(found)
    }
}

/// By file name: the system may tell the folder's path in another spelling than ours.
fn renamed_in(paths: &HashSet<PathBuf>, path: &Path) -> bool {
    paths.iter().any(|renamed| renamed.file_name() == path.file_name())
}

/// A bot's name is the user part that calls it, and part of metrics and logs.
fn name_error(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Some("a bot's name is 1 to 64 letters, digits, - _ . +");
    }
    None
}
