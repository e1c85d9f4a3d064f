//! Checks that clients and servers would accept a certificate. The checks use the certificate verifiers of rustls, as
//! the services do.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Checks a certificate and its key against a CA. All arguments are in PEM format. The certificate must be valid for a
/// client. It must also be valid for a server with each DNS name in the certificate. Returns these DNS names.
pub(crate) fn check(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<Vec<String>> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(ca) {
        roots.add(root.context("ca.crt")?).context("ca.crt")?;
    }
    let roots = Arc::new(roots);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().context("tls.crt")?;
    let (leaf, intermediates) = chain.split_first().context("tls.crt contains no certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("tls.key")?;
    CertifiedKey::from_der(chain.clone(), key, &provider).context("tls.key does not belong to tls.crt")?;

    let names = dns_names(leaf)?;
    ensure!(!names.is_empty(), "the certificate has no DNS name");
    let server =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
    for name in &names {
        let server_name = ServerName::try_from(name.clone())?;
        server
            .verify_server_cert(leaf, intermediates, &server_name, &[], UnixTime::now())
            .with_context(|| format!("not valid for a server with the name {name}"))?;
    }
    let client = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
    client.verify_client_cert(leaf, intermediates, UnixTime::now()).context("not valid for a client")?;
    Ok(names)
}

fn dns_names(certificate: &CertificateDer<'_>) -> Result<Vec<String>> {
    let (_, certificate) = X509Certificate::from_der(certificate).context("tls.crt")?;
    let alternatives =
        certificate.subject_alternative_name()?.context("tls.crt has no subject alternative names")?;
    let names = alternatives.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Ok(names.collect())
}
