//! A check that an OTLP endpoint requires mutual TLS.

use std::path::Path;

use anyhow::{Result, ensure};
use sightline::certs::{self, TlsFiles};
use sightline::jaeger::TraceId;

use crate::otlp::{Credentials, OtlpEndpoint, one_span, send_over_grpc, send_over_http};
use crate::poll::{DEFAULT_TIMEOUT, eventually};

/// The OTLP transport of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP.
    Http,
}

/// The traces that [`check_mutual_tls`] sent, each with one span.
#[derive(Debug, Clone)]
pub struct SentTraces {
    /// The trace that the endpoint accepted.
    pub accepted: TraceId,
    /// The traces that the endpoint rejected, each with a description of the client's credentials.
    pub rejected: Vec<(&'static str, TraceId)>,
}

/// Sends four spans named `span_name` to `endpoint`, each in a different way: in plaintext, with TLS but without a
/// client certificate, with the client certificate in `untrusted`, and finally with the client certificate in
/// `trusted`.
///
/// Fails if the endpoint accepts one of the first three spans or rejects the last span. The last span shows that the
/// endpoint does not simply reject every client.
pub async fn check_mutual_tls(
    endpoint: &OtlpEndpoint,
    transport: Transport,
    span_name: &str,
    trusted: &TlsFiles,
    untrusted: &TlsFiles,
) -> Result<SentTraces> {
    let send = async |credentials: &Credentials| -> Result<(TraceId, Result<()>)> {
        let id = uuid::Uuid::new_v4();
        let request = one_span(id.as_u128(), span_name);
        let outcome = match transport {
            Transport::Grpc => send_over_grpc(endpoint, credentials, request).await,
            Transport::Http => send_over_http(endpoint, credentials, request).await,
        };
        Ok((id.simple().to_string().parse()?, outcome))
    };
    let mut rejected = Vec::new();
    // If the endpoint is in a cluster, the port forward to it can restart after the endpoint rejects a connection. A
    // connection that fails during the restart must not count as a rejection.
    let wait_until_reachable = async || {
        eventually("the endpoint is reachable", DEFAULT_TIMEOUT, async || endpoint.connect().await).await
    };
    let trust = || trusted.clone();
    for (description, credentials) in [
        ("no TLS", Credentials::Plaintext),
        ("no certificate", Credentials::NoCertificate { trust: trust() }),
        (
            "a certificate from another CA",
            Credentials::Certificate { trust: trust(), identity: untrusted.clone() },
        ),
    ] {
        wait_until_reachable().await?;
        let (id, outcome) = send(&credentials).await?;
        ensure!(outcome.is_err(), "the endpoint accepted a span from a client with {description}");
        rejected.push((description, id));
    }
    let credentials = Credentials::Certificate { trust: trust(), identity: trusted.clone() };
    let check = async || {
        let (id, outcome) = send(&credentials).await?;
        outcome.map(|()| id)
    };
    let accepted = eventually("the endpoint accepts the trusted certificate", DEFAULT_TIMEOUT, check).await?;
    Ok(SentTraces { accepted, rejected })
}

/// Creates a certificate for the name `users` in `dir`. A new CA signs the certificate, so no endpoint trusts
/// the certificate.
pub fn untrusted_certificate(dir: &Path) -> Result<TlsFiles> {
    certificate_of_a_new_ca(dir, "users")
}

/// Creates a CA in `dir`, and a certificate for this name that the CA signs.
pub fn certificate_of_a_new_ca(dir: &Path, name: &str) -> Result<TlsFiles> {
    let identities = vec![name.to_owned()];
    certs::ensure(&certs::Request::new(dir, identities))?;
    Ok(TlsFiles::in_dir(&dir.join(name)))
}
