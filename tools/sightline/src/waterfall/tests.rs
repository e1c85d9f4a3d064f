//! Tests of whole renderings.

use std::sync::Arc;

use super::*;
use crate::jaeger::{Event, Kind, Link, Status, Value};

/// Returns a span of a trace that starts one second after the Unix epoch. `start` and `length` are in microseconds.
pub(crate) fn span(id: &str, parent: Option<&str>, start: u64, length: u64) -> Span {
    let at = |micros: u64| 1_000_000_000 + micros * 1000;
    Span {
        trace_id: "5b8efff798038103d269b633813fc60c".to_owned(),
        span_id: id.to_owned(),
        parent_span_id: parent.map(str::to_owned),
        service: "shop".to_owned(),
        scope: String::new(),
        name: id.to_owned(),
        kind: Kind::Internal,
        start: at(start),
        end: at(start + length),
        attributes: Vec::new(),
        resource: Arc::default(),
        events: Vec::new(),
        links: Vec::new(),
        status: Status::Unset,
    }
}

fn named(mut span: Span, service: &str, kind: Kind, name: &str) -> Span {
    (span.service, span.kind, span.name) = (service.to_owned(), kind, name.to_owned());
    span
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn trace(spans: Vec<Span>) -> Trace {
    Trace { id: "5b8efff798038103d269b633813fc60c".to_owned(), spans }
}

fn order() -> Trace {
    let reserve = "sightline.inventory.v1.Inventory/Reserve";
    let mut failed = named(span("4", Some("3"), 2_000, 1_500), "user-service", Kind::Client, "SELECT users");
    failed.status = Status::Error("database is locked".to_owned());
    trace(vec![
        named(span("1", None, 0, 10_000), "order-service", Kind::Server, "GET /orders/{id}"),
        named(span("2", Some("1"), 1_000, 4_000), "order-service", Kind::Client, "GET /users/{id}"),
        named(span("3", Some("2"), 1_500, 3_000), "user-service", Kind::Server, "GET /users/{id}"),
        failed,
        named(span("5", Some("1"), 5_500, 4_000), "order-service", Kind::Client, reserve),
        named(span("6", Some("5"), 6_000, 3_000), "inventory-service", Kind::Server, reserve),
    ])
}

#[track_caller]
fn assert_rendering(actual: &str, expected: &str) {
    assert_eq!(actual, expected, "\n--- rendered\n{actual}--- expected\n{expected}---");
}

#[test]
fn renders_an_order_in_eighty_columns() {
    let rendered = render(&order(), &Options { width: 80, ..Options::default() });
    assert_rendering(
        &rendered,
        "\
Trace 5b8efff798038103d269b633813fc60c  GET /orders/{id}
1970-01-01 00:00:01.000 UTC · 10.0 ms · 6 spans · 3 services · 1 error

SERVICE           KIND     SPAN                        START DURATION
order-service     server   GET /orders/{id}             0 ns  10.0 ms ██████████
order-service     client   ├ GET /users/{id}         1.00 ms  4.00 ms  ████
user-service      server   │ └ GET /users/{id}       1.50 ms  3.00 ms  ███
user-service      client   │   └ SELECT users        2.00 ms  1.50 ms   █
                           ✗ database is locked
order-service     client   └ sightline.i…ry/Reserve  5.50 ms  4.00 ms      ████
inventory-service server     └ sightline.…y/Reserve  6.00 ms  3.00 ms       ███
",
    );
    assert!(rendered.lines().all(|line| text::width(line) <= 80), "{rendered}");
}

#[test]
fn notes_orphans_and_clock_differences() {
    let mut early = span("early", Some("a"), 0, 5);
    early.start -= 2_000;
    let rendered = render(&trace(vec![span("a", Some("gone"), 0, 100), early]), &Options::default());
    assert!(rendered.contains(" ? a "), "{rendered}");
    assert!(rendered.contains("1 span (marked ?) with a parent that is not stored"), "{rendered}");
    assert!(rendered.contains("1 span starts before its parent"), "{rendered}");
    let known = Options { caller: Some("gone"), ..Options::default() };
    assert!(!render(&trace(vec![span("a", Some("gone"), 0, 100)]), &known).contains('?'));
}

#[test]
fn escapes_control_sequences_in_all_texts() {
    let mut hostile = named(span("a", None, 0, 1), "sh\x1b[31mop", Kind::Server, "GET \x1b]0;title\x07/\r\n");
    hostile.status = Status::Error("\x1b[2J".to_owned());
    hostile.attributes = vec![("k\x1b[1m".to_owned(), text("v\x1b[1m\nsecond\u{202e}"))];
    hostile.resource = Arc::new(vec![("service.name".to_owned(), text("\x1b[5m"))]);
    hostile.events = vec![Event { time: 0, name: "\x1b[6m".to_owned(), attributes: vec![] }];
    hostile.links = vec![Link { trace_id: "\x1b[7m".to_owned(), span_id: "\x08".to_owned() }];
    hostile.scope = "\x1bc".to_owned();
    let mut hostile = trace(vec![hostile]);
    hostile.id = "\x1b[1m".to_owned();
    let rendered = render(&hostile, &Options { attributes: true, ..Options::default() });
    let control = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!rendered.contains(control), "{rendered:?}");
}

