//! The host's own key: `<data>/host.key`, 32 random bytes that only the host's user may read. Seals secrets, so that a copy of the
//! database alone gives none away, and gives keys for other purposes, such as the authentication of the compiled cache.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};
use crate::token::random;

const NONCE_BYTES: usize = 12;

pub struct HostKey {
    key: [u8; 32],
    file: PathBuf,
}

impl HostKey {
    pub(crate) const FILE: &str = "host.key";

    /// Reads the key, or makes one if `fresh`: there is nothing yet that another key had sealed.
    /// Errors: it is missing, of another length, or others may read it.
    pub(crate) fn open(data: &Path, fresh: bool) -> Result<Self> {
        let file = data.join(Self::FILE);
        let wrong = |text| Error::HostKey { file: file.clone(), text };
        match fs::read(&file) {
            Ok(bytes) => {
                let mode = fs::metadata(&file).map_err(|error| Error::io(&file, error))?.mode();
                if mode & 0o077 != 0 {
                    return Err(wrong("others than its owner may read the host's key (chmod 600)"));
                }
                let key = bytes.try_into().map_err(|_| wrong("a host key has 32 bytes"))?;
                Ok(Self { key, file })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && fresh => {
                let key = random::<32>().and_then(|key| Self::write(data, &file, &key).map(|()| key));
                Ok(Self { key: key.map_err(|error| Error::io(&file, error))?, file })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(wrong("the host's key is missing")),
            Err(error) => Err(Error::io(&file, error)),
        }
    }

    /// Whole or not at all, like a component.
    fn write(data: &Path, path: &Path, key: &[u8]) -> io::Result<()> {
        let temporary = data.join("host.key.tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(key)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(data)?.sync_all()
    }

    /// A key for one purpose: HMAC-SHA256 of its name. None gives away another. Source: RFC 2104.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Tells this key from another without giving it away.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.derive("fingerprint")
    }

    pub(crate) fn is_not_the_one(&self) -> Error {
        Error::HostKey { file: self.file.clone(), text: "another key than the one that sealed this database" }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&self.derive("secrets").into())
    }

    /// AES-256-GCM, a random nonce before it; `place` is authenticated, so that no secret can be moved to another tenant or name.
    /// Source: NIST SP 800-38D; 2^32 random nonces are its bound for one key, far from what people type.
    pub(crate) fn seal(&self, place: &str, value: &str) -> Result<Vec<u8>> {
        let nonce = random::<NONCE_BYTES>().map_err(|error| Error::io(&self.file, error))?;
        let payload = Payload { msg: value.as_bytes(), aad: place.as_bytes() };
        let sealed = self.cipher().encrypt(Nonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| Error::damaged(place, "cannot be sealed"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    pub(crate) fn unseal(&self, place: &str, sealed: &[u8]) -> Result<String> {
        let wrong = || Error::damaged(place, "was not sealed by this host for this place");
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(wrong)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        let value = self.cipher().decrypt(Nonce::from_slice(nonce), payload).map_err(|_| wrong())?;
        String::from_utf8(value).map_err(|_| wrong())
    }
}
