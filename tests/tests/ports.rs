//! Checks that the services, the chart, the pipeline files, the scripts and the Makefile use the ports in
//! `sightline.toml` and `tools/sightline/src/stack/spec/pipeline.toml`.

use std::fs;

use anyhow::{Context as _, Result};
use sightline::stack::{AGENT, GATEWAY, JAEGER, StackSpec};
use sightline_tests::test_stack::{INVENTORY_SERVICE, ORDER_SERVICE, USER_SERVICE, root};

#[test]
fn other_files_use_the_described_ports() -> Result<()> {
    let ports = StackSpec::load(&root().join("sightline.toml"))?.ports();
    let port = |name: &str, number: u16| format!("{name}:-{number}}}");
    let expected = [
        (
            "services/user-service/src/settings.rs",
            format!("const ADDRESS: SocketAddr = loopback({});", ports.server(USER_SERVICE)?),
        ),
        (
            "services/order-service/src/settings.rs",
            format!("const ADDRESS: SocketAddr = loopback({});", ports.server(ORDER_SERVICE)?),
        ),
        (
            "services/inventory-service/src/settings.rs",
            format!("const ADDRESS: SocketAddr = loopback({});", ports.server(INVENTORY_SERVICE)?),
        ),
        ("collector-config/agent.yaml", port("SIGHTLINE_OTLP_GRPC_PORT", ports.number(AGENT, "otlp-grpc")?)),
        ("collector-config/agent.yaml", port("SIGHTLINE_OTLP_HTTP_PORT", ports.number(AGENT, "otlp-http")?)),
        ("collector-config/agent.yaml", port("SIGHTLINE_HEALTH_PORT", ports.number(AGENT, "health")?)),
        ("collector-config/agent-local.yaml", format!("127.0.0.1:{}", ports.number(GATEWAY, "otlp")?)),
        (
            "collector-config/gateway.yaml",
            port("SIGHTLINE_SPAN_METRICS_PORT", ports.number(GATEWAY, "span-metrics")?),
        ),
        ("collector-config/jaeger.yaml", port("SIGHTLINE_UI_PORT", ports.number(JAEGER, "ui")?)),
        (
            "deploy/kind/port-forward.sh",
            format!("\"$ORDER_PORT\" {} ORDER_PORT", ports.server(ORDER_SERVICE)?),
        ),
        (
            "deploy/kind/port-forward.sh",
            format!("\"$JAEGER_PORT\" {} JAEGER_PORT", ports.number(JAEGER, "ui")?),
        ),
        ("Makefile", format!("\nORDER_PORT ?= {}\n", ports.server(ORDER_SERVICE)?)),
        ("Makefile", format!("\nJAEGER_PORT ?= {}\n", ports.number(JAEGER, "ui")?)),
        (
            "helm/sightline/templates/NOTES.txt",
            format!("http://127.0.0.1:{}/orders/1", ports.server(ORDER_SERVICE)?),
        ),
    ];
    let mut wrong = Vec::new();
    for (file, text) in expected {
        let contents =
            fs::read_to_string(root().join(file)).with_context(|| format!("cannot read {file}"))?;
        if !contents.contains(&text) {
            wrong.push(format!("{file} does not contain {text:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    Ok(())
}

#[test]
fn the_charts_use_the_described_ports() -> Result<()> {
    let ports = StackSpec::load(&root().join("sightline.toml"))?.ports();
    let values = |file: &str| -> Result<serde_yaml::Value> {
        Ok(serde_yaml::from_str(&fs::read_to_string(root().join(file))?)?)
    };
    let chart = values("helm/sightline/values.yaml")?;
    let service_port = |name: &str| chart["services"][name]["service"]["port"].as_u64();
    assert_eq!(service_port("user-service"), Some(u64::from(ports.server(USER_SERVICE)?)));
    assert_eq!(service_port("order-service"), Some(u64::from(ports.server(ORDER_SERVICE)?)));
    assert_eq!(service_port("inventory-service"), Some(u64::from(ports.server(INVENTORY_SERVICE)?)));
    let subchart = values("helm/sightline/charts/service/values.yaml")?;
    assert_eq!(subchart["admin"]["port"].as_u64(), Some(u64::from(ports.admin(USER_SERVICE)?)));
    Ok(())
}
