//! An OTLP client of our own, to knock at the pipeline's doors with whatever certificate: not the library's exporter,
//! which is what is being tested elsewhere.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
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
use tonic::transport::Endpoint;

/// An answer takes milliseconds; a refusal must not hang either.
const PATIENCE: Duration = Duration::from_secs(10);

/// As whom to knock.
#[derive(Debug, Clone)]
pub enum Knock {
    /// Without TLS.
    Plaintext,
    /// With TLS, trusting this authority, and without a certificate.
    Anonymous(TlsFiles),
    /// With TLS, trusting the authority of the first and with the certificate of the second.
    As(TlsFiles, TlsFiles),
}

/// Where to knock: a port of this machine, and the name that the certificate behind it has to bear.
#[derive(Debug, Clone)]
pub struct Door {
    port: u16,
    name: String,
}

impl Door {
    /// A process on this machine.
    #[must_use]
    pub fn local(port: u16) -> Self {
        Self::named(port, "localhost")
    }

    /// One that is led to through a port of this machine.
    #[must_use]
    pub fn named(port: u16, name: &str) -> Self {
        Self { port, name: name.to_owned() }
    }

    /// Fails where nothing listens.
    pub async fn reach(&self) -> Result<()> {
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.map(drop)?)
    }
}

/// Sends one span of this trace over gRPC. Fails when it is not accepted, for whatever reason.
pub async fn send_over_grpc(door: &Door, knock: &Knock, request: ExportTraceServiceRequest) -> Result<()> {
    let channel = if let Some(config) = knock.tls()? {
        let name = FixedServerNameResolver::new(ServerName::try_from(door.name.clone())?);
        let tls = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
        let tls = tls.with_server_name_resolver(name).enable_http2();
        let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{}", door.port))?.timeout(PATIENCE);
        endpoint.connect_with_connector(tls.build()).await?
    } else {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", door.port))?;
        endpoint.timeout(PATIENCE).connect().await?
    };
    let answer = TraceServiceClient::new(channel).export(request).await?.into_inner();
    ensure!(answer.partial_success.is_none_or(|part| part.rejected_spans == 0), "rejected");
    Ok(())
}

/// Sends one span of this trace over HTTP. Fails when it is not accepted, for whatever reason.
pub async fn send_over_http(door: &Door, knock: &Knock, request: ExportTraceServiceRequest) -> Result<()> {
    let (scheme, config) = match knock.tls()? {
        Some(config) => ("https", config),
        // reqwest wants a configuration also where it uses none.
        None => ("http", builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()),
    };
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .resolve(&door.name, (Ipv4Addr::LOCALHOST, door.port).into())
        .tls_backend_preconfigured(config)
        .build()?;
    let answer = client
        .post(format!("{scheme}://{}:{}/v1/traces", door.name, door.port))
        .header("content-type", "application/x-protobuf")
        .body(request.encode_to_vec())
        .send()
        .await?;
    ensure!(answer.status().is_success(), "answered {}", answer.status());
    Ok(())
}

/// The certificate that is shown to whoever connects. Fails where the connection does.
pub async fn served_certificate(door: &Door, knock: &Knock) -> Result<CertificateDer<'static>> {
    let config = knock.tls()?.context("plaintext shows none")?;
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, door.port)).await?;
    let name = ServerName::try_from(door.name.clone())?;
    let connection = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let connection = tokio::time::timeout(PATIENCE, connection).await.context("no answer")??;
    let shown = connection.get_ref().1.peer_certificates().and_then(<[_]>::first);
    Ok(shown.context("it shows none")?.clone().into_owned())
}

/// The first certificate in a file.
pub fn certificate(path: &Path) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(path).with_context(|| path.display().to_string())
}

/// A request with one span of the service `knocker`.
#[must_use]
pub fn one_span(trace_id: u128, name: &str) -> ExportTraceServiceRequest {
    let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    let now = u64::try_from(now).unwrap_or_default();
    let service = AnyValue { value: Some(any_value::Value::StringValue("knocker".to_owned())) };
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

impl Knock {
    fn tls(&self) -> Result<Option<ClientConfig>> {
        Ok(match self {
            Self::Plaintext => None,
            Self::Anonymous(trust) => {
                Some(builder().with_root_certificates(authorities(&trust.ca)?).with_no_client_auth())
            }
            Self::As(trust, identity) => {
                let chain = CertificateDer::pem_file_iter(&identity.cert)?.collect::<Result<Vec<_>, _>>()?;
                let key = PrivateKeyDer::from_pem_file(&identity.key)?;
                let builder = builder().with_root_certificates(authorities(&trust.ca)?);
                Some(builder.with_client_auth_cert(chain, key)?)
            }
        })
    }
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    // Whoever was first has installed the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientConfig::builder()
}

fn authorities(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(|| path.display().to_string())? {
        roots.add(certificate?)?;
    }
    Ok(roots)
}