#[test]
fn renders_impossible_times_as_unknown() {
    let mut backwards = span("backwards", Some("a"), 10, 0);
    backwards.end -= 5_000;
    let mut undated = span("undated", Some("a"), 0, 0);
    (undated.start, undated.end) = (0, 0);
    let mut far = span("far", Some("a"), 0, 0);
    (far.start, far.end) = (u64::MAX - 1, u64::MAX);
    let rendered =
        render(&trace(vec![span("a", None, 0, 100), backwards, undated, far]), &Options::default());
    assert_eq!(rendered.lines().filter(|line| line.contains(" ?")).count(), 2, "{rendered}");
    assert!(render(&trace(Vec::new()), &Options::default()).contains("0 spans"));
}

#[test]
fn limits_the_spans_but_shows_hidden_errors() {
    let mut spans = vec![span("root", None, 0, 1_000_000)];
    spans.extend((1..5_000_u64).map(|n| {
        let mut child = span(&format!("child-{n}"), Some("root"), n, 1);
        if n % 600 == 0 {
            child.status = Status::Error(format!("failed {n}"));
        }
        child
    }));
    let rendered = render(&trace(spans), &Options { max_spans: 100, ..Options::default() });
    assert!(
        rendered.contains("… 4900 more spans, 8 of them with an error (--spans 5000 shows all)"),
        "{rendered}"
    );
    assert!(rendered.contains("✗ failed 600\n") && rendered.contains("… and 3 more errors"), "{rendered}");
    assert!(rendered.lines().count() < 130);
}

#[test]
fn deep_trees_leave_room_for_names() {
    let spans = (0..60_u64)
        .map(|n| {
            span(&format!("level-{n}"), n.checked_sub(1).map(|p| format!("level-{p}")).as_deref(), n, 100)
        })
        .collect();
    let rendered = render(&trace(spans), &Options { width: 80, ..Options::default() });
    assert!(rendered.contains("59… └ level-59"), "{rendered}");
    assert!(rendered.lines().all(|line| text::width(line) <= 80), "{rendered}");
}

#[test]
fn attributes_follow_their_span() {
    let mut one = named(span("a", None, 0, 100), "shop", Kind::Server, "GET /");
    one.scope = "telemetry".to_owned();
    one.attributes = vec![("http.response.status_code".to_owned(), Value::Int(500))];
    one.resource = Arc::new(vec![("service.version".to_owned(), text("1.0"))]);
    one.events = vec![Event {
        time: one.start + 50_000,
        name: "exception".to_owned(),
        attributes: vec![
            ("exception.message".to_owned(), text("boom")),
            ("exception.stacktrace".to_owned(), text(&"at x\n".repeat(30))),
        ],
    }];
    one.status = Status::Error(String::new());
    let rendered = render(&trace(vec![one]), &Options { width: 80, attributes: true, ..Options::default() });
    for line in [
        "                 ✗ boom",
        "                 scope telemetry",
        "                 http.response.status_code = 500",
        "                 • exception after 50.0 µs",
        "                   exception.message = boom",
        "                       at x",
        "                       … (150 characters in total)",
        "Resource of shop",
        "  service.version = 1.0",
    ] {
        assert!(rendered.lines().any(|actual| actual == line), "{line:?} in\n{rendered}");
    }
}

fn in_a_pod(mut span: Span, pod: &str, more: &[(&str, &str)]) -> Span {
    let common = [("k8s.pod.name", pod), ("k8s.node.name", "worker"), ("k8s.namespace.name", "default")];
    let attributes = common.iter().chain(more).map(|(key, value)| ((*key).to_owned(), text(value)));
    span.resource = Arc::new(attributes.collect());
    span
}

#[test]
fn shows_the_pod_of_each_service_once() {
    let users = |id, start| {
        let served = named(span(id, Some("1"), start, 10), "user-service", Kind::Server, "GET /users/{id}");
        let workload = [("k8s.replicaset.name", "users-6f9c"), ("k8s.deployment.name", "users")];
        in_a_pod(served, "users-6f9c-x2x4z", &[&workload[..], &[("k8s.cluster.uid", "0f1e")]].concat())
    };
    let job = [("k8s.job.name", "report-1"), ("k8s.cronjob.name", "re\x1bport")];
    let root = named(span("1", None, 0, 100), "report", Kind::Internal, "run");
    let outside = named(span("4", Some("1"), 40, 10), "shop", Kind::Server, "GET /");
    let spans = vec![users("2", 10), users("3", 20), in_a_pod(root, "report-1-abcde", &job), outside];
    let rendered = render(&trace(spans), &Options::default());
    let (_, pods) = rendered.rsplit_once("\n\n").unwrap();
    assert_rendering(
        pods,
        "\
report       pod report-1-abcde on node worker
             cronjob re\\u{1b}port, namespace default
user-service pod users-6f9c-x2x4z on node worker
             deployment users, namespace default, cluster 0f1e
",
    );
}

#[test]
fn colours_do_not_change_the_text() {
    let plain = render(&order(), &Options::default());
    let coloured = render(&order(), &Options { colour: true, ..Options::default() });
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        stripped.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    stripped.push_str(rest);
    // Without colours, trailing spaces are removed. With colours, they remain before the last escape sequence.
    let trimmed: Vec<_> = stripped.lines().map(str::trim_end).collect();
    assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
    assert_ne!(coloured, plain);
}
