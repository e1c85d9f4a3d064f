//! The service on a real `PostgreSQL`, where there is one to start.

use serde_json::json;
use service_common::testing::{Postgres, database, send, spawn, telemetry};
use user_service::{Users, app};

#[tokio::test]
async fn the_same_statements_do_on_postgres() {
    telemetry();
    let Some(postgres) = Postgres::start() else { return };
    let users = Users::open(&postgres.url(), true).await.unwrap();
    // A second replica finds everything in place.
    Users::open(&postgres.url(), true).await.unwrap().close().await;

    let address = spawn(app(users.clone())).await;
    let reply = send(address, "GET /users/7", &[], b"").await;
    assert_eq!(reply.json(), json!({"id": 7, "name": "User 7", "email": "user7@example.org"}));
    send(address, "GET /users/101", &[], b"").await.assert_problem(404, "a user who is not there");
    send(address, "GET /users/999", &[], b"").await.assert_problem(500, "the user who fails");

    let json = [("content-type", "application/json")];
    let new = br#"{"name": "Ada", "email": "ada@example.org"}"#;
    let reply = send(address, "POST /users", &json, new).await;
    assert_eq!((reply.status, reply.header("location")), (201, Some("/users/1001")), "{reply:?}");
    send(address, "POST /users", &json, new).await.assert_problem(409, "the same again");

    // The server goes away under us.
    drop(postgres);
    send(address, "GET /users/7", &[], b"").await.assert_problem(503, "without a server");
    users.close().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_stops_the_start() {
    let url = database("postgres://app:hunter2@127.0.0.1:1/app");
    let error = telemetry::chain(&Users::open(&url, false).await.expect_err("nobody is there"));
    assert!(
        error.starts_with("the postgresql database app at 127.0.0.1:1 cannot be reached (DATABASE_URL): "),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
}
