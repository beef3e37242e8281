//! TLS by rustls with the aws-lc-rs provider, named explicitly. Server side: certificates by the name the client asks for,
//! reloaded when their files change. Client side: per trunk, verified against its own or the system's authorities.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls;

use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::config::{Certificate, Secret, Trunk, read_bounded};
use crate::observe::Counter;

/// The longest PEM file that is read, in bytes.
const PEM_BYTES_MAX: u64 = 1 << 20;
/// A renewed certificate and its key are two files: wait until both are there.
const RELOAD_AFTER: Duration = Duration::from_millis(300);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A host name or an address, as TLS verifies it.
pub fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned()).map_err(|error| error.to_string())
}

/// A chain and its key. Errors: a file is not there, not PEM, or the two do not belong together.
pub fn load_certificate(certificate: &Certificate) -> Result<CertifiedKey, String> {
    let chain = read_certificates(&certificate.cert)?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.read()?.as_bytes())
        .map_err(|_| format!("{}: holds no private key in PEM", place(&certificate.key)))?;
    CertifiedKey::from_der(chain, key, &provider())
        .map_err(|error| format!("{} and {}: {error}", certificate.cert.display(), place(&certificate.key)))
}

fn place(secret: &Secret) -> String {
    match secret {
        Secret::File(path) => path.display().to_string(),
        Secret::Env(name) => format!("environment variable {name}"),
    }
}

/// All certificates of a PEM file. Errors: it cannot be read, or holds none.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |error: String| format!("{}: {error}", path.display());
    let bytes = read_bounded(path, PEM_BYTES_MAX).map_err(named)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(named("holds no certificate in PEM".into())),
        Err(error) => Err(named(error.to_string())),
    }
}

/// The certificates of one listener, the first for clients that ask for no name or an unknown one.
#[derive(Debug)]
struct Certificates(RwLock<Vec<Arc<CertifiedKey>>>);

impl Certificates {
    fn load(list: &[Certificate]) -> Result<Vec<Arc<CertifiedKey>>, String> {
        list.iter().map(|certificate| load_certificate(certificate).map(Arc::new)).collect()
    }

    fn for_name(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let named = name.and_then(|name| {
            let name = ServerName::try_from(name).ok()?;
            keys.iter().find(|key| bears(key, &name))
        });
        named.or(keys.first()).cloned()
    }
}

fn bears(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.cert.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    parsed.is_some_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_name(hello.server_name())
    }
}

/// The server side of one TLS listener; dropped, its files are no longer watched.
pub struct TlsServer {
    pub config: Arc<ServerConfig>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl TlsServer {
    /// Loads the certificates and watches them. Files that are wrong after a change leave the old ones in use.
    pub fn new(list: &[Certificate], reloads: Counter) -> Result<Self, String> {
        let certificates = Arc::new(Certificates(RwLock::new(Certificates::load(list)?)));
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        let watcher = watch(list.to_vec(), certificates, reloads)
            .inspect_err(|error| tracing::warn!(%error, "certificates are not watched for changes"))
            .ok();
        Ok(Self { config: Arc::new(config), _watcher: watcher })
    }
}

fn watch(
    list: Vec<Certificate>,
    certificates: Arc<Certificates>,
    reloads: Counter,
) -> notify::Result<notify::RecommendedWatcher> {
    let (changed, changes) = std::sync::mpsc::sync_channel::<()>(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Full: a reload is on its way already.
            let _ = changed.try_send(());
        }
    })?;
    // The folders, not the files: a file renamed in, or a link moved, is another file.
    let mut folders: Vec<PathBuf> =
        list.iter().flat_map(files_of).filter_map(|path| path.parent().map(Path::to_path_buf)).collect();
    folders.sort();
    folders.dedup();
    for folder in &folders {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    std::thread::Builder::new().name("certificates".into()).spawn(move || {
        // Ends when the watcher is dropped, and the sender with it.
        while changes.recv().is_ok() {
            while changes.recv_timeout(RELOAD_AFTER).is_ok() {}
            match Certificates::load(&list) {
                Ok(loaded) if same(&certificates, &loaded) => {}
                Ok(loaded) => {
                    *certificates.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                    reloads.add(1);
                    tracing::info!("certificates reloaded");
                }
                Err(error) => tracing::warn!(%error, "certificates not reloaded, the old ones stay in use"),
            }
        }
    })?;
    Ok(watcher)
}

fn same(certificates: &Certificates, loaded: &[Arc<CertifiedKey>]) -> bool {
    let old = certificates.0.read().unwrap_or_else(PoisonError::into_inner);
    old.iter().map(|key| &key.cert).eq(loaded.iter().map(|key| &key.cert))
}

fn files_of(certificate: &Certificate) -> Vec<&PathBuf> {
    let mut files = vec![&certificate.cert];
    if let Secret::File(key) = &certificate.key {
        files.push(key);
    }
    files
}

/// How we connect to a trunk over TLS. Errors: its `tls_ca` cannot be read, or the system has no authorities.
pub fn client_config(trunk: &Trunk) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match &trunk.tls_ca {
        Some(path) => {
            for certificate in read_certificates(path)? {
                roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        // Some of the system's may be unreadable to us; none at all shows when a peer is verified.
        None => {
            let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The same for the blocking client: `ca` alone, else the system's authorities. Errors: `ca` cannot be read.
pub fn for_ureq(ca: Option<&Path>) -> Result<ureq::tls::TlsConfig, String> {
    let authorities = match ca {
        Some(file) => read_certificates(file)?,
        // Some may be unreadable to us; none at all shows when the host is verified.
        None => rustls_native_certs::load_native_certs().certs,
    };
    let roots = authorities.iter().map(|der| ureq::tls::Certificate::from_der(der).to_owned());
    let roots: ureq::tls::RootCerts = roots.collect::<Vec<_>>().into_iter().into();
    Ok(ureq::tls::TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider()).build())
}
