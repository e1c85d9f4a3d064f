//! An order is one trace, with exactly these spans below each other, and each says what the conventions ask for.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::{Span, Trace, Value};
use sightline::stack::Process;
use sightline_tests::caller::Caller;
use sightline_tests::lab::{Lab, ORDER};
use sightline_tests::outline::{find, outline};
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("edges::an_order_begins_a_trace_of_its_own", an_order_begins_a_trace_of_its_own);
    suite.shared("edges::each_span_says_what_the_conventions_ask_for", attributes);
    suite.shared("edges::each_resource_says_who_speaks", resources);
}

async fn an_order_begins_a_trace_of_its_own(lab: &Lab) -> Result<()> {
    let agent = format!("tests/{}", Caller::silent().trace_id());
    let answer = lab.order(&Caller::silent().with("user-agent", &agent), "3").await?;
    ensure!(answer.status == 200, "{answer:?}");
    // No caller's span this time: the first line has no mark.
    let shape = ORDER.trim_start_matches("^ ");
    let look = async || {
        let traces = lab.traces_of(Process::OrderService).await?;
        let is_ours =
            |span: &Span| span.attribute("user_agent.original").and_then(Value::as_str) == Some(&agent);
        let ours: Vec<_> = traces.iter().filter(|trace| trace.spans.iter().any(is_ours)).collect();
        ensure!(ours.len() == 1, "{} traces are of this request", ours.len());
        let seen = outline(ours[0]);
        ensure!(seen == shape, "this is stored:\n{seen}instead of:\n{shape}");
        Ok(())
    };
    lab.eventually("an order without a caller's context is one trace", look).await
}

/// What an attribute has to be.
enum Must {
    Be(&'static str),
    BeNumber(i64),
    BeText(String),
    BeSomeNumber,
}

impl Must {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Be(text) => value.as_str() == Some(*text),
            Self::BeText(text) => value.as_str() == Some(text),
            Self::BeNumber(number) => value.as_int() == Some(*number),
            Self::BeSomeNumber => value.as_int().is_some_and(|number| number > 0),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Be(text) => format!("{text:?}"),
            Self::BeText(text) => format!("{text:?}"),
            Self::BeNumber(number) => number.to_string(),
            Self::BeSomeNumber => "some number".to_owned(),
        }
    }
}

