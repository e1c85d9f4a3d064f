//! Checks that the services, the chart, the pipeline files, the scripts and the Makefile use the ports in the table in
//! `tools/sightline/src/stack/ports.rs`.

use std::fs;

use anyhow::{Context as _, Result};
use sightline::stack::Ports;
use sightline_tests::test_stack::root;

#[test]
fn other_files_use_the_ports_of_the_table() -> Result<()> {
    let ports = Ports::standard();
    let port = |name: &str, number: u16| format!("{name}:-{number}}}");
    let expected = [
        (
            "services/common/src/settings.rs",
            format!("USER_SERVICE_ADDRESS: SocketAddr = loopback({});", ports.user_http),
        ),
        (
            "services/common/src/settings.rs",
            format!("ORDER_SERVICE_ADDRESS: SocketAddr = loopback({});", ports.order_http),
        ),
        (
            "services/common/src/settings.rs",
            format!("INVENTORY_SERVICE_ADDRESS: SocketAddr = loopback({});", ports.inventory_grpc),
        ),
        ("collector-config/agent.yaml", port("SIGHTLINE_OTLP_GRPC_PORT", ports.agent_otlp_grpc)),
        ("collector-config/agent.yaml", port("SIGHTLINE_OTLP_HTTP_PORT", ports.agent_otlp_http)),
        ("collector-config/agent.yaml", port("SIGHTLINE_HEALTH_PORT", ports.agent_health)),
        ("collector-config/agent-local.yaml", format!("127.0.0.1:{}", ports.gateway_otlp)),
        ("collector-config/gateway.yaml", port("SIGHTLINE_SPAN_METRICS_PORT", ports.gateway_span_metrics)),
        ("collector-config/jaeger.yaml", port("SIGHTLINE_UI_PORT", ports.jaeger_ui)),
        ("deploy/kind/port-forward.sh", format!("\"$ORDER_PORT\" {} ORDER_PORT", ports.order_http)),
        ("deploy/kind/port-forward.sh", format!("\"$JAEGER_PORT\" {} JAEGER_PORT", ports.jaeger_ui)),
        ("Makefile", format!("\nORDER_PORT ?= {}\n", ports.order_http)),
        ("Makefile", format!("\nJAEGER_PORT ?= {}\n", ports.jaeger_ui)),
        ("helm/sightline/templates/NOTES.txt", format!("http://127.0.0.1:{}/orders/1", ports.order_http)),
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
fn the_charts_use_the_ports_of_the_table() -> Result<()> {
    let ports = Ports::standard();
    let values = |file: &str| -> Result<serde_yaml::Value> {
        Ok(serde_yaml::from_str(&fs::read_to_string(root().join(file))?)?)
    };
    let chart = values("helm/sightline/values.yaml")?;
    let service_port = |name: &str| chart["services"][name]["service"]["port"].as_u64();
    assert_eq!(service_port("user-service"), Some(ports.user_http.into()));
    assert_eq!(service_port("order-service"), Some(ports.order_http.into()));
    assert_eq!(service_port("inventory-service"), Some(ports.inventory_grpc.into()));
    let subchart = values("helm/sightline/charts/service/values.yaml")?;
    assert_eq!(subchart["admin"]["port"].as_u64(), Some(ports.user_admin.into()));
    Ok(())
}
