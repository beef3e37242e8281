//! An authority and a server's certificate signed by it, made anew for each test.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

pub struct Certificates {
    /// Whom a client must trust.
    pub authority: PathBuf,
    pub server: PathBuf,
    pub server_key: PathBuf,
    /// An authority that signed nothing.
    pub stranger: PathBuf,
}

/// For 127.0.0.1 and localhost.
pub fn make(folder: &Path) -> Result<Certificates> {
    let (authority, issuer) = authority("Patchbay test authority")?;
    let (stranger, _) = self::authority("A stranger")?;
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?.signed_by(&key, &issuer)?;
    let write = |name: &str, text: String| -> Result<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    Ok(Certificates {
        authority: write("ca.pem", authority)?,
        server: write("cert.pem", server.pem())?,
        server_key: write("key.pem", key.serialize_pem())?,
        stranger: write("stranger.pem", stranger)?,
    })
}

fn authority(name: &str) -> Result<(String, Issuer<'static, KeyPair>)> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    Ok((certificate, Issuer::new(params, key)))
}
