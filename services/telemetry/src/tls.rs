//! The TLS client of the exporters, which follows its certificate files when they change.
//!
//! A kubelet replaces a mounted secret by swapping a symbolic link, cert-manager by renaming files: both are seen
//! by comparing content, so that is what is compared. One `ClientConfig` lives as long as the exporter; what it
//! presents and whom it trusts is looked up at each handshake.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::settings::TlsFiles;

/// What is wrong with the files of a TLS client.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds no usable PEM.
    #[error("{} holds no usable {what} in PEM", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// The private key is not the certificate's, or of a kind that cannot be used.
    #[error("{} is not the private key of {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The authorities cannot be used.
    #[error("the authorities that servers are checked against cannot be used: {0}")]
    Authorities(String),
}

/// A client that no server satisfies, for connections that are not encrypted.
pub(crate) fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config =
        builder.with_safe_default_protocol_versions()?.with_root_certificates(RootCertStore::empty());
    Ok(config.with_no_client_auth())
}

/// Certificate files, and what they held when they were last sound.
#[derive(Debug)]
pub(crate) struct Watched {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Material>,
}

#[derive(Debug)]
struct Material {
    content: Content,
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<Arc<CertifiedKey>>,
}

/// The bytes of the files, kept to see a change. It holds a private key: no `Debug` output of its own.
#[derive(Default, PartialEq, Eq)]
struct Content {
    authorities: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content(..)")
    }
}

impl Watched {
    /// Reads the files for the first time.
    pub(crate) fn open(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = Material::read(&files, &provider)?;
        Ok(Arc::new(Self { files, provider, current: ArcSwap::from_pointee(current) }))
    }

    /// A client that asks this for its certificate and its trust at each handshake.
    pub(crate) fn client_config(self: &Arc<Self>) -> Result<ClientConfig, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(self) as Arc<dyn ServerCertVerifier>)
            .with_client_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesClientCert>);
        // A resumed session would go on with the identity it began with.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Reads the files again; true if they changed. On an error the former content stays in use: while files
    /// are being replaced, a certificate may stand beside the key of its predecessor.
    pub(crate) fn reload(&self) -> Result<bool, TlsError> {
        if Content::read(&self.files)? == self.current.load().content {
            return Ok(false);
        }
        self.current.store(Arc::new(Material::read(&self.files, &self.provider)?));
        Ok(true)
    }

    /// Looks at the files for ever. Runs on the exporters' thread, where reading three small files blocks no
    /// request.
    pub(crate) async fn follow(self: Arc<Self>, every: Duration) {
        let mut failing = false;
        loop {
            tokio::time::sleep(every).await;
            let outcome = self.reload();
            match &outcome {
                Ok(true) => tracing::info!("telemetry's certificates changed; new connections use them"),
                // Said once, not at every look.
                Err(error) if !failing => tracing::warn!(
                    error = crate::error::chain(error),
                    "telemetry's changed certificates cannot be used; the former ones stay in use"
                ),
                Ok(false) | Err(_) => {}
            }
            failing = outcome.is_err();
        }
    }
}

impl Content {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let authorities = files.authorities.as_deref().map(read).transpose()?;
        let identity = match &files.identity {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        Ok(Self { authorities, identity })
    }
}

impl Material {
    fn read(files: &TlsFiles, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let content = Content::read(files)?;
        let verifier = match (&files.authorities, &content.authorities) {
            (Some(path), Some(pem)) => named_authorities(path, pem, provider)?,
            _ => system_authorities(provider)?,
        };
        let identity = match (&files.identity, &content.identity) {
            (Some((certificate, key)), Some(pems)) => {
                Some(Arc::new(identity(certificate, key, pems, provider)?))
            }
            _ => None,
        };
        Ok(Self { content, verifier, identity })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = || TlsError::Pem { path: path.to_owned(), what: "certificate" };
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| unusable())?;
    if found.is_empty() { Err(unusable()) } else { Ok(found) }
}

fn named_authorities(
    path: &Path,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        let unusable = |_| TlsError::Pem { path: path.to_owned(), what: "certificate" };
        roots.add(certificate).map_err(unusable)?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| TlsError::Authorities(error.to_string()))?;
    Ok(verifier)
}

fn system_authorities(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider))
        .map_err(|error| TlsError::Authorities(error.to_string()))?;
    Ok(Arc::new(verifier))
}

fn identity(
    certificate: &Path,
    key: &Path,
    (certificate_pem, key_pem): &(Vec<u8>, Vec<u8>),
    provider: &Arc<CryptoProvider>,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate, certificate_pem)?;
    let private = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|_| TlsError::Pem { path: key.to_owned(), what: "private key" })?;
    CertifiedKey::from_der(chain, private, provider).map_err(|source| TlsError::Mismatch {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

impl ResolvesClientCert for Watched {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current.load().identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.current.load().identity.is_some()
    }
}

impl ServerCertVerifier for Watched {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let current = self.current.load();
        current.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