type Attributes = Vec<(&'static str, Must)>;

/// Every attribute of every span of order 7: those that are missing fail, and so do those that nobody listed.
fn expected(lab: &Lab, agent: &'static str) -> Vec<(&'static str, Attributes)> {
    use Must::{Be, BeNumber, BeSomeNumber, BeText};
    let ports = lab.stack().ports();
    let port = |port: u16| BeNumber(port.into());
    let baggage = || [("environment", Be("development")), ("version", Be(env!("CARGO_PKG_VERSION")))];
    let with_baggage =
        |attributes: Attributes| attributes.into_iter().chain(baggage()).collect::<Attributes>();
    let peer = || {
        [
            ("client.address", Be("127.0.0.1")),
            ("network.peer.address", Be("127.0.0.1")),
            ("network.peer.port", BeSomeNumber),
            ("server.address", Be("127.0.0.1")),
        ]
    };
    let served = |route, path, agent, server| {
        let attributes = [
            ("http.request.method", Be("GET")),
            ("http.response.status_code", BeNumber(200)),
            ("http.route", Be(route)),
            ("network.protocol.version", Be("1.1")),
            ("server.port", port(server)),
            ("url.path", Be(path)),
            ("url.scheme", Be("http")),
            ("user_agent.original", Be(agent)),
        ];
        peer().into_iter().chain(attributes).collect::<Attributes>()
    };
    let rpc = || {
        [
            ("rpc.system.name", Be("grpc")),
            ("rpc.method", Be("sightline.inventory.v1.Inventory/Reserve")),
            ("rpc.response.status_code", Be("OK")),
            ("server.port", port(ports.inventory_grpc)),
        ]
    };
    let sql = |database, table, summary, text| {
        vec![
            ("db.system.name", Be("sqlite")),
            ("db.namespace", Be(database)),
            ("db.operation.name", Be("SELECT")),
            ("db.collection.name", Be(table)),
            ("db.query.summary", Be(summary)),
            ("db.query.text", Be(text)),
        ]
    };
    let read_order = "SELECT user_id, sku, quantity FROM orders JOIN order_items ON order_items.order_id = orders.id \
                      WHERE orders.id = $1 ORDER BY sku";
    let read_user = "SELECT id, name, email FROM users WHERE id = $1";
    let asked = vec![
        ("http.request.method", Be("GET")),
        ("http.response.status_code", BeNumber(200)),
        ("network.protocol.version", Be("1.1")),
        ("server.address", Be("127.0.0.1")),
        ("server.port", port(ports.user_http)),
        ("url.full", BeText(format!("{}/users/7", lab.stack().user_url()))),
        ("url.template", Be("/users/{id}")),
    ];
    let reserve = "order-service client sightline.inventory.v1.Inventory/Reserve";
    vec![
        (
            "order-service server GET /orders/{id}",
            served("/orders/{id}", "/orders/7", agent, ports.order_http),
        ),
        ("order-service internal read_order", vec![("order.id", BeNumber(7))]),
        ("order-service client SELECT orders", sql("order.db", "orders", "SELECT orders", read_order)),
        ("order-service internal read_user", with_baggage(vec![("user.id", BeNumber(7))])),
        ("order-service client GET /users/{id}", with_baggage(asked)),
        (
            "user-service server GET /users/{id}",
            with_baggage(served("/users/{id}", "/users/7", "order-service/0.1.0", ports.user_http)),
        ),
        ("user-service internal read_user", with_baggage(vec![("user.id", BeNumber(7))])),
        (
            "user-service client SELECT users",
            with_baggage(sql("user.db", "users", "SELECT users", read_user)),
        ),
        (
            "order-service internal reserve_items",
            with_baggage(vec![("order.id", BeNumber(7)), ("order.items", BeNumber(3))]),
        ),
        (reserve, with_baggage(rpc().into_iter().chain([("server.address", Be("127.0.0.1"))]).collect())),
        (
            "inventory-service server sightline.inventory.v1.Inventory/Reserve",
            with_baggage(rpc().into_iter().chain(peer()).collect()),
        ),
        (
            "inventory-service internal reserve_stock",
            with_baggage(vec![("order.id", BeNumber(7)), ("order.items", BeNumber(3))]),
        ),
    ]
}

async fn attributes(lab: &Lab) -> Result<()> {
    let agent = "sightline-tests/edges";
    let answer = lab.order(&Caller::new().with("user-agent", agent), "7").await?;
    let trace = lab.trace(&answer.trace, ORDER).await?;
    let expected = expected(lab, agent);
    ensure!(expected.len() == trace.spans.len(), "the table has {} spans", expected.len());
    let mut wrong = Vec::new();
    for (title, attributes) in expected {
        let span = find(&trace, title).with_context(|| format!("no span {title}"))?;
        let mut left: BTreeMap<&str, &Value> = span
            .attributes
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            // Jaeger's own remarks.
            .filter(|(key, _)| !key.starts_with("@jaeger@"))
            .collect();
        for (key, must) in attributes {
            match left.remove(key) {
                Some(value) if must.holds(value) => {}
                other => wrong.push(format!("{title}: {key} is {other:?} and must be {}", must.describe())),
            }
        }
        wrong
            .extend(left.into_iter().map(|(key, value)| format!("{title}: {key} = {value} is not expected")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

async fn resources(lab: &Lab) -> Result<()> {
    let answer = lab.order(&Caller::new(), "7").await?;
    let trace = lab.trace(&answer.trace, ORDER).await?;
    let mut instances = Vec::new();
    for process in Process::SERVICES {
        let name = process.name();
        let pid = lab.stack().pid(process).with_context(|| format!("{name} does not run"))?;
        resource(&trace, name, pid).with_context(|| format!("the resource of {name}"))?;
        instances.push(text(&trace, name, "service.instance.id")?);
    }
    instances.sort();
    instances.dedup();
    ensure!(instances.len() == 3, "instances share an id: {instances:?}");
    Ok(())
}

fn resource(trace: &Trace, name: &str, pid: u32) -> Result<()> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    for (key, value) in [
        ("service.name", name),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("host.name", host.trim()),
        ("os.type", "linux"),
        ("process.executable.name", name),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.distro.name", "sightline"),
    ] {
        let found = text(trace, name, key)?;
        ensure!(found == value, "{key} is {found:?} and must be {value:?}");
    }
    let arch = text(trace, name, "host.arch")?;
    ensure!(
        ["amd64", "arm64", "arm32", "ppc64", "s390x", "riscv64"].contains(&arch.as_str()),
        "host.arch {arch}"
    );
    ensure!(text(trace, name, "service.instance.id")?.len() == 36, "service.instance.id is no UUID");
    for key in ["os.description", "process.creation.time", "process.executable.path", "telemetry.sdk.version"]
    {
        ensure!(!text(trace, name, key)?.is_empty(), "{key} is empty");
    }
    let number = |key| value(trace, name, key).map(Value::as_int);
    ensure!(number("process.pid")? == Some(pid.into()), "process.pid is not {pid}");
    ensure!(
        number("process.parent_pid")? == Some(std::process::id().into()),
        "process.parent_pid is not this test"
    );
    // Where people put passwords.
    for key in ["process.command_line", "process.command_args"] {
        ensure!(value(trace, name, key).is_err(), "{key} is told");
    }
    Ok(())
}

fn text(trace: &Trace, service: &str, key: &'static str) -> Result<String> {
    Ok(value(trace, service, key)?.as_str().with_context(|| format!("{key} is no text"))?.to_owned())
}

fn value<'a>(trace: &'a Trace, service: &str, key: &'static str) -> Result<&'a Value> {
    let span = trace.of_service(service).next().context("it has no span")?;
    span.resource_attribute(key).with_context(|| format!("{key} is missing"))
}
