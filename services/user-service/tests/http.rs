//! Tests of the service over HTTP, with `SQLite`.
#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper should fail the test")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use service_common::testing::{Response, send, spawn, sqlite, start_telemetry};
use tempfile::TempDir;
use user_service::{UserStore, app};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

async fn start(faults: bool) -> (SocketAddr, UserStore, TempDir) {
    start_telemetry();
    let directory = tempfile::tempdir().unwrap();
    let users = UserStore::open(&sqlite(directory.path()), faults).await.unwrap();
    (spawn(app(users.clone())).await, users, directory)
}

async fn get(address: SocketAddr, path: &str) -> Response {
    send(address, &format!("GET {path}"), &[], b"").await
}

async fn post(address: SocketAddr, body: impl AsRef<[u8]>) -> Response {
    send(address, "POST /users", JSON, body.as_ref()).await
}

#[tokio::test]
async fn reads_a_seeded_user() {
    let (address, _users, _directory) = start(false).await;
    for path in ["/users/7", "/users/%37", "/users/7?x=y"] {
        let response = get(address, path).await;
        assert_eq!(
            (response.status, response.header("content-type")),
            (200, Some("application/json")),
            "{path}"
        );
        assert_eq!(response.json(), json!({"id": 7, "name": "User 7", "email": "user7@example.org"}));
        let traceresponse = response.header("traceresponse").unwrap_or_default();
        assert!(traceresponse.starts_with("00-") && traceresponse.ends_with("-01"), "{response:?}");
    }
    assert_eq!(get(address, "/users/100").await.status, 200);
}

