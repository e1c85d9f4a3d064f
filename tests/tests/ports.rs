//! Checks that the services, the chart, the pipeline files, the scripts and the Makefile use the ports in
//! `sightline.toml` and `tools/sightline/src/stack/spec/pipeline.toml`.

use std::fs;

use anyhow::{Context as _, Result};
use sightline::examples::EXAMPLES;
use sightline::stack::{AGENT, GATEWAY, StackSpec, VMAUTH};
use sightline_tests::examples::{ORDER_SERVICE, skip_reason};
use sightline_tests::test_stack::root;

#[test]
fn other_files_use_the_described_ports() -> Result<()> {
    let ports = StackSpec::load(&root().join("sightline.toml"))?.ports();
    let port = |name: &str, number: u16| format!("{name}:-{number}}}");
    let expected = [
        ("collector-config/agent.yaml", port("SIGHTLINE_OTLP_GRPC_PORT", ports.number(AGENT, "otlp-grpc")?)),
        ("collector-config/agent.yaml", port("SIGHTLINE_OTLP_HTTP_PORT", ports.number(AGENT, "otlp-http")?)),
        ("collector-config/agent.yaml", port("SIGHTLINE_HEALTH_PORT", ports.number(AGENT, "health")?)),
        ("collector-config/agent-local.yaml", format!("127.0.0.1:{}", ports.number(GATEWAY, "otlp")?)),
        (
            "collector-config/gateway.yaml",
            port("SIGHTLINE_SPAN_METRICS_PORT", ports.number(GATEWAY, "span-metrics")?),
        ),
        ("collector-config/jaeger.yaml", port("SIGHTLINE_UI_PORT", ports.number(VMAUTH, "pages")?)),
        (
            "deploy/kind/port-forward.sh",
            format!("\"$JAEGER_PORT\" {} JAEGER_PORT", ports.number(VMAUTH, "pages")?),
        ),
        ("Makefile", format!("\nJAEGER_PORT ?= {}\n", ports.number(VMAUTH, "pages")?)),
    ];
    check(&expected)
}

#[test]
fn other_files_use_the_ports_of_the_examples() -> Result<()> {
    if let Some(reason) = skip_reason()? {
        println!("skipped: {reason}");
        return Ok(());
    }
    let ports = StackSpec::load(&root().join("sightline.toml"))?.ports();
    let orders = ports.server(ORDER_SERVICE)?;
    let default = |example: &str| -> Result<String> {
        Ok(format!("const ADDRESS: SocketAddr = loopback({});", ports.server(example)?))
    };
    let mut expected = vec![
        ("deploy/kind/port-forward.sh", format!("\"$ORDER_PORT\" {orders} ORDER_PORT")),
        ("Makefile", format!("\nORDER_PORT ?= {orders}\n")),
        ("helm/sightline/templates/NOTES.txt", format!("http://127.0.0.1:{orders}/orders/1")),
    ];
    let paths = EXAMPLES.map(|example| format!("services/{example}/src/settings.rs"));
    for (example, path) in EXAMPLES.iter().zip(&paths) {
        expected.push((path, default(example)?));
    }
    check(&expected)
}

/// Fails if a file does not contain its text.
fn check(expected: &[(&str, String)]) -> Result<()> {
    let mut wrong = Vec::new();
    for (file, text) in expected {
        let contents =
            fs::read_to_string(root().join(file)).with_context(|| format!("cannot read {file}"))?;
        if !contents.contains(text) {
            wrong.push(format!("{file} does not contain {text:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    Ok(())
}

#[test]
fn the_chart_uses_the_default_admin_port() -> Result<()> {
    let values = |file: &str| -> Result<serde_yaml::Value> {
        Ok(serde_yaml::from_str(&fs::read_to_string(root().join(file))?)?)
    };
    let subchart = values("helm/sightline/charts/service/values.yaml")?;
    let admin = subchart["admin"]["port"].as_u64();
    // The library's default is also the default of the chart.
    check(&[(
        "docs/settings.md",
        format!("| `OTEL_EXPORTER_PROMETHEUS_PORT` | `{}` |", admin.unwrap_or_default()),
    )])
}
