//! The TLS client of the exporters, which reloads its certificate files when they change.
//!
//! The kubelet replaces a mounted Secret by swapping a symbolic link, and other tools rename a new file over the old
//! file. This module detects both changes because it compares the content of the files. Change notifications for a file
//! would miss a swapped link. An exporter keeps one `ClientConfig` for its whole lifetime, so each handshake asks
//! [`CertificateWatcher`] for the current client certificate and the current CAs.

use std::fs;
use std::path::Path;
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

use super::expiry::{Role, Validity, Warnings};
use crate::error::TlsError;
use crate::settings::TlsFiles;

/// A TLS configuration that trusts no CA, for clients that connect without TLS.
pub(crate) fn config_without_cas() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config =
        builder.with_safe_default_protocol_versions()?.with_root_certificates(RootCertStore::empty());
    Ok(config.with_no_client_auth())
}

/// The certificate files of a client and their last valid content.
#[derive(Debug)]
pub(crate) struct CertificateWatcher {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Loaded>,
}

/// The content of the files, and what was built from it: the verifier, the client certificate with its key, and the times
/// for which the certificates are valid.
#[derive(Debug)]
struct Loaded {
    content: Content,
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<Arc<CertifiedKey>>,
    validities: Vec<Validity>,
}

/// The bytes of the files, kept to detect changes. The `Debug` output hides the bytes because they include a private
/// key.
#[derive(Default, PartialEq, Eq)]
struct Content {
    ca_bundle: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content(..)")
    }
}

impl CertificateWatcher {
    /// Loads the files.
    pub(crate) fn open(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = Loaded::read(&files, &provider)?;
        Ok(Arc::new(Self { files, provider, current: ArcSwap::from_pointee(current) }))
    }

    /// A client configuration that uses the current certificate and CAs at each handshake.
    pub(crate) fn client_config(self: &Arc<Self>) -> Result<ClientConfig, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(self) as Arc<dyn ServerCertVerifier>)
            .with_client_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesClientCert>);
        // A resumed session would keep using the client certificate of its first handshake.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Reloads the files if their content has changed. Returns whether it has changed.
    ///
    /// After an error, the previous content stays in use. Errors are normal during a rotation, because the file of the
    /// new certificate can arrive before the file of its key.
    pub(crate) fn reload(&self) -> Result<bool, TlsError> {
        if Content::read(&self.files)? == self.current.load().content {
            return Ok(false);
        }
        self.current.store(Arc::new(Loaded::read(&self.files, &self.provider)?));
        Ok(true)
    }

    /// The times for which the certificates in the files are valid. The CAs of the system are not among them.
    pub(super) fn validities(&self) -> Vec<Validity> {
        self.current.load().validities.clone()
    }

    /// Calls [`reload`](Self::reload) every `interval`, forever, and logs changes and errors. Also logs that a certificate
    /// expires, from the time `warn_before` its expiry on.
    ///
    /// This function runs on the export thread, where reading three small files does not block a request.
    pub(crate) async fn watch(self: Arc<Self>, interval: Duration, warn_before: Duration) {
        let mut warnings = Warnings::new(warn_before);
        let mut failed_before = false;
        loop {
            tokio::time::sleep(interval).await;
            let outcome = self.reload();
            match &outcome {
                Ok(true) => tracing::info!("telemetry's certificates changed; new connections use them"),
                // Of several failures in a row, only the first is logged.
                Err(error) if !failed_before => tracing::warn!(
                    error = crate::error::chain(error),
                    "telemetry's changed certificates cannot be used; the previous ones stay in use"
                ),
                Ok(false) | Err(_) => {}
            }
            failed_before = outcome.is_err();
            warnings.log(&self.current.load().validities);
        }
    }
}

impl Content {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let ca_bundle = files.ca_bundle.as_deref().map(read).transpose()?;
        let identity = match &files.identity {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        Ok(Self { ca_bundle, identity })
    }
}

impl Loaded {
    fn read(files: &TlsFiles, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let content = Content::read(files)?;
        let mut validities = Vec::new();
        let verifier = match (&files.ca_bundle, &content.ca_bundle) {
            (Some(path), Some(pem)) => {
                let cas = certificates(path, pem)?;
                validities.extend(Validity::of(Role::Ca, path, &cas));
                bundle_verifier(path, cas, provider)?
            }
            _ => system_verifier(provider)?,
        };
        let identity = match (&files.identity, &content.identity) {
            (Some((certificate, key)), Some(pems)) => {
                let identity = identity(certificate, key, pems, provider)?;
                validities.extend(Validity::of(Role::Own, certificate, &identity.cert));
                Some(Arc::new(identity))
            }
            _ => None,
        };
        Ok(Self { content, verifier, identity, validities })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = || TlsError::Pem { path: path.to_owned(), kind: "certificate" };
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| unusable())?;
    if found.is_empty() { Err(unusable()) } else { Ok(found) }
}

/// A verifier that trusts `cas`, which are in the file `path`.
fn bundle_verifier(
    path: &Path,
    cas: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in cas {
        let unusable = |_| TlsError::Pem { path: path.to_owned(), kind: "certificate" };
        roots.add(certificate).map_err(unusable)?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| TlsError::UnusableCas(error.to_string()))?;
    Ok(verifier)
}

/// A verifier that trusts the CAs of the operating system.
fn system_verifier(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider))
        .map_err(|error| TlsError::UnusableCas(error.to_string()))?;
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
        .map_err(|_| TlsError::Pem { path: key.to_owned(), kind: "private key" })?;
    CertifiedKey::from_der(chain, private, provider).map_err(|source| TlsError::Mismatch {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source: source.into(),
    })
}

impl ResolvesClientCert for CertificateWatcher {
    fn resolve(&self, _ca_names: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current.load().identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.current.load().identity.is_some()
    }
}

impl ServerCertVerifier for CertificateWatcher {
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