#[tokio::test]
async fn stores_a_new_user_at_its_location() {
    let (address, _users, _directory) = start(false).await;
    let response = post(address, r#"{"name": " Zoë ", "email": "zoe@example.org", "unknown": []}"#).await;
    assert_eq!(response.status, 201, "{response:?}");
    assert_eq!(response.json(), json!({"id": 1001, "name": "Zoë", "email": "zoe@example.org"}));
    assert_eq!(response.header("location"), Some("/users/1001"));
    assert_eq!(get(address, "/users/1001").await.json(), response.json());

    let content_type = [("content-type", "application/json; charset=utf-8")];
    let response =
        send(address, "POST /users", &content_type, br#"{"name": "Bo", "email": "bo@example.org"}"#).await;
    assert_eq!(response.header("location"), Some("/users/1002"));
}

#[tokio::test]
async fn rejects_invalid_requests() {
    let (address, _users, _directory) = start(false).await;
    for (request, status) in [
        ("GET /users/101", 404),
        ("GET /users/998", 404),
        ("GET /users/999", 404),
        ("GET /users/9223372036854775807", 404),
        ("GET /", 404),
        ("GET /users/", 404),
        ("GET /users/1/", 404),
        ("GET /nothing", 404),
        ("GET /%ff/%", 404),
        ("GET //users/1", 404),
        ("PURGE /nothing", 404),
        ("GET /users/0", 400),
        ("GET /users/-1", 400),
        ("GET /users/+1", 400),
        ("GET /users/1.0", 400),
        ("GET /users/ada", 400),
        ("GET /users/%20", 400),
        ("GET /users/%00", 400),
        ("GET /users/%ff", 400),
        ("GET /users/%", 400),
        ("GET /users/1%2F2", 400),
        ("GET /users/..%2f1", 400),
        ("GET /users/9223372036854775808", 400),
        ("GET /users/99999999999999999999999999999999", 400),
        ("GET /users", 405),
        ("DELETE /users", 405),
        ("PURGE /users", 405),
        ("PUT /users/1", 405),
    ] {
        send(address, request, &[], b"").await.assert_problem(status, request);
    }
    assert_eq!(send(address, "PUT /users", &[], b"").await.header("allow"), Some("POST"));
    assert_eq!(send(address, "POST /users/1", &[], b"").await.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn rejects_invalid_bodies() {
    let (address, _users, _directory) = start(false).await;
    for body in [
        &b"{"[..],
        b"",
        b"null",
        b"[]",
        br#""ada@example.org""#,
        br#"["Ada", "ada@example.org"]"#,
        br#"{"name": "Ada", "email": "ada@example.org"} x"#,
        br"{}",
        br#"{"name": "Ada"}"#,
        br#"{"email": "ada@example.org"}"#,
        br#"{"name": "", "email": "ada@example.org"}"#,
        br#"{"name": "Ada", "email": ""}"#,
        br#"{"name": 7, "email": "ada@example.org"}"#,
        br#"{"name": "Ada", "email": ["ada@example.org"]}"#,
        br#"{"name": "Ada", "email": "ada"}"#,
        br#"{"name": "A\u0000da", "email": "ada@example.org"}"#,
        b"{\"name\": \"\xff\", \"email\": \"ada@example.org\"}",
    ] {
        post(address, body).await.assert_problem(400, &String::from_utf8_lossy(body));
    }
    post(address, "[".repeat(50_000)).await.assert_problem(400, "deeply nested");

    let user = br#"{"name": "Ada", "email": "ada@example.org"}"#;
    for headers in
        [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-www-form-urlencoded")]]
    {
        send(address, "POST /users", headers, user).await.assert_problem(415, &format!("{headers:?}"));
    }
}

#[tokio::test]
async fn limits_the_body_to_64_kib() {
    let (address, _users, _directory) = start(false).await;
    let body = |length: usize| {
        let start = r#"{"name": "Ada", "email": "ada@example.org", "padding": ""#;
        format!("{start}{}\"}}", "x".repeat(length - start.len() - 2))
    };
    assert_eq!(post(address, body(64 * 1024)).await.status, 201);
    post(address, body(64 * 1024 + 1)).await.assert_problem(413, "one byte over the limit");
    post(address, body(4 * 1024 * 1024)).await.assert_problem(413, "four MiB");

    let chunked = format!("{:x}\r\n{}\r\n0\r\n\r\n", 64 * 1024 + 1, body(64 * 1024 + 1));
    let headers = [JSON[0], ("transfer-encoding", "chunked")];
    send(address, "POST /users", &headers, chunked.as_bytes())
        .await
        .assert_problem(413, "chunked body over the limit");
}

#[tokio::test]
async fn rejects_a_taken_email_regardless_of_case() {
    let (address, _users, _directory) = start(false).await;
    let response = post(address, r#"{"name": "Impostor", "email": "USER7@Example.org"}"#).await;
    response.assert_problem(409, "a taken email");
    assert!(!response.body.to_lowercase().contains("user7"), "{response:?}");
}

#[tokio::test]
async fn responds_with_503_if_the_store_is_closed() {
    let (address, users, _directory) = start(false).await;
    users.close().await;
    get(address, "/users/1").await.assert_problem(503, "with a closed store");
    let response = post(address, r#"{"name": "Ada", "email": "ada@example.org"}"#).await;
    response.assert_problem(503, "with a closed store");
}

#[tokio::test]
async fn built_in_faults_exist_only_if_enabled() {
    let (address, users, directory) = start(true).await;
    let response = get(address, "/users/999").await;
    response.assert_problem(500, "user 999, with faults enabled");
    assert!(!response.body.contains("FAULTS"), "{response:?}");
    let started = Instant::now();
    assert_eq!(get(address, "/users/998").await.status, 200);
    assert!(started.elapsed() >= Duration::from_secs(1));
    users.close().await;

    // Without faults, the same file still contains the other users.
    let users = UserStore::open(&sqlite(directory.path()), false).await.unwrap();
    let address = spawn(app(users)).await;
    get(address, "/users/998").await.assert_problem(404, "without faults");
    assert_eq!(get(address, "/users/100").await.status, 200);
}
