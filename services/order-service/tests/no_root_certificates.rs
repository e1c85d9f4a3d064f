//! The program on a system without CA certificates, as in a `FROM scratch` image. Plain HTTP needs none.
#![expect(clippy::unwrap_used, reason = "a test fails if its helpers fail")]

use std::net::TcpListener;
use std::process::Command;

/// Starts the service and returns its standard error. Its address is in use, so it exits in any case, but only after it
/// has created its clients.
fn stderr_of_start(user_service_url: &str) -> String {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_order-service"))
        .env("SSL_CERT_FILE", "/dev/null")
        .env_remove("SSL_CERT_DIR")
        .env("DATABASE_URL", format!("sqlite://{}/order.db?mode=rwc", dir.path().display()))
        .env("OTEL_SDK_DISABLED", "true")
        .env("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
        .env("SIGHTLINE_HTTP_ADDRESS", occupied.local_addr().unwrap().to_string())
        .env("SIGHTLINE_USER_SERVICE_URL", user_service_url)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn plain_http_needs_no_ca_certificates() {
    let stderr = stderr_of_start("http://127.0.0.1:1");
    assert!(stderr.contains("cannot listen on"), "{stderr}");
}

#[test]
fn https_without_ca_certificates_fails_with_advice() {
    let stderr = stderr_of_start("https://127.0.0.1:1");
    assert!(stderr.contains("SIGHTLINE_USER_SERVICE_URL") && stderr.contains("SSL_CERT_FILE"), "{stderr}");
}
