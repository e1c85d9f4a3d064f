//! An image from scratch has none of the public Web's authorities, and plain HTTP needs none.
#![expect(clippy::unwrap_used, reason = "a test ends where its tools fail")]

use std::net::TcpListener;
use std::process::Command;

/// What the service says as it ends. Its address is taken, so it ends in any case: after its clients were set up.
fn start(users: &str) -> String {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_order-service"))
        .env("SSL_CERT_FILE", "/dev/null")
        .env_remove("SSL_CERT_DIR")
        .env("DATABASE_URL", format!("sqlite://{}/order.db?mode=rwc", dir.path().display()))
        .env("OTEL_SDK_DISABLED", "true")
        .env("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
        .env("SIGHTLINE_HTTP_ADDRESS", taken.local_addr().unwrap().to_string())
        .env("SIGHTLINE_USER_SERVICE_URL", users)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_user_service_over_plain_http_needs_no_authorities() {
    let said = start("http://127.0.0.1:1");
    assert!(said.contains("cannot be listened on"), "{said}");
}

#[test]
fn a_user_service_over_https_without_authorities_says_what_to_name() {
    let said = start("https://127.0.0.1:1");
    assert!(said.contains("SIGHTLINE_USER_SERVICE_URL") && said.contains("SSL_CERT_FILE"), "{said}");
}
