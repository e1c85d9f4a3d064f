//! An order produces one trace with exactly the expected spans, attributes and resources.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::{Span, Trace, Value};
use sightline_tests::caller::Caller;
use sightline_tests::outline::{find, outline};
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{FIXTURE, ORDER, ORDERS, SERVICES, STOCK, TestStack, USERS};

/// The `user_agent.original` of the requests that orders sends.
const ORDERS_AGENT: &str = concat!("orders/", env!("CARGO_PKG_VERSION"));

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("edges::an_order_without_context_starts_a_trace", starts_a_trace);
    suite.add_shared("edges::spans_follow_the_semantic_conventions", attributes);
    suite.add_shared("edges::resources_identify_their_service", resources);
}

async fn starts_a_trace(stack: &TestStack) -> Result<()> {
    let agent = format!("tests/{}", Caller::without_context().trace_id());
    let response = stack.get_order(&Caller::without_context().with_header("user-agent", &agent), "3").await?;
    ensure!(response.status == 200, "{response:?}");
    // In an outline, `^` marks a span whose parent is the caller's span. The caller of this request has no span, so no
    // line contains `^`.
    let shape = ORDER.trim_start_matches("^ ");
    let check = async || {
        let traces = stack.traces_of(ORDERS).await?;
        let is_of_request =
            |span: &Span| span.attribute("user_agent.original").and_then(Value::as_str) == Some(&agent);
        let found: Vec<_> = traces.iter().filter(|trace| trace.spans.iter().any(is_of_request)).collect();
        ensure!(found.len() == 1, "{} traces have a span of this request", found.len());
        let stored = outline(found[0]);
        ensure!(stored == shape, "stored:\n{stored}expected:\n{shape}");
        Ok(())
    };
    stack.eventually("an order without a caller's context produces one trace", check).await
}

/// The expected value of an attribute.
enum Expected {
    Text(&'static str),
    OwnedText(String),
    Int(i64),
    PositiveInt,
}

impl Expected {
    fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Text(text) => value.as_str() == Some(*text),
            Self::OwnedText(text) => value.as_str() == Some(text),
            Self::Int(number) => value.as_int() == Some(*number),
            Self::PositiveInt => value.as_int().is_some_and(|number| number > 0),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::OwnedText(text) => format!("{text:?}"),
            Self::Int(number) => number.to_string(),
            Self::PositiveInt => "a positive integer".to_owned(),
        }
    }
}

