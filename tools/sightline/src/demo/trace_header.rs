//! The headers `traceparent`, which continues a trace, and `traceresponse`, which identifies the trace of a response.

use rustls::crypto::SecureRandom;

use super::DemoError;
use crate::jaeger::TraceId;

/// The header of a request: see <https://www.w3.org/TR/trace-context/#traceparent-header>.
pub(super) const TRACEPARENT: &str = "traceparent";
/// The header of a response, which has the format of `traceparent` with the id of the server's span.
pub(super) const TRACERESPONSE: &str = "traceresponse";

/// The trace id and the span id that a `traceparent` header contains. There is no span with this span id.
pub(super) struct Caller {
    pub(super) trace_id: TraceId,
    pub(super) span_id: String,
}

impl Caller {
    /// Returns new ids. Fails if the system cannot generate random numbers.
    pub(super) fn new() -> Result<Self, DemoError> {
        let trace_id = format!("{:032x}", u128::from_be_bytes(random()?));
        // Parsing fails only if all bits are zero, because such an id is not valid.
        let trace_id = trace_id.parse().map_err(|_| DemoError::Random)?;
        Ok(Self { trace_id, span_id: format!("{:016x}", u64::from_be_bytes(random()?)) })
    }

    /// Returns the value of the header `traceparent`, with the sampled flag.
    pub(super) fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

/// Returns the trace id in a header `traceresponse`. Returns `None` if the trace is not sampled, or if the header is
/// not in the format of version 00.
pub(super) fn sampled_trace(header: &str) -> Option<TraceId> {
    let parts: Vec<_> = header.trim().split('-').collect();
    let ["00", trace_id, _, flags] = parts.as_slice() else { return None };
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    trace_id.parse().ok().filter(|_| sampled && trace_id.len() == 32)
}

fn random<const N: usize>() -> Result<[u8; N], DemoError> {
    let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
    let mut bytes = [0; N];
    random.fill(&mut bytes).map_err(|_| DemoError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_sampled_traces() {
        let trace = "5b8efff798038103d269b633813fc60c";
        let id = |header: String| sampled_trace(&header).map(|id| id.to_string());
        assert_eq!(id(format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        assert_eq!(id(format!("00-{trace}-00f067aa0ba902b7-03")).as_deref(), Some(trace));
        for header in [
            format!("00-{trace}-00f067aa0ba902b7-00"),
            format!("00-{trace}-00f067aa0ba902b7"),
            format!("00-{trace}-00f067aa0ba902b7-x1"),
            format!("01-{trace}-00f067aa0ba902b7-01"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            String::new(),
        ] {
            assert_eq!(id(header.clone()), None, "{header}");
        }
    }
}
