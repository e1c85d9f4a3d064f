//! Waits until the stores next to Jaeger have the log records and the metrics of a request.

use std::time::Duration;

use thiserror::Error;

use super::wait::{self, Outcome};
use crate::jaeger::{Trace, TraceId};
use crate::stores::{LogSearch, StoreError, Stores};

/// The time between two queries. Services send metrics only once a minute.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The histogram in which services measure HTTP requests, as the metrics store names it.
const REQUESTS: &str = "http_server_request_duration_seconds_count";

/// The maximum number of log records that are counted.
const MAX_LOG_RECORDS: u32 = 1000;

/// What the stores have about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The number of log records of the trace.
    pub log_records: usize,
    /// The service that received the request, and whose metrics are stored.
    pub service: String,
}

/// An error while waiting for the log records and the metrics.
#[derive(Debug, Error)]
pub enum StoredError {
    /// A store cannot be queried.
    #[error("cannot query a store")]
    Query(#[from] StoreError),
    /// The trace has no span.
    #[error("the trace has no spans")]
    NoSpans,
    /// The data was not stored within the time limit.
    #[error("not stored after {} s: {missing}", waited.as_secs())]
    Missing {
        /// How long the program waited.
        waited: Duration,
        /// A description of what is missing.
        missing: String,
    },
}

/// Waits until the stores have log records of the trace, and metrics that were measured after its end.
///
/// Every few seconds, calls `progress` with the time since the beginning of the wait. Fails after `timeout`, or if a
/// store cannot be queried.
pub async fn wait_until_stored(
    stores: &Stores,
    id: &TraceId,
    trace: &Trace,
    timeout: Duration,
    progress: impl FnMut(Duration),
) -> Result<Stored, StoredError> {
    let first = trace.spans.iter().min_by_key(|span| span.start).ok_or(StoredError::NoSpans)?;
    let search = LogSearch { trace: Some(id.clone()), ..LogSearch::default() };
    let check = async || {
        let log_records = stores.logs(&search, MAX_LOG_RECORDS).await?.len();
        let measured = stores.last_sample(REQUESTS, &first.service).await?;
        Ok::<_, StoreError>(if log_records == 0 {
            Err(format!("log records of the trace {id}"))
        } else if measured.is_none_or(|time| time < seconds(first.end)) {
            Err(format!("{REQUESTS} of {} after the request", first.service))
        } else {
            Ok(Stored { log_records, service: first.service.clone() })
        })
    };
    match wait::until(POLL_INTERVAL, timeout, progress, check).await? {
        Outcome::Done(found) => Ok(found),
        Outcome::Late { waited, missing } => Err(StoredError::Missing { waited, missing }),
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}
