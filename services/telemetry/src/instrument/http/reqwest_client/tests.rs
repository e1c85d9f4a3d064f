use std::env;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::HeaderMap;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::FutureExt as _;
use opentelemetry::{Context, KeyValue};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::testing::{
    Recorder, attributes_and_failed, never_completes, reqwest_client, serve, unused_address,
};

#[tokio::test]
async fn records_the_kind_of_a_failure() {
    // This server announces ten bytes, sends three, and closes the connection.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let truncating = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await.unwrap();
    });
    let hanging = serve(Router::new().route("/", get(never_completes::<()>))).await;

    for (address, kind) in
        [(unused_address(), "connect"), (hanging, "timeout"), (truncating, "unexpected_eof")]
    {
        let recorder = Recorder::new();
        let client = Client::of(reqwest_client(), recorder.scope());
        let timeout = Duration::from_millis(if kind == "timeout" { 50 } else { 10_000 });
        let request = client.get_ref().get(format!("http://{address}/")).timeout(timeout).build().unwrap();
        match client.execute(request, None).await {
            Ok(response) => assert!(response.bytes().await.is_err()),
            Err(error) => assert!(error.is_connect() || error.is_timeout()),
        }
        let (attributes, failed) = attributes_and_failed(&recorder.span());
        assert_eq!((attributes["error.type"].as_str(), failed), (kind, true));
        assert_eq!(attributes.contains_key("http.response.status_code"), kind == "unexpected_eof");
    }
}

#[tokio::test]
async fn sends_the_context_with_the_request() {
    async fn echo(headers: HeaderMap) -> String {
        let header = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
        format!("{} {} {}", header("traceparent"), header("baggage"), headers.contains_key("tracestate"))
    }
    let address = serve(Router::new().route("/", get(echo))).await;
    let recorder = Recorder::new();
    let client = Client::of(reqwest_client(), recorder.scope());
    let request = client.get_ref().get(format!("http://{address}/")).build().unwrap();
    let context = Context::new().with_baggage([KeyValue::new("environment", "demo")]);
    let response = client.execute(request, None).with_context(context).await.unwrap();
    assert_eq!(response.url().as_str(), format!("http://{address}/"));
    assert!(recorder.spans().is_empty(), "the span ended before the body was read");
    let received = response.text().await.unwrap();

    let span = recorder.span();
    let sent = format!("00-{}-{}-01", span.span_context.trace_id(), span.span_context.span_id());
    assert_eq!(received, format!("{sent} environment=demo false"));
}

/// Serves one HTTPS request with a certificate for `localhost`. Returns the port and the certificate.
async fn https_server() -> (u16, reqwest::Certificate) {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = identity.cert.der().clone();
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // The client aborts the handshake if it does not trust the certificate.
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (port, reqwest::Certificate::from_der(&certificate).unwrap())
}

async fn get_text(client: &reqwest::Client, url: &str) -> Result<String, reqwest::Error> {
    client.get(url).send().await?.text().await
}

#[tokio::test]
async fn a_built_client_trusts_the_given_certificates() {
    let (port, certificate) = https_server().await;
    let builder = client_builder().no_proxy().resolve("localhost", ([127, 0, 0, 1], 0).into());
    let client = builder.tls_certs_only([certificate]).build().unwrap();
    assert_eq!(get_text(&client, &format!("https://localhost:{port}/")).await.unwrap(), "ok");
}

#[test]
fn a_client_can_be_built_without_a_provider_and_without_ca_certificates() {
    // The test needs a new process, because other tests install a default rustls provider in this process.
    let test = format!("{}::in_a_new_process", module_path!().split_once("::").unwrap().1);
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &test, "--ignored"])
        .env("SSL_CERT_FILE", "/dev/null")
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{output:?}");
}

#[tokio::test]
#[ignore = "a_client_can_be_built_without_a_provider_and_without_ca_certificates runs this in a new process"]
async fn in_a_new_process() {
    assert!(CryptoProvider::get_default().is_none());
    let client =
        client_builder().no_proxy().resolve("localhost", ([127, 0, 0, 1], 0).into()).build().unwrap();

    let http = serve(Router::new().route("/", get(|| async { "ok" }))).await;
    assert_eq!(get_text(&client, &format!("http://{http}/")).await.unwrap(), "ok");

    let (port, _untrusted) = https_server().await;
    let error = get_text(&client, &format!("https://localhost:{port}/")).await.unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
}
