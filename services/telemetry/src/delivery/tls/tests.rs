use super::*;
use crate::delivery::expiry;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fs;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn new_ca() -> Ca {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Returns a certificate for localhost, signed by `ca`, and the certificate's key. Both are PEM.
fn new_certificate(ca: &Ca) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
}

/// Writes three files to `folder`: the certificate of `ca`, a new certificate signed by `ca`, and the key of the new
/// certificate.
fn write(folder: &TempDir, ca: &Ca) -> TlsFiles {
    let (certificate, key) = new_certificate(ca);
    let path = |name| folder.path().join(name);
    fs::write(path("ca.crt"), ca.pem()).unwrap();
    fs::write(path("tls.crt"), certificate).unwrap();
    fs::write(path("tls.key"), key).unwrap();
    TlsFiles { ca_bundle: Some(path("ca.crt")), identity: Some((path("tls.crt"), path("tls.key"))) }
}

/// Whether a mutual TLS handshake between `client` and a server succeeds. The server's certificate is signed by `ca`,
/// and the server accepts only client certificates signed by `ca`.
async fn handshake_succeeds(client: ClientConfig, ca: &Ca) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (certificate, key) = new_certificate(ca);
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(stream).await?;
        stream.write_all(b"welcome").await?;
        stream.shutdown().await
    });
    let response = async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await?;
        let mut text = String::new();
        // In TLS 1.3, a server can reject the client after the client has completed its side of the handshake. Reading
        // from the stream detects the rejection.
        stream.read_to_string(&mut text).await.map(|_| text == "welcome")
    };
    let is_received = response.await.unwrap_or(false);
    server.await.unwrap().is_ok() && is_received
}

#[tokio::test]
async fn reloads_changed_files() {
    let (old, new, folder) = (new_ca(), new_ca(), TempDir::new().unwrap());
    let watcher = CertificateWatcher::open(write(&folder, &old)).unwrap();
    let client = watcher.client_config().unwrap();
    assert!(handshake_succeeds(client.clone(), &old).await);
    assert!(!handshake_succeeds(client.clone(), &new).await);

    write(&folder, &new);
    assert!(watcher.reload().unwrap());
    // An exporter keeps the same configuration for its whole lifetime, so the test reuses `client`.
    assert!(handshake_succeeds(client.clone(), &new).await);
    assert!(!handshake_succeeds(client, &old).await);
    assert!(!watcher.reload().unwrap(), "the files did not change again");
}

#[tokio::test]
async fn keeps_the_previous_content_during_a_rotation() {
    let (ca, folder) = (new_ca(), TempDir::new().unwrap());
    let watcher = CertificateWatcher::open(write(&folder, &ca)).unwrap();
    let client = watcher.client_config().unwrap();

    let (certificate, key) = new_certificate(&ca);
    fs::write(folder.path().join("tls.crt"), certificate).unwrap();
    assert!(matches!(watcher.reload(), Err(TlsError::Mismatch { .. })), "the key is still the previous one");
    assert!(handshake_succeeds(client.clone(), &ca).await);

    fs::write(folder.path().join("tls.key"), key).unwrap();
    assert!(watcher.reload().unwrap());
    assert!(handshake_succeeds(client, &ca).await);
}

#[test]
fn names_the_file_that_cannot_be_used() {
    let (ca, folder) = (new_ca(), TempDir::new().unwrap());
    let files = write(&folder, &ca);
    for (name, content) in [("ca.crt", "no PEM"), ("tls.crt", ""), ("tls.key", "no PEM")] {
        let path = folder.path().join(name);
        let valid = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let error = CertificateWatcher::open(files.clone()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        fs::write(&path, valid).unwrap();
    }
    fs::remove_file(folder.path().join("tls.key")).unwrap();
    assert!(matches!(CertificateWatcher::open(files), Err(TlsError::Read { .. })));
}

/// The expiries that the metric reports: the value of the attribute `certificate`, and the Unix time.
fn reported_expiries(watcher: &Arc<CertificateWatcher>) -> Vec<(String, i64)> {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    expiry::register(&provider.meter("test"), vec![Arc::clone(watcher)]);
    provider.force_flush().unwrap();
    let metrics = exporter.get_finished_metrics().unwrap();
    let metric = metrics[0].scope_metrics().next().unwrap().metrics().next().unwrap();
    assert_eq!((metric.name(), metric.unit()), ("sightline.certificate.expiry", "s"));
    let AggregatedMetrics::I64(MetricData::Gauge(gauge)) = metric.data() else { panic!("{metric:?}") };
    let points = gauge.data_points();
    let mut found: Vec<_> =
        points.map(|point| (point.attributes().next().unwrap().value.to_string(), point.value())).collect();
    found.sort();
    found
}

#[test]
fn reports_when_certificates_expire() {
    let folder = TempDir::new().unwrap();
    let ca_until = |year| {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let certificate_until = |ca: &Ca, year| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        (params.signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
    };
    let (old, new) = (ca_until(2001), ca_until(2040));
    let files = write(&folder, &new);
    let replace = |bundle: &[&Ca], chain: &[&str], key: &str| {
        fs::write(folder.path().join("ca.crt"), bundle.iter().map(|ca| ca.pem()).collect::<String>())
            .unwrap();
        fs::write(folder.path().join("tls.crt"), chain.concat()).unwrap();
        fs::write(folder.path().join("tls.key"), key).unwrap();
    };
    // A chain is valid until its first certificate expires, and a bundle until its last CA expires.
    let (leaf, key) = certificate_until(&new, 2035);
    let (intermediate, _) = certificate_until(&new, 2030);
    replace(&[&new, &old], &[&leaf, &intermediate], &key);
    let watcher = CertificateWatcher::open(files).unwrap();
    let until = |role: &str, year| {
        let time = rcgen::date_time_ymd(year, 1, 1).unix_timestamp();
        (role.to_owned(), time)
    };
    assert_eq!(reported_expiries(&watcher), [until("ca", 2040), until("own", 2030)]);

    replace(&[&new], &[&leaf], &key);
    watcher.reload().unwrap();
    assert_eq!(reported_expiries(&watcher), [until("ca", 2040), until("own", 2035)]);
}

#[test]
fn hides_the_private_key_in_debug_output() {
    let (ca, folder) = (new_ca(), TempDir::new().unwrap());
    let files = write(&folder, &ca);
    let key = fs::read(folder.path().join("tls.key")).unwrap();
    let shown = format!("{:?}", CertificateWatcher::open(files).unwrap());
    assert!(!shown.contains(&format!("{:?}", &key[40..60]).trim_matches(['[', ']']).to_owned()));
}
