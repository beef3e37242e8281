//! TLS towards what is outside: rustls, the system's authorities and the operator's own.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Trusts the system's authorities, if `system`, and these. HTTP/1.1 is all that is offered. Errors: one of these is no certificate.
pub fn client_config(system: bool, more: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    if system {
        // Some of them may be unreadable to us; none at all shows when a host is verified.
        let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for certificate in more {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
