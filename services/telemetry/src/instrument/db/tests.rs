use std::fmt;

use opentelemetry::trace::{SpanKind, Status};

use super::*;
use crate::instrument::span::{record_error, trace_id};
use crate::testing::{Recorder, attributes_and_failed, cancel, expected, never_completes};

const READ_USER: Query =
    Query { operation: "SELECT", collection: "users", text: "SELECT name FROM users WHERE id = ?" };

#[derive(Debug)]
enum Failure {
    #[allow(dead_code, reason = "only the `Debug` output contains this text, which must not reach the span")]
    Database(&'static str),
}
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ada@example.org is taken")
    }
}
impl Error for Failure {}

fn database(recorder: &Recorder) -> Database {
    Database::of("postgresql", "users", recorder.scope()).server("db.example.org", 5433)
}

const ALWAYS: [(&str, &str); 7] = [
    ("db.collection.name", "users"),
    ("db.namespace", "users"),
    ("db.operation.name", "SELECT"),
    ("db.query.summary", "SELECT users"),
    ("db.system.name", "postgresql"),
    ("server.address", "db.example.org"),
    ("server.port", "5433"),
];

#[tokio::test]
async fn records_a_span_and_a_duration() {
    let recorder = Recorder::new();
    let trace_id_inside =
        database(&recorder).call(&READ_USER, async { Ok::<_, Failure>(trace_id()) }).await.unwrap();

    let span = recorder.span();
    assert_eq!(span.name, "SELECT users");
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(trace_id_inside, Some(span.span_context.trace_id().to_string()));
    let mut all = expected(ALWAYS);
    all.insert("db.query.text".into(), READ_USER.text.into());
    assert_eq!(attributes_and_failed(&span), (all, false));
    assert_eq!(recorder.histogram_counts(DB_CLIENT_OPERATION_DURATION), [(expected(ALWAYS), 1)]);
    assert_eq!(recorder.bucket_boundaries(DB_CLIENT_OPERATION_DURATION), DATABASE_BUCKETS);
}

#[tokio::test]
async fn records_the_type_of_an_error_but_not_its_message() {
    let recorder = Recorder::new();
    let failing = async { Err::<(), _>(Failure::Database("ada@example.org")) };
    database(&recorder).call(&READ_USER, failing).await.unwrap_err();
    let span = recorder.span();
    let class = "sightline_telemetry::instrument::db::tests::Failure::Database";
    assert_eq!(attributes_and_failed(&span).0["error.type"], class);
    assert_eq!(span.status, Status::error(""));
    assert_eq!(recorder.histogram_counts(DB_CLIENT_OPERATION_DURATION)[0].0["error.type"], class);
    assert!(!format!("{span:?}").contains("ada@"));
}

#[tokio::test]
async fn sets_the_error_type_once_if_the_handler_records_the_error() {
    let recorder = Recorder::new();
    let failing = async {
        let error = Failure::Database("");
        record_error(&error);
        Err::<(), _>(error)
    };
    database(&recorder).call(&READ_USER, failing).await.unwrap_err();
    let span = recorder.span();
    assert_eq!(
        attributes_and_failed(&span).0["error.type"],
        "sightline_telemetry::instrument::db::tests::Failure::Database"
    );
    assert_eq!(span.events.len(), 1);
}

#[tokio::test]
async fn a_cancelled_call_is_an_error() {
    let recorder = Recorder::new();
    cancel(database(&recorder).call(&READ_USER, never_completes::<Result<(), Failure>>())).await;
    let (attributes, failed) = attributes_and_failed(&recorder.span());
    assert_eq!((attributes["error.type"].as_str(), failed), ("cancelled", true));
    assert_eq!(recorder.histogram_counts(DB_CLIENT_OPERATION_DURATION)[0].0["error.type"], "cancelled");
}
