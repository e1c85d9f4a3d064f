//! Whether a certificate would be accepted on both sides of a connection, by the same code the services check with.

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

/// Checks a certificate with its key against an authority, and gives the names it is for.
pub(crate) fn check(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<Vec<String>> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority) {
        roots.add(root.context("ca.crt")?).context("ca.crt")?;
    }
    let roots = Arc::new(roots);
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().context("tls.crt")?;
    let (own, between) = chain.split_first().context("tls.crt holds no certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("tls.key")?;
    CertifiedKey::from_der(chain.clone(), key, &provider).context("tls.key is not that of tls.crt")?;

    let names = names(own)?;
    ensure!(!names.is_empty(), "the certificate is for no name");
    let server =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
    for name in &names {
        let asked = ServerName::try_from(name.clone())?;
        server
            .verify_server_cert(own, between, &asked, &[], UnixTime::now())
            .with_context(|| format!("as a server named {name}"))?;
    }
    let client = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
    client.verify_client_cert(own, between, UnixTime::now()).context("as a client")?;
    Ok(names)
}

fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>> {
    let (_, certificate) = X509Certificate::from_der(certificate).context("tls.crt")?;
    let alternatives = certificate.subject_alternative_name()?.context("no alternative names")?;
    let names = alternatives.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Ok(names.collect())
}
