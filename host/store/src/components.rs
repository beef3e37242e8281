//! Uploaded components as files: `<data>/components/<sha256>.wasm`, there whole or not at all.
//!
//! temporary file -> write -> fsync -> rename -> fsync of the folder. Which of them are in use is the database's to know: the file
//! comes before its row and goes after it, so that a kill between the two leaves a file too many, collected at the next start.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::name::Digest;
use crate::token::random_id;

pub(crate) struct Components {
    folder: PathBuf,
    #[cfg(test)]
    fails_at: std::sync::Mutex<Option<Step>>,
}

/// Where a write may fail: tests stop it at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Write,
    Sync,
    Rename,
    SyncFolder,
}

/// What the folder held that it should not, and lacked that it should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    pub removed: Vec<String>,
    pub missing: Vec<Digest>,
}

impl Components {
    pub fn open(data: &Path) -> Result<Self> {
        let folder = data.join("components");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| Error::io(&folder, error))?;
        Ok(Self {
            folder,
            #[cfg(test)]
            fails_at: Default::default(),
        })
    }

    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// Writes a component unless it is there already and whole. On an error nothing is left of it.
    /// Cost: a hash, a write and two fsyncs on the calling thread.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.read(&digest).is_ok() {
            return Ok(digest);
        }
        let path = self.path(&digest);
        let temporary = random_id().map(|id| self.folder.join(format!("{digest}.{id}.tmp")));
        let temporary = temporary.map_err(|error| Error::io(&path, error))?;
        let written = self.write(&temporary, &path, bytes);
        if written.is_err() {
            // What cannot be removed now is collected at the next start.
            let _ = fs::remove_file(&temporary);
        }
        written.map_err(|error| Error::io(&path, error))?;
        Ok(digest)
    }

    fn write(&self, temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step(Step::Create)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        self.step(Step::Write)?;
        file.write_all(rest)?;
        self.step(Step::Sync)?;
        file.sync_all()?;
        self.step(Step::Rename)?;
        fs::rename(temporary, path)?;
        self.step(Step::SyncFolder)?;
        File::open(&self.folder)?.sync_all()
    }

    /// The bytes, compared with their digest. Errors: they are not there, or others.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path(digest);
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::not_found("component", digest.to_string()),
            _ => Error::io(&path, error),
        })?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::damaged(path.display().to_string(), "its bytes have another digest: upload it again"));
        }
        Ok(bytes)
    }

    /// Whoever calls this knows that nothing refers to it. One that cannot be removed is collected at the next start.
    pub fn remove(&self, digest: &Digest) {
        let _ = fs::remove_file(self.path(digest));
    }

    /// Removes temporary files and components that nothing refers to. Files of other names are left alone: they are not ours.
    pub fn collect(&self, in_use: &BTreeSet<Digest>) -> Result<Collected> {
        let named = |error| Error::io(&self.folder, error);
        let mut collected = Collected::default();
        for entry in fs::read_dir(&self.folder).map_err(named)? {
            let entry = entry.map_err(named)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let digest = |ending| name.strip_suffix(ending).and_then(|digest: &str| digest.parse::<Digest>().ok());
            let is_temporary = name.ends_with(".tmp");
            let is_unused = digest(".wasm").is_some_and(|digest| !in_use.contains(&digest));
            if is_temporary || is_unused {
                fs::remove_file(entry.path()).map_err(named)?;
                collected.removed.push(name.to_owned());
            }
        }
        collected.removed.sort();
        collected.missing = in_use.iter().copied().filter(|digest| !self.path(digest).exists()).collect();
        Ok(collected)
    }

    #[cfg(not(test))]
    fn step(&self, _: Step) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self, step: Step) -> io::Result<()> {
        match *self.fails_at.lock().unwrap() == Some(step) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    /// From now on the disk is full at this step.
    #[cfg(test)]
    pub fn fail_at(&self, step: Option<Step>) {
        *self.fails_at.lock().unwrap() = step;
    }

    #[cfg(test)]
    pub fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is gone at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("patchbay-components-{}", random_id().unwrap()));
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_put_is_read_again_and_is_one_file_however_often() {
        let folder = Folder::new();
        let components = Components::open(&folder.0).unwrap();
        let digest = components.put(b"one").unwrap();
        assert_eq!(components.put(b"one").unwrap(), digest);
        assert_eq!(components.read(&digest).unwrap(), b"one");
        assert_eq!(components.names(), BTreeSet::from([format!("{digest}.wasm")]));
    }

    #[test]
    fn bytes_that_changed_on_the_disk_are_not_given_out_and_an_upload_mends_them() {
        let folder = Folder::new();
        let components = Components::open(&folder.0).unwrap();
        let digest = components.put(b"one").unwrap();
        fs::write(components.path(&digest), b"two").unwrap();
        assert!(matches!(components.read(&digest), Err(Error::Damaged { .. })));
        components.put(b"one").unwrap();
        assert_eq!(components.read(&digest).unwrap(), b"one");
    }

    #[test]
    fn only_what_is_ours_and_not_in_use_is_collected() {
        let folder = Folder::new();
        let components = Components::open(&folder.0).unwrap();
        let used = components.put(b"used").unwrap();
        let unused = components.put(b"unused").unwrap();
        let lost = Digest::of(b"lost");
        for name in ["x.tmp", "README", "short.wasm"] {
            fs::write(folder.0.join("components").join(name), b"").unwrap();
        }
        let collected = components.collect(&BTreeSet::from([used, lost])).unwrap();
        assert_eq!(
            collected,
            Collected { removed: vec![format!("{unused}.wasm"), "x.tmp".into()], missing: vec![lost] }
        );
        let left = BTreeSet::from([format!("{used}.wasm"), "README".into(), "short.wasm".into()]);
        assert_eq!(components.names(), left);
    }

    #[test]
    fn a_disk_that_is_full_at_any_step_is_an_error_of_its_own_and_leaves_no_temporary_file() {
        let folder = Folder::new();
        let components = Components::open(&folder.0).unwrap();
        components.put(b"old").unwrap();
        for step in [Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncFolder] {
            components.fail_at(Some(step));
            let error = components.put(b"new").unwrap_err();
            assert!(matches!(error, Error::DiskFull { .. }), "{step:?}: {error}");
            assert!(components.names().iter().all(|name| name.ends_with(".wasm")), "{step:?}");
            assert_eq!(components.read(&Digest::of(b"old")).unwrap(), b"old");
        }
    }
}
