//! Tests of the program on a system without CA certificates, such as a `FROM scratch` image. Plain HTTP does not need
//! CA certificates.
#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper should fail the test")]

use std::net::TcpListener;
use std::process::Command;

/// Starts the service and returns its standard error. The service always exits, because its address is already in use.
/// Before it exits, it creates its clients.
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