type Attributes = Vec<(&'static str, Expected)>;

/// Returns the title and the attributes that each span of order 7 must have. The test fails if a span lacks one of its
/// attributes or has any other attribute.
fn expected(stack: &TestStack, agent: &'static str) -> Result<Vec<(&'static str, Attributes)>> {
    use Expected::{Int, OwnedText, PositiveInt, Text};
    let ports = stack.inner().ports();
    let port = |port: u16| Int(port.into());
    let inventory = ports.server(STOCK)?;
    let baggage = || [("environment", Text("development")), ("version", Text(env!("CARGO_PKG_VERSION")))];
    let with_baggage =
        |attributes: Attributes| attributes.into_iter().chain(baggage()).collect::<Attributes>();
    let peer = || {
        [
            ("client.address", Text("127.0.0.1")),
            ("network.peer.address", Text("127.0.0.1")),
            ("network.peer.port", PositiveInt),
            ("server.address", Text("127.0.0.1")),
        ]
    };
    let served = |route, path, agent, server| {
        let attributes = [
            ("http.request.method", Text("GET")),
            ("http.response.status_code", Int(200)),
            ("http.route", Text(route)),
            ("network.protocol.version", Text("1.1")),
            ("server.port", port(server)),
            ("url.path", Text(path)),
            ("url.scheme", Text("http")),
            ("user_agent.original", Text(agent)),
        ];
        peer().into_iter().chain(attributes).collect::<Attributes>()
    };
    let rpc = || {
        [
            ("rpc.system.name", Text("grpc")),
            ("rpc.method", Text("fixture.v1.Stock/Reserve")),
            ("rpc.response.status_code", Text("OK")),
            ("server.port", port(inventory)),
        ]
    };
    let sql = |database, table, summary, text| {
        vec![
            ("db.system.name", Text("sqlite")),
            ("db.namespace", Text(database)),
            ("db.operation.name", Text("SELECT")),
            ("db.collection.name", Text(table)),
            ("db.query.summary", Text(summary)),
            ("db.query.text", Text(text)),
        ]
    };
    let read_order = "SELECT user_id, sku, quantity FROM orders JOIN order_items ON order_items.order_id = orders.id \
                      WHERE orders.id = $1 ORDER BY sku";
    let read_user = "SELECT id, name, email FROM users WHERE id = $1";
    let get_user = vec![
        ("http.request.method", Text("GET")),
        ("http.response.status_code", Int(200)),
        ("network.protocol.version", Text("1.1")),
        ("server.address", Text("127.0.0.1")),
        ("server.port", port(ports.server(USERS)?)),
        ("url.full", OwnedText(format!("{}/users/7", stack.inner().url(USERS)?))),
        ("url.template", Text("/users/{id}")),
    ];
    let reserve = "orders client fixture.v1.Stock/Reserve";
    Ok(vec![
        ("orders server GET /orders/{id}", served("/orders/{id}", "/orders/7", agent, ports.server(ORDERS)?)),
        ("orders internal read_order", vec![("order.id", Int(7))]),
        ("orders client SELECT orders", sql("orders.db", "orders", "SELECT orders", read_order)),
        ("orders internal read_user", with_baggage(vec![("user.id", Int(7))])),
        ("orders client GET /users/{id}", with_baggage(get_user)),
        (
            "users server GET /users/{id}",
            with_baggage(served("/users/{id}", "/users/7", ORDERS_AGENT, ports.server(USERS)?)),
        ),
        ("users internal read_user", with_baggage(vec![("user.id", Int(7))])),
        ("users client SELECT users", with_baggage(sql("users.db", "users", "SELECT users", read_user))),
        ("orders internal reserve_items", with_baggage(vec![("order.id", Int(7)), ("order.items", Int(3))])),
        (reserve, with_baggage(rpc().into_iter().chain([("server.address", Text("127.0.0.1"))]).collect())),
        ("stock server fixture.v1.Stock/Reserve", with_baggage(rpc().into_iter().chain(peer()).collect())),
        ("stock internal reserve_stock", with_baggage(vec![("order.id", Int(7)), ("order.items", Int(3))])),
    ])
}

async fn attributes(stack: &TestStack) -> Result<()> {
    let agent = "sightline-tests/edges";
    let response = stack.get_order(&Caller::new().with_header("user-agent", agent), "7").await?;
    let trace = stack.wait_for_trace(&response.trace, ORDER).await?;
    let expected = expected(stack, agent)?;
    ensure!(expected.len() == trace.spans.len(), "the test expects {} spans", expected.len());
    let mut wrong = Vec::new();
    for (title, attributes) in expected {
        let span = find(&trace, title).with_context(|| format!("span {title} is missing"))?;
        let mut left: BTreeMap<&str, &Value> = span
            .attributes
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            // Jaeger adds attributes with this prefix.
            .filter(|(key, _)| !key.starts_with("@jaeger@"))
            .collect();
        for (key, expected) in attributes {
            match left.remove(key) {
                Some(value) if expected.matches(value) => {}
                other => {
                    wrong.push(format!("{title}: {key} is {other:?}, expected {}", expected.describe()));
                }
            }
        }
        wrong.extend(
            left.into_iter().map(|(key, value)| format!("{title}: unexpected attribute {key} = {value}")),
        );
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

async fn resources(stack: &TestStack) -> Result<()> {
    let response = stack.get_order(&Caller::new(), "7").await?;
    let trace = stack.wait_for_trace(&response.trace, ORDER).await?;
    let mut instances = Vec::new();
    for name in SERVICES {
        let pid = stack.inner().pid(name).with_context(|| format!("{name} is not running"))?;
        resource(&trace, name, pid).with_context(|| format!("the resource of {name}"))?;
        instances.push(text(&trace, name, "service.instance.id")?);
    }
    instances.sort();
    instances.dedup();
    ensure!(instances.len() == 3, "several services have the same instance ID: {instances:?}");
    Ok(())
}

fn resource(trace: &Trace, name: &str, pid: u32) -> Result<()> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    for (key, value) in [
        ("service.name", name),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("host.name", host.trim()),
        ("os.type", "linux"),
        ("process.executable.name", FIXTURE),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.distro.name", "sightline"),
    ] {
        let found = text(trace, name, key)?;
        ensure!(found == value, "{key} is {found:?}, expected {value:?}");
    }
    let arch = text(trace, name, "host.arch")?;
    ensure!(
        ["amd64", "arm64", "arm32", "ppc64", "s390x", "riscv64"].contains(&arch.as_str()),
        "unexpected host.arch: {arch}"
    );
    ensure!(text(trace, name, "service.instance.id")?.len() == 36, "service.instance.id is not a UUID");
    for key in ["os.description", "process.creation.time", "process.executable.path", "telemetry.sdk.version"]
    {
        ensure!(!text(trace, name, key)?.is_empty(), "{key} is empty");
    }
    let number = |key| value(trace, name, key).map(Value::as_int);
    ensure!(number("process.pid")? == Some(pid.into()), "process.pid is not {pid}");
    ensure!(
        number("process.parent_pid")? == Some(std::process::id().into()),
        "process.parent_pid is not the ID of this test process"
    );
    // The library does not record these attributes, because command lines can contain passwords.
    for key in ["process.command_line", "process.command_args"] {
        ensure!(value(trace, name, key).is_err(), "{key} is recorded");
    }
    Ok(())
}

fn text(trace: &Trace, service: &str, key: &'static str) -> Result<String> {
    Ok(value(trace, service, key)?.as_str().with_context(|| format!("{key} is not a string"))?.to_owned())
}

fn value<'a>(trace: &'a Trace, service: &str, key: &'static str) -> Result<&'a Value> {
    let span = trace.spans_of(service).next().context("the service has no span")?;
    span.resource_attribute(key).with_context(|| format!("{key} is missing"))
}
