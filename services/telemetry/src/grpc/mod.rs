//! gRPC, as a server and as a client, both over tonic.
//!
//! Spans and metrics follow the [semantic conventions for gRPC] 1.42. The layers use the providers and the
//! propagator installed when they are made, so make them after telemetry has started.
//!
//! A call ends with its status: in the trailers behind the last message of a stream, or in the headers where there
//! is no message.
//!
//! [semantic conventions for gRPC]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/

mod client;
mod server;
mod status;

use std::sync::Arc;

use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, StringValue};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
};

use crate::error_type::ErrorType;
use crate::scope::{CALL_BUCKETS, Scope};

pub use client::{ClientLayer, ClientService, client_layer};
pub use server::{ServerLayer, ServerService, server_layer};

pub(crate) use status::code_name;

/// The value of `rpc.system.name`, and the name of a span whose method nobody knows.
const GRPC: &str = "grpc";

/// `rpc.method` where nobody knows the method.
const OTHER_METHOD: &str = "_OTHER";

/// Made once a layer; what every call shares.
#[derive(Debug)]
struct Instruments {
    scope: Scope,
    duration: Histogram<f64>,
}

impl Instruments {
    fn of(scope: Scope, name: &'static str, description: &'static str) -> Arc<Self> {
        let duration = scope.duration(name, description, &CALL_BUCKETS);
        Arc::new(Self { scope, duration })
    }

    /// Records one call. `server` is what is known of the other end, for a client.
    fn record(
        &self,
        seconds: f64,
        method: StringValue,
        server: &[KeyValue],
        status: &'static str,
        failure: Option<ErrorType>,
    ) {
        let mut attributes = Vec::with_capacity(6);
        attributes.push(KeyValue::new(RPC_SYSTEM_NAME, GRPC));
        attributes.push(KeyValue::new(RPC_METHOD, method));
        attributes.push(KeyValue::new(RPC_RESPONSE_STATUS_CODE, status));
        attributes.extend_from_slice(server);
        attributes.extend(failure.map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.duration.record(seconds, &attributes);
    }
}

/// `package.Service/Method` from the path of a request, or nothing where it has not that form.
fn method_of(path: &str) -> Option<&str> {
    // As long as the longest that could be meant; the tracer keeps what we pass it.
    const MAX: usize = 255;
    let method = path.strip_prefix('/').filter(|method| method.len() <= MAX)?;
    let (service, name) = method.split_once('/')?;
    let identifier =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (service.split('.').all(identifier) && identifier(name)).then_some(method)
}

#[cfg(test)]
mod tests {
    use super::method_of;

    #[test]
    fn a_method_is_a_service_and_a_name() {
        assert_eq!(method_of("/grpc.health.v1.Health/Check"), Some("grpc.health.v1.Health/Check"));
        assert_eq!(method_of("/Echo/Say"), Some("Echo/Say"));
        for path in
            ["/", "", "/Echo", "/Echo/", "//Say", "/Echo/Say/More", "/a..b/C", "/../C", "/é/C", "Echo/Say"]
        {
            assert_eq!(method_of(path), None, "{path}");
        }
        assert_eq!(method_of(&format!("/{}/M", "S".repeat(300))), None);
    }
}
