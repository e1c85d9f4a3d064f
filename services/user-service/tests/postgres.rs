//! Tests of the service with a real `PostgreSQL` server. The tests are skipped if `PostgreSQL` is not installed.

use serde_json::json;
use service_common::testing::{Postgres, database_url, send, spawn, start_telemetry};
use user_service::{UserStore, app};

#[tokio::test]
async fn works_with_postgres() {
    start_telemetry();
    let Some(postgres) = Postgres::start() else { return };
    let users = UserStore::open(&postgres.url(), true).await.unwrap();
    // A second replica starts with the existing tables.
    UserStore::open(&postgres.url(), true).await.unwrap().close().await;

    let address = spawn(app(users.clone())).await;
    let response = send(address, "GET /users/7", &[], b"").await;
    assert_eq!(response.json(), json!({"id": 7, "name": "User 7", "email": "user7@example.org"}));
    send(address, "GET /users/101", &[], b"").await.assert_problem(404, "a user that does not exist");
    send(address, "GET /users/999", &[], b"").await.assert_problem(500, "user 999, with faults enabled");

    let json = [("content-type", "application/json")];
    let new = br#"{"name": "Ada", "email": "ada@example.org"}"#;
    let response = send(address, "POST /users", &json, new).await;
    assert_eq!((response.status, response.header("location")), (201, Some("/users/1001")), "{response:?}");
    send(address, "POST /users", &json, new).await.assert_problem(409, "the same user again");

    // Stop the server while the service is running.
    drop(postgres);
    send(address, "GET /users/7", &[], b"").await.assert_problem(503, "with a stopped server");
    users.close().await;
}

#[tokio::test]
async fn fails_to_open_if_the_server_is_unreachable() {
    let url = database_url("postgres://app:hunter2@127.0.0.1:1/app");
    let error = telemetry::chain(&UserStore::open(&url, false).await.expect_err("nothing listens on port 1"));
    assert!(
        error.starts_with("cannot connect to the postgresql database app at 127.0.0.1:1 (DATABASE_URL): "),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
}
