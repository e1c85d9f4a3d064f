//! The spans that a complete trace contains.

use std::collections::HashSet;

use crate::examples::{INVENTORY_SERVICE, ORDER_SERVICE, USER_SERVICE};
use crate::jaeger::{Kind, Span, Trace};

/// A span that a complete trace contains.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    service: &'static str,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    FailedServer,
    HttpClient,
    GrpcClient,
    Sql,
}

const fn expect(service: &'static str, role: Role) -> Expected {
    Expected { service, role }
}

pub(super) const ORDER: &[Expected] = &[
    expect(ORDER_SERVICE, Role::Server),
    expect(ORDER_SERVICE, Role::Sql),
    expect(ORDER_SERVICE, Role::HttpClient),
    expect(USER_SERVICE, Role::Server),
    expect(USER_SERVICE, Role::Sql),
    expect(ORDER_SERVICE, Role::GrpcClient),
    expect(INVENTORY_SERVICE, Role::Server),
];

pub(super) const FAILING_ORDER: &[Expected] = &[
    expect(ORDER_SERVICE, Role::FailedServer),
    expect(ORDER_SERVICE, Role::Sql),
    expect(ORDER_SERVICE, Role::HttpClient),
    expect(USER_SERVICE, Role::FailedServer),
];

pub(super) const NEW_USER: &[Expected] =
    &[expect(USER_SERVICE, Role::Server), expect(USER_SERVICE, Role::Sql)];

impl Expected {
    fn matches(self, span: &Span) -> bool {
        let has = |key| span.attribute(key).is_some();
        let role = match self.role {
            Role::Server => span.kind == Kind::Server,
            Role::FailedServer => span.kind == Kind::Server && span.is_error(),
            Role::HttpClient => span.kind == Kind::Client && has("http.request.method"),
            Role::GrpcClient => span.kind == Kind::Client && has("rpc.method"),
            Role::Sql => span.kind == Kind::Client && has("db.system.name"),
        };
        role && span.service == self.service
    }

    fn describe(self) -> String {
        let role = match self.role {
            Role::Server => "server span",
            Role::FailedServer => "failed server span",
            Role::HttpClient => "HTTP client span",
            Role::GrpcClient => "gRPC client span",
            Role::Sql => "SQL span",
        };
        format!("{role} from {}", self.service)
    }
}

/// Returns descriptions of what is missing from the trace: expected spans, and parents of stored spans. `caller` is the
/// id of a caller's span, which is never stored and does not count as missing.
#[must_use]
pub fn missing(trace: &Trace, expected: &[Expected], caller: Option<&str>) -> Vec<String> {
    let mut missing: Vec<String> = expected
        .iter()
        .filter(|expected| !trace.spans.iter().any(|span| expected.matches(span)))
        .map(|expected| expected.describe())
        .collect();
    let stored: HashSet<&str> = trace.spans.iter().map(|span| span.span_id.as_str()).collect();
    let orphans = trace.spans.iter().filter(|span| {
        let parent = span.parent_span_id.as_deref();
        parent.is_some_and(|parent| !stored.contains(parent) && caller != Some(parent))
    });
    missing.extend(orphans.map(|span| format!("parent of span {} from {}", span.name, span.service)));
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jaeger::{Status, Value};
    use crate::waterfall;

    fn span(id: &str, parent: Option<&str>, service: &str, kind: Kind, key: &str) -> Span {
        let mut span = waterfall::tests::span(id, parent, 0, 1);
        (span.service, span.kind) = (service.to_owned(), kind);
        span.attributes = vec![(key.to_owned(), Value::Bool(true))];
        span
    }

    fn new_user() -> Trace {
        let spans = vec![
            span("1", Some("caller"), "user-service", Kind::Server, "http.request.method"),
            span("2", Some("1"), "user-service", Kind::Client, "db.system.name"),
        ];
        Trace { id: "t".to_owned(), spans }
    }

    #[test]
    fn nothing_is_missing_from_a_complete_trace() {
        assert!(missing(&new_user(), NEW_USER, Some("caller")).is_empty());
        assert_eq!(missing(&new_user(), NEW_USER, None), ["parent of span 1 from user-service"]);
    }

    #[test]
    fn describes_missing_spans() {
        let mut trace = new_user();
        trace.spans.remove(1);
        trace.spans[0].status = Status::Error(String::new());
        assert_eq!(missing(&trace, NEW_USER, Some("caller")), ["SQL span from user-service"]);
        let failing = missing(&trace, FAILING_ORDER, Some("caller"));
        assert_eq!(failing.len(), 3, "{failing:?}");
        trace.spans.clear();
        assert_eq!(missing(&trace, ORDER, None).len(), ORDER.len());
    }
}
