//! Compiled code, and what it was compiled from and for. Whoever holds one got it from this host's own compiler or from its
//! authenticated cache: there is no way to make one of other bytes, which is what lets `Engine::load_artefact` trust it.

use sha2::Sha256;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A SHA-256. Shown in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(<Sha256 as sha2::Digest>::digest(bytes).into())
    }

    /// Of anything that says what it is made of, the same in every process of this build.
    pub(crate) fn of_hash(value: &impl Hash) -> Self {
        struct Sink(Sha256);
        impl Hasher for Sink {
            fn write(&mut self, bytes: &[u8]) {
                sha2::Digest::update(&mut self.0, bytes);
            }
            fn finish(&self) -> u64 {
                0
            }
        }
        let mut sink = Sink(<Sha256 as sha2::Digest>::new());
        value.hash(&mut sink);
        Self(sha2::Digest::finalize(sink.0).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One component, compiled.
#[derive(Clone, PartialEq, Eq)]
pub struct Artefact {
    component: Digest,
    settings: Digest,
    code: Vec<u8>,
}

impl Artefact {
    /// `code` must come from this host's compiler, by way of the compiling child or of a verified cache entry.
    pub(crate) fn new(component: Digest, settings: Digest, code: Vec<u8>) -> Self {
        Self { component, settings, code }
    }

    /// Of the component's bytes.
    pub fn component(&self) -> &Digest {
        &self.component
    }

    /// Of the engine's settings, this machine's processor and the version of wasmtime (`Engine::settings`).
    pub fn settings(&self) -> &Digest {
        &self.settings
    }

    pub(crate) fn code(&self) -> &[u8] {
        &self.code
    }
}

impl fmt::Debug for Artefact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Artefact({}, {} bytes)", self.component, self.code.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha_256_in_hex() {
        // FIPS 180-2, B.1.
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), of_abc);
    }
}
