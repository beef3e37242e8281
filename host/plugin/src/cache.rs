//! Compiled code on disk, so that a restart compiles nothing. The cache is this host's own: each entry is authenticated under a key that
//! only the host reads, and what is not exactly as it was written is not there.
//!
//! An entry: magic (16 bytes), component digest (32), settings digest (32), length of the code (8, big endian), HMAC-SHA256 of all the
//! rest (32), the code.

use crate::{Artefact, Digest, Engine};
use hmac::{Hmac, Mac};
use rand::TryRngCore;
use sha2::Sha256;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const MAGIC: &[u8; 16] = b"patchbay-code-1\n";
/// Where in the header things lie.
const COMPONENT: usize = 16;
const SETTINGS: usize = 48;
const LENGTH: usize = 80;
const MAC: usize = 88;
const HEADER: usize = 120;

const SUFFIX: &str = "code";
/// Of files that are being written. One that is found at the start was left by a process that died.
const UNFINISHED: &str = "unfinished";

/// A folder of artefacts for one engine, bounded in size. May be used from several threads at once.
pub struct Cache {
    folder: PathBuf,
    settings: Digest,
    key: [u8; 32],
    bytes_max: u64,
    unfinished: AtomicU64,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    rejected: AtomicU64,
}

/// What became of the `get`s so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    pub hits: u64,
    pub misses: u64,
    /// Entries that were there and were not as this host had written them; each was deleted.
    pub rejected: u64,
}

impl Cache {
    /// Opens the cache, and makes the folder and the host's key where there are none. A key that is damaged, or that others than this user
    /// may read or have written, is replaced by a new one, which makes every entry worthless.
    pub fn open(engine: &Engine, folder: &Path, key_file: &Path, bytes_max: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let key = match read_key(key_file)? {
            Some(key) => key,
            None => make_key(key_file)?,
        };
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                remove(&path)?;
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            settings: *engine.settings(),
            key,
            bytes_max,
            unfinished: AtomicU64::new(0),
            counts: Counts::default(),
        })
    }

    pub fn counts(&self) -> CacheCounts {
        let Counts { hits, misses, rejected } = &self.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheCounts { hits: read(hits), misses: read(misses), rejected: read(rejected) }
    }

    /// The code of this component for this engine, if it lies here just as this host wrote it. Marks it as used at `now`.
    /// Cost: reads and hashes it, some ms per MB without SHA instructions.
    pub fn get(&self, component: &Digest, now: SystemTime) -> Option<Artefact> {
        let path = self.path(component);
        let Some(found) = self.read(&path) else {
            self.counts.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let Some(code) = self.verified(component, found) else {
            self.counts.rejected.fetch_add(1, Ordering::Relaxed);
            // If it cannot be deleted it is rejected again the next time.
            let _ = remove(&path);
            return None;
        };
        self.counts.hits.fetch_add(1, Ordering::Relaxed);
        // Only the order of eviction depends on it.
        let _ = File::open(&path).and_then(|file| file.set_modified(now));
        Some(Artefact::new(*component, self.settings, code))
    }

    /// Writes an artefact, and removes what was not used for longest until all fits. One that alone is larger than the cache is not kept.
    pub fn put(&self, artefact: &Artefact, now: SystemTime) -> io::Result<()> {
        let size = (HEADER + artefact.code().len()) as u64;
        if size > self.bytes_max {
            return Err(io::Error::other(format!("it has {size} bytes, and the cache {}", self.bytes_max)));
        }
        self.evict(self.bytes_max - size)?;
        let mut header = [0; HEADER];
        header[..COMPONENT].copy_from_slice(MAGIC);
        header[COMPONENT..SETTINGS].copy_from_slice(&artefact.component().0);
        header[SETTINGS..LENGTH].copy_from_slice(&artefact.settings().0);
        header[LENGTH..MAC].copy_from_slice(&(artefact.code().len() as u64).to_be_bytes());
        let mac = self.mac(&header[..MAC], artefact.code()).finalize().into_bytes();
        header[MAC..].copy_from_slice(&mac);
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.folder.join(format!("{}-{number}.{UNFINISHED}", std::process::id()));
        let path = self.path_for(artefact.component(), artefact.settings());
        let written = write_new(&unfinished, &[&header, artefact.code()], Some(now))
            .and_then(|()| fs::rename(&unfinished, &path))
            .and_then(|()| File::open(&self.folder)?.sync_all());
        if written.is_err() {
            let _ = remove(&unfinished);
        }
        written
    }

    fn path(&self, component: &Digest) -> PathBuf {
        self.path_for(component, &self.settings)
    }

    fn path_for(&self, component: &Digest, settings: &Digest) -> PathBuf {
        let settings = settings.to_string();
        self.folder.join(format!("{component}-{}.{SUFFIX}", &settings[..16]))
    }

    /// Never more than the cache may hold, whatever lies there.
    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        // A named pipe in its place would wait for ever.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path).ok()?;
        let mut found = Vec::new();
        file.take(self.bytes_max).read_to_end(&mut found).ok()?;
        Some(found)
    }

    fn verified(&self, component: &Digest, mut found: Vec<u8>) -> Option<Vec<u8>> {
        let header: [u8; HEADER] = found.get(..HEADER)?.try_into().ok()?;
        let code = &found[HEADER..];
        let fits = header[..COMPONENT] == *MAGIC
            && header[COMPONENT..SETTINGS] == component.0
            && header[SETTINGS..LENGTH] == self.settings.0
            && header[LENGTH..MAC] == (code.len() as u64).to_be_bytes();
        if !fits || self.mac(&header[..MAC], code).verify_slice(&header[MAC..]).is_err() {
            return None;
        }
        found.drain(..HEADER);
        Some(found)
    }

    fn mac(&self, header: &[u8], code: &[u8]) -> Hmac<Sha256> {
        // A key of one block or less, which `new` takes as it is.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.key);
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into());
        mac.update(header);
        mac.update(code);
        mac
    }

    /// Removes entries, those unused for longest first, until the rest takes `most` bytes at most. Those of other engines are among them.
    fn evict(&self, most: u64) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            // One that has gone meanwhile takes no room.
            let Ok(metadata) = entry.metadata() else { continue };
            if path.extension().is_some_and(|extension| extension == SUFFIX) {
                entries.push((metadata.modified()?, metadata.len(), path));
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in entries {
            if total <= most {
                break;
            }
            remove(&path)?;
            total -= size;
        }
        Ok(())
    }
}

/// `None`: there is none, or none that only we know.
fn read_key(path: &Path) -> io::Result<Option<[u8; 32]>> {
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    // SAFETY: cannot fail and touches nothing.
    let ours = metadata.uid() == unsafe { libc::geteuid() } && metadata.mode() & 0o077 == 0;
    let mut key = Vec::new();
    file.take(33).read_to_end(&mut key)?;
    Ok(key.try_into().ok().filter(|_| ours))
}

/// Two hosts that start at once on one data folder: the last one's key stays, the other's entries are rejected at its next start.
fn make_key(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut key).map_err(io::Error::other)?;
    let unfinished = path.with_extension(format!("{}.{UNFINISHED}", std::process::id()));
    remove(&unfinished)?;
    write_new(&unfinished, &[&key], None)?;
    fs::rename(&unfinished, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(key)
}

/// A new file, for this user only, on the disk when this returns.
fn write_new(path: &Path, parts: &[&[u8]], modified: Option<SystemTime>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    if let Some(modified) = modified {
        file.set_modified(modified)?;
    }
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
