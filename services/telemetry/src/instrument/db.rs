//! Databases: a span and the metric `db.client.operation.duration` for every call.
//!
//! [`Database::call`] wraps the future of a query, so it works with any driver that has an async API. The span's name
//! is the operation and the table, such as `SELECT users`. The text of the query is recorded on the span, so the text
//! must contain placeholders instead of values.
//!
//! Names, attributes and the metric follow version 1.42 of the OpenTelemetry semantic conventions for
//! [database spans](https://opentelemetry.io/docs/specs/semconv/db/database-spans/) and
//! [database metrics](https://opentelemetry.io/docs/specs/semconv/db/database-metrics/).
//!
//! ```
//! use sightline_telemetry::db::{Database, Query};
//!
//! const READ_NAME: Query =
//!     Query { operation: "SELECT", collection: "users", text: "SELECT name FROM users WHERE id = $1" };
//!
//! # struct Pool;
//! # impl Pool {
//! #     async fn fetch(&self, _: &str, _: i64) -> Result<String, std::io::Error> { Ok("Ada".into()) }
//! # }
//! struct Users {
//!     pool: Pool,
//!     database: Database,
//! }
//!
//! impl Users {
//!     fn new(pool: Pool) -> Self {
//!         Self { pool, database: Database::new("postgresql", "users").server("db.example.org", 5432) }
//!     }
//!
//!     async fn name(&self, id: i64) -> Result<String, std::io::Error> {
//!         self.database.call(&READ_NAME, self.pool.fetch(READ_NAME.text, id)).await
//!     }
//! }
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::metrics::Histogram;
use opentelemetry::trace::{FutureExt as _, SpanBuilder, SpanKind};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{
    DB_COLLECTION_NAME, DB_NAMESPACE, DB_OPERATION_NAME, DB_QUERY_SUMMARY, DB_QUERY_TEXT, DB_SYSTEM_NAME,
    ERROR_TYPE, SERVER_ADDRESS, SERVER_PORT,
};
use opentelemetry_semantic_conventions::metric::DB_CLIENT_OPERATION_DURATION;

use crate::instrument::call::{Call, InFlight, Outcome};
use crate::instrument::error_type::{self, CANCELLED};
use crate::instrument::span::CallSpan;
use crate::signals::scope::{DATABASE_BUCKETS, Scope};

/// A database, with the attributes that every call to it has.
///
/// Create it once, after telemetry has started, and keep it next to the connection pool. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Database {
    instruments: Arc<Instruments>,
    // The system, the namespace and the server. They are on every span and every measurement.
    attributes: Vec<KeyValue>,
}

#[derive(Debug)]
struct Instruments {
    scope: Scope,
    duration: Histogram<f64>,
}

/// The description of a query. Declare it as a `const` next to the code that sends the query.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// The operation, such as `SELECT`. It becomes the attribute `db.operation.name`.
    pub operation: &'static str,
    /// The table. It becomes the attribute `db.collection.name`.
    pub collection: &'static str,
    /// The SQL text. It becomes the attribute `db.query.text` unchanged, so it must contain placeholders for all
    /// values.
    pub text: &'static str,
}

impl Database {
    /// Describes the database with the name `namespace`. `system` is the database product, as a value of
    /// [`db.system.name`] such as `sqlite` or `postgresql`.
    ///
    /// [`db.system.name`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/db/#db-system-name
    #[must_use]
    pub fn new(system: &'static str, namespace: impl Into<String>) -> Self {
        Self::of(system, namespace, Scope::global())
    }

    pub(crate) fn of(system: &'static str, namespace: impl Into<String>, scope: Scope) -> Self {
        let duration = scope.duration(
            DB_CLIENT_OPERATION_DURATION,
            "Duration of database client operations.",
            &DATABASE_BUCKETS,
        );
        let namespace: Arc<str> = namespace.into().into();
        Self {
            instruments: Arc::new(Instruments { scope, duration }),
            attributes: vec![KeyValue::new(DB_SYSTEM_NAME, system), KeyValue::new(DB_NAMESPACE, namespace)],
        }
    }

    /// Sets the address and the port of the database server, as the attributes `server.address` and `server.port`. Do
    /// not call this method for an embedded database, which has no server.
    #[must_use]
    pub fn server(mut self, address: impl Into<String>, port: u16) -> Self {
        let address: Arc<str> = address.into().into();
        self.attributes
            .extend([KeyValue::new(SERVER_ADDRESS, address), KeyValue::new(SERVER_PORT, i64::from(port))]);
        self
    }

    /// Runs `future` in a span of kind `client`, and records the duration of the call. `future` must send `query` to
    /// the database.
    ///
    /// Returns the result of `future`. If the result is an error, the attribute `error.type` is the error's type and
    /// variant. The error's message is not recorded, because it can contain personal data. If the call is dropped
    /// before it completes, for example because of a timeout, `error.type` is `cancelled`.
    pub async fn call<T, E: Error>(
        &self,
        query: &Query,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let call = DatabaseCall::start(self, query);
        let context = call.context().clone();
        let mut call = InFlight::new(call);
        let result = future.with_context(context).await;
        call.end(match &result {
            Ok(_) => Outcome::Complete,
            Err(error) => Outcome::Failed(error_type::of_error(error)),
        });
        result
    }
}

/// A call to a database.
#[derive(Debug)]
struct DatabaseCall {
    instruments: Arc<Instruments>,
    span: CallSpan,
    started: Instant,
    attributes: Vec<KeyValue>,
}

impl DatabaseCall {
    fn start(database: &Database, query: &Query) -> Self {
        let started = Instant::now();
        let name = format!("{} {}", query.operation, query.collection);
        let summary: Arc<str> = name.as_str().into();
        let mut attributes = Vec::with_capacity(database.attributes.len() + 4);
        attributes.extend_from_slice(&database.attributes);
        attributes.extend([
            KeyValue::new(DB_OPERATION_NAME, query.operation),
            KeyValue::new(DB_COLLECTION_NAME, query.collection),
            KeyValue::new(DB_QUERY_SUMMARY, summary),
        ]);
        let mut at_start = Vec::with_capacity(attributes.len() + 2);
        at_start.extend_from_slice(&attributes);
        at_start.push(KeyValue::new(DB_QUERY_TEXT, query.text));
        let builder = SpanBuilder {
            attributes: Some(at_start),
            ..SpanBuilder::from_name(name).with_kind(SpanKind::Client)
        };
        let instruments = database.instruments.clone();
        let span = CallSpan::start(&instruments.scope, builder, &Context::current());
        Self { instruments, span, started, attributes }
    }
}

impl Call for DatabaseCall {
    fn context(&self) -> &Context {
        &self.span.context
    }

    fn end(mut self, outcome: Outcome) {
        let failure = match outcome {
            Outcome::Complete => None,
            Outcome::Dropped => Some(CANCELLED),
            Outcome::Failed(error) => Some(error),
        };
        self.attributes.extend(failure.clone().map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.instruments.duration.record(self.started.elapsed().as_secs_f64(), &self.attributes);
        self.span.end([], failure);
    }
}

#[cfg(test)]
mod tests;
