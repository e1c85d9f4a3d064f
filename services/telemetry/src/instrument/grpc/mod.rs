//! gRPC servers and clients on tonic: a span and a metric for every call.
//!
//! [`server_layer`] wraps the services of a `tonic::transport::Server`, and [`client_layer`] wraps a
//! `tonic::transport::Channel`. The client writes the current context into the metadata of a call. The server reads the
//! context from the metadata, and its handler runs in that context, so the spans of client and server are in one trace.
//! A layer uses the OpenTelemetry providers that are installed when the layer is created. So create the layer after
//! [`start`](crate::start) has returned, or inside [`run`](crate::run).
//!
//! A call ends when its status has been sent or received. The status is in the trailers after the last message, or in
//! the headers if there is no message. So the span of a stream lasts until the end of the stream. A client can also
//! cancel a call by dropping the call or its stream before the status arrives. The call then ends without a status from
//! the server.
//!
//! [`ServerLayer`] has the same options as the [HTTP layer](crate::http::ServerLayer).
//!
//! Names, attributes and metrics follow version 1.42 of the OpenTelemetry semantic conventions for
//! [gRPC](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/), which extend the conventions for
//! [RPC spans](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/) and
//! [RPC metrics](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/).

mod client;
mod server;
mod status;

use std::sync::Arc;

use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, StringValue};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME,
};

use crate::instrument::error_type::ErrorType;
use crate::signals::scope::{CALL_BUCKETS, Scope};

pub use crate::instrument::options::RequestHead;
pub use client::{ClientLayer, ClientService, client_layer};
pub use server::{ServerLayer, ServerService, server_layer};

/// The value of `rpc.system.name`, and the name of the span if the method is unknown.
const GRPC: &str = "grpc";

/// The value of `rpc.method` for an unknown method.
const OTHER_METHOD: &str = "_OTHER";

/// The metric instruments of one layer.
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

    /// Records one call. `more` holds the attributes of the server for a client, and those of the layer's options for a
    /// server.
    fn record(
        &self,
        seconds: f64,
        method: StringValue,
        more: &[KeyValue],
        status: &'static str,
        failure: Option<ErrorType>,
    ) {
        let mut attributes = Vec::with_capacity(6);
        attributes.push(KeyValue::new(RPC_SYSTEM_NAME, GRPC));
        attributes.push(KeyValue::new(RPC_METHOD, method));
        attributes.push(KeyValue::new(RPC_RESPONSE_STATUS_CODE, status));
        attributes.extend_from_slice(more);
        attributes.extend(failure.map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.duration.record(seconds, &attributes);
    }
}

/// Extracts `package.Service/Method` from the path of a request. Returns `None` if the path has another form or is too
/// long.
fn method_of(path: &str) -> Option<&str> {
    // The method becomes the name of the span, so its length is limited.
    const MAX_LEN: usize = 255;
    let method = path.strip_prefix('/').filter(|method| method.len() <= MAX_LEN)?;
    let (service, name) = method.split_once('/')?;
    let identifier =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (service.split('.').all(identifier) && identifier(name)).then_some(method)
}

#[cfg(test)]
mod tests {
    use super::method_of;

    #[test]
    fn parses_a_service_and_a_method() {
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
