//! Tests of `sightline` without root certificates, as in a container image that contains only the program.
#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper should fail the test")]

use std::process::Command;

/// Runs `sightline traces` without root certificates and returns its error message.
fn traces(jaeger: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sightline"))
        .args(["traces", "--service", "order-service", "--jaeger", jaeger])
        .env("SSL_CERT_FILE", "/dev/null")
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn plain_http_works_without_root_certificates() {
    let error = traces("http://127.0.0.1:1");
    assert!(error.contains("no response from Jaeger"), "{error}");
}

#[test]
fn https_without_root_certificates_suggests_ssl_cert_file() {
    let error = traces("https://127.0.0.1:1");
    assert!(error.contains("SSL_CERT_FILE"), "{error}");
}
