//! An image from scratch has none of the public Web's authorities, and plain HTTP needs none.
#![expect(clippy::unwrap_used, reason = "a test ends where its tools fail")]

use std::process::Command;

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
fn plain_http_is_asked_without_authorities() {
    let said = traces("http://127.0.0.1:1");
    assert!(said.contains("no answer from Jaeger"), "{said}");
}

#[test]
fn https_without_authorities_says_what_to_name() {
    let said = traces("https://127.0.0.1:1");
    assert!(said.contains("SSL_CERT_FILE"), "{said}");
}
