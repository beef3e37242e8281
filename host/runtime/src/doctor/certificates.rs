//! Whether callers over TLS will take our certificates: readable, with their keys, in time, under the names that we are called by.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Case, Finding};
use crate::config::Certificate;
use crate::tls;

const RENEW_DAYS: i64 = 14;
const DAY_S: i64 = 86_400;

pub(super) fn check(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    for listener in &case.config.listeners {
        let told = listener.advertised.as_ref().map(|told| told.host.as_str());
        let name = listener.listen.to_string();
        findings.extend(listener.certificates.iter().map(|certificate| one(&name, certificate)));
        if !listener.certificates.is_empty() {
            findings.extend(told.map(|told| named(&name, &listener.certificates, told)));
        }
    }
    let others = [("admin", &case.config.admin.certificates), ("callbacks", &case.config.callbacks.certificates)];
    for (name, certificates) in others {
        findings.extend(certificates.iter().map(|certificate| one(name, certificate)));
    }
    findings
}

/// Chain, key and dates.
fn one(of: &str, certificate: &Certificate) -> Finding {
    let what = format!("{of} {}", certificate.cert.display());
    let loaded = match tls::load_certificate(certificate) {
        Ok(loaded) => loaded,
        Err(error) => {
            return Finding::wrong(what, error, "the chain as PEM, leaf first, and the key that belongs to it");
        }
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(since).unwrap_or(i64::MAX);
    let renew = "renew it; the host takes the new files up while it runs";
    for (number, der) in loaded.cert.iter().enumerate() {
        let part =
            if number == 0 { "the certificate".to_owned() } else { format!("certificate {number} of its chain") };
        let Ok((_, parsed)) = X509Certificate::from_der(der) else {
            return Finding::wrong(what, format!("{part} cannot be read"), "have it issued anew");
        };
        let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        let days = (until - now).div_euclid(DAY_S);
        if now < from {
            return Finding::wrong(what, format!("{part} is not valid yet"), "look at this machine's clock");
        }
        if now > until {
            return Finding::wrong(what, format!("{part} has expired {} days ago", -days), renew);
        }
        if days < RENEW_DAYS {
            return Finding::wrong(what, format!("{part} expires in {days} days"), renew);
        }
    }
    Finding::well(what, "chain and key belong together and are in date")
}

/// That one of a listener's certificates bears what peers are told to connect to.
fn named(of: &str, certificates: &[Certificate], told: &str) -> Finding {
    let mut chains = certificates.iter().filter_map(|certificate| tls::read_certificates(&certificate.cert).ok());
    let bears = |chain: Vec<rustls_pki_types::CertificateDer<'static>>| {
        let parsed = chain.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
        let name = tls::server_name(told).ok();
        parsed.zip(name).is_some_and(|(parsed, name)| verify_server_name(&parsed, &name).is_ok())
    };
    match chains.any(bears) {
        true => Finding::well(of, format!("bears the advertised name `{told}`")),
        false => {
            let mend = format!("have one issued for `{told}`, or advertise a name that it bears");
            Finding::wrong(of, format!("no certificate bears the advertised name `{told}`"), mend)
        }
    }
}
