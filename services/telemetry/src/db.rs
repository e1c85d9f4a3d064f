//! Database calls as spans.
//!
//! Spans and the metric follow the [semantic conventions for databases] 1.42.
//!
//! [semantic conventions for databases]: https://opentelemetry.io/docs/specs/semconv/db/

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

use crate::call::{Call, Ending, InFlight};
use crate::error_type::{self, CANCELLED};
use crate::scope::{DATABASE_BUCKETS, Scope};
use crate::span::CallSpan;

/// A database that is called.
///
/// Make it once, after telemetry has started, and keep it beside the pool; a clone is cheap.
#[derive(Debug, Clone)]
pub struct Database {
    instruments: Arc<Instruments>,
    // System, namespace and server: on every span and every measurement.
    attributes: Vec<KeyValue>,
}

#[derive(Debug)]
struct Instruments {
    scope: Scope,
    duration: Histogram<f64>,
}

/// One kind of call. A `const` beside the SQL it describes is a good place for it.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// What it does: `SELECT`.
    pub operation: &'static str,
    /// The table it does it to.
    pub collection: &'static str,
    /// The SQL, with placeholders for all values. It is recorded as it is, so it must not hold a value.
    pub text: &'static str,
}

impl Database {
    /// A database of the product `system` (`sqlite`, `postgresql`: a value of [`db.system.name`]), called
    /// `namespace` on its server.
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

    /// Says where its server is, if it has one.
    #[must_use]
    pub fn server(mut self, address: impl Into<String>, port: u16) -> Self {
        let address: Arc<str> = address.into().into();
        self.attributes
            .extend([KeyValue::new(SERVER_ADDRESS, address), KeyValue::new(SERVER_PORT, i64::from(port))]);
        self
    }

    /// Runs `future`, which makes one call to the database, inside a span of its own and measures it.
    ///
    /// A failure is known by the type of its error and its variant, never by its message. A call that is dropped
    /// midway, by a deadline say, ends with `error.type` `cancelled`.
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
            Ok(_) => Ending::Complete,
            Err(error) => Ending::Failed(error_type::class(error)),
        });
        result
    }
}

/// One call to a database.
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

    fn end(mut self, ending: Ending) {
        let failure = match ending {
            Ending::Complete => None,
            Ending::Abandoned => Some(CANCELLED),
            Ending::Failed(error) => Some(error),
        };
        self.attributes.extend(failure.clone().map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.instruments.duration.record(self.started.elapsed().as_secs_f64(), &self.attributes);
        self.span.end([], failure);
    }
}

#[cfg(test)]
mod tests;
