//! Reads traces from Jaeger through its stable HTTP API, `/api/v3`.

mod client;
mod decode;
mod model;

pub use self::client::{Jaeger, JaegerError, Search};
pub use self::decode::{DecodeError, decode, merge};
pub use self::model::{Event, Kind, Link, Span, Status, Trace, TraceId, TraceIdError, Value};
