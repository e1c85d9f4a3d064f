//! Counts the spans that Jaeger has stored.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sightline::jaeger::{TraceId, decode};
use sightline_tests::test_stack::{ORDER, TestStack};

/// If no more spans are stored during this time, the missing spans will not be stored. It is longer than the agent waits
/// between two attempts.
const SETTLED: Duration = Duration::from_secs(20);

/// The time between two counts of the missing spans.
const PAUSE: Duration = Duration::from_millis(250);

/// The number of traces that are read at the same time.
const PARALLEL: usize = 4;

/// The spans of these traces that are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) spans: u64,
    /// The copies of spans that are stored more than once.
    pub(crate) twice: u64,
    /// When the last span was seen.
    pub(crate) last: Instant,
}

impl Stored {
    /// Reads the traces until all are complete, or until nothing has been added for [`SETTLED`].
    pub(crate) async fn read(stack: &TestStack, traces: &[TraceId]) -> Result<Self> {
        let complete = u64::try_from(ORDER.lines().count())?;
        let mut total = Self { spans: 0, twice: 0, last: Instant::now() };
        let mut missing: Vec<_> = traces.iter().map(|trace| (trace.clone(), 0_u64)).collect();
        loop {
            let counts: Vec<_> = stream::iter(missing)
                .map(|(trace, before)| async move {
                    let (spans, twice) = count(stack, &trace).await?;
                    anyhow::Ok((trace, before, spans, twice))
                })
                .buffered(PARALLEL)
                .try_collect()
                .await?;
            missing = Vec::new();
            for (trace, before, spans, twice) in counts {
                if spans > before {
                    total.spans += spans - before;
                    total.last = Instant::now();
                }
                if spans < complete {
                    missing.push((trace, spans));
                } else {
                    total.twice += twice;
                }
            }
            if missing.is_empty() || total.last.elapsed() > SETTLED {
                return Ok(total);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Returns the number of different spans of a trace, and the number of their copies. Jaeger's usual response leaves
/// copies out.
async fn count(stack: &TestStack, trace: &TraceId) -> Result<(u64, u64)> {
    let url = format!("{}/api/v3/traces/{}?query.raw_traces=true", stack.jaeger().address(), trace.as_str());
    let response = stack.http().get(&url).send().await?;
    if response.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok((0, 0));
    }
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "{url} responded with {status}: {text}");
    let traces = decode(&text).with_context(|| url.clone())?;
    let ids: Vec<_> =
        traces.iter().flat_map(|trace| &trace.spans).map(|span| span.span_id.as_str()).collect();
    let different = ids.iter().collect::<BTreeSet<_>>().len();
    Ok((u64::try_from(different)?, u64::try_from(ids.len() - different)?))
}
