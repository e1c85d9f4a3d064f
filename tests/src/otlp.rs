//! An OTLP client that can use any credentials. It does not use the exporter of the services. Other tests cover this
//! exporter.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sightline::certs::TlsFiles;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

/// The timeout for a request. Responses normally take milliseconds. Without a timeout, a test would never end if the
/// endpoint did not respond.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The credentials of a client.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// No TLS.
    Plaintext,
    /// TLS without a client certificate.
    NoCertificate {
        /// The CA that the client trusts is `trust.ca`.
        trust: TlsFiles,
    },
    /// TLS with a client certificate.
    Certificate {
        /// The CA that the client trusts is `trust.ca`.
        trust: TlsFiles,
        /// The certificate and key of the client.
        identity: TlsFiles,
    },
}

/// An OTLP endpoint: a port on the loopback interface and the name in the server's certificate.
#[derive(Debug, Clone)]
pub struct OtlpEndpoint {
    port: u16,
    server_name: String,
}

impl OtlpEndpoint {
    /// The endpoint of a process on this machine, with the server name `localhost`.
    #[must_use]
    pub fn local(port: u16) -> Self {
        Self::forwarded(port, "localhost")
    }

    /// A remote endpoint that is reachable through the local port `port` of a port forward.
    #[must_use]
    pub fn forwarded(port: u16, server_name: &str) -> Self {
        Self { port, server_name: server_name.to_owned() }
    }

    /// Opens a TCP connection and closes it. Fails if nothing listens on the port.
    pub async fn connect(&self) -> Result<()> {
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.map(drop)?)
    }
}

/// Connects to an endpoint of OTLP over gRPC.
pub async fn connect_over_grpc(endpoint: &OtlpEndpoint, credentials: &Credentials) -> Result<Channel> {
    let port = endpoint.port;
    Ok(if let Some(config) = credentials.tls()? {
        let name = FixedServerNameResolver::new(ServerName::try_from(endpoint.server_name.clone())?);
        let tls = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
        let tls = tls.with_server_name_resolver(name).enable_http2();
        let server = Endpoint::from_shared(format!("https://127.0.0.1:{port}"))?.timeout(TIMEOUT);
        server.connect_with_connector(tls.build()).await?
    } else {
        let server = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
        server.timeout(TIMEOUT).connect().await?
    })
}

/// Sends a request over gRPC. Fails unless the endpoint accepts every span in the request.
pub async fn send_over_grpc(
    endpoint: &OtlpEndpoint,
    credentials: &Credentials,
    request: ExportTraceServiceRequest,
) -> Result<()> {
    let channel = connect_over_grpc(endpoint, credentials).await?;
    let response = TraceServiceClient::new(channel).export(request).await?.into_inner();
    let rejected = response.partial_success.map_or(0, |partial| partial.rejected_spans);
    ensure!(rejected == 0, "the endpoint rejected {rejected} spans");
    Ok(())
}

/// Sends a request over HTTP. Fails unless the endpoint accepts the request.
pub async fn send_over_http(
    endpoint: &OtlpEndpoint,
    credentials: &Credentials,
    request: ExportTraceServiceRequest,
) -> Result<()> {
    post(endpoint, credentials, "/v1/traces", request.encode_to_vec()).await
}

/// Sends log records over HTTP. Fails unless the endpoint accepts the request.
pub async fn send_logs_over_http(
    endpoint: &OtlpEndpoint,
    credentials: &Credentials,
    request: ExportLogsServiceRequest,
) -> Result<()> {
    post(endpoint, credentials, "/v1/logs", request.encode_to_vec()).await
}

async fn post(endpoint: &OtlpEndpoint, credentials: &Credentials, path: &str, body: Vec<u8>) -> Result<()> {
    let OtlpEndpoint { port, server_name } = endpoint;
    let (scheme, config) = match credentials.tls()? {
        Some(config) => ("https", config),
        // reqwest needs a TLS configuration even for a plaintext request.
        None => ("http", builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()),
    };
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .resolve(server_name, (Ipv4Addr::LOCALHOST, *port).into())
        .tls_backend_preconfigured(config)
        .build()?;
    let response = client
        .post(format!("{scheme}://{server_name}:{port}{path}"))
        .header("content-type", "application/x-protobuf")
        .body(body)
        .send()
        .await?;
    ensure!(response.status().is_success(), "the endpoint responded with {}", response.status());
    Ok(())
}

/// Returns the certificate that an endpoint presents. Fails if the connection fails.
pub async fn served_certificate(
    endpoint: &OtlpEndpoint,
    credentials: &Credentials,
) -> Result<CertificateDer<'static>> {
    let config = credentials.tls()?.context("a plaintext endpoint has no certificate")?;
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, endpoint.port)).await?;
    let name = ServerName::try_from(endpoint.server_name.clone())?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let connection =
        tokio::time::timeout(TIMEOUT, handshake).await.context("the TLS handshake timed out")??;
    let certificate = connection.get_ref().1.peer_certificates().and_then(<[_]>::first);
    Ok(certificate.context("the endpoint presented no certificate")?.clone().into_owned())
}

/// Reads the first certificate in a PEM file.
pub fn read_certificate(path: &Path) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(path).with_context(|| path.display().to_string())
}

/// The `service.name` of the spans that [`one_span`] creates.
pub const CLIENT: &str = "otlp-test-client";

/// Creates a request with one span. The span's service is [`CLIENT`].
#[must_use]
pub fn one_span(trace_id: u128, name: &str) -> ExportTraceServiceRequest {
    let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    let now = u64::try_from(now).unwrap_or_default();
    let service = AnyValue { value: Some(any_value::Value::StringValue(CLIENT.to_owned())) };
    let span = Span {
        trace_id: trace_id.to_be_bytes().to_vec(),
        span_id: 1_u64.to_be_bytes().to_vec(),
        name: name.to_owned(),
        start_time_unix_nano: now,
        end_time_unix_nano: now,
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![KeyValue {
                    key: "service.name".to_owned(),
                    value: Some(service),
                    ..KeyValue::default()
                }],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

impl Credentials {
    fn tls(&self) -> Result<Option<ClientConfig>> {
        Ok(match self {
            Self::Plaintext => None,
            Self::NoCertificate { trust } => {
                Some(builder().with_root_certificates(root_store(&trust.ca)?).with_no_client_auth())
            }
            Self::Certificate { trust, identity } => {
                let (chain, key) = read_key_pair(identity)?;
                let builder = builder().with_root_certificates(root_store(&trust.ca)?);
                Some(builder.with_client_auth_cert(chain, key)?)
            }
        })
    }
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    install_cryptography_provider();
    ClientConfig::builder()
}

/// Installs rustls' cryptography provider for this process. reqwest needs it, too.
pub fn install_cryptography_provider() {
    // An error means that a cryptography provider is already installed. The error is ignored, because all code in this
    // process installs the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads the certificate chain and the private key of an identity.
pub(crate) fn read_key_pair(
    identity: &TlsFiles,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = CertificateDer::pem_file_iter(&identity.cert)?.collect::<Result<_, _>>()?;
    Ok((chain, PrivateKeyDer::from_pem_file(&identity.key)?))
}

/// Reads the certificates in a CA bundle.
fn root_store(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(|| path.display().to_string())? {
        roots.add(certificate?)?;
    }
    Ok(roots)
}
