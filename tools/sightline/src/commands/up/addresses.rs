//! Where everything is, once it runs.

use std::fmt::Write as _;

use sightline::stack::Stack;

/// What to try next, and the addresses.
pub(super) async fn table(stack: &Stack) -> String {
    let ports = stack.ports();
    let dir = stack.dir().display();
    let has_ui = match stack.jaeger() {
        Ok(jaeger) => jaeger.has_ui().await,
        Err(_) => false,
    };
    let jaeger = if has_ui {
        ("Jaeger", stack.jaeger_url())
    } else {
        (
            "Jaeger's API",
            format!("{}/api/v3 (built without its UI: see tools/jaeger/README.md)", stack.jaeger_url()),
        )
    };
    let rows = [
        ("order-service", format!("{}/orders/7", stack.order_url())),
        ("user-service", format!("{}/users/7", stack.user_url())),
        ("inventory-service", format!("{} (gRPC, with reflection)", stack.inventory_url())),
        ("admin ports", admin(ports.user_admin, ports.order_admin, ports.inventory_admin)),
        jaeger,
        (
            "agent",
            format!(
                "https://localhost:{} OTLP/gRPC, {} OTLP/HTTP",
                ports.agent_otlp_grpc, ports.agent_otlp_http
            ),
        ),
        ("", format!("mutual TLS: certificates in {dir}/certs")),
        ("span metrics", format!("http://127.0.0.1:{}/metrics", ports.gateway_span_metrics)),
        ("log records", stack.stored_logs().display().to_string()),
        ("logs of processes", format!("{dir}/logs/*.log")),
    ];
    let mut text = String::from("Where everything is\n");
    for (name, address) in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {name:<18} {address}");
    }
    let (sightline, elsewhere) = (program(), elsewhere(stack));
    let _ = write!(
        text,
        "\n\nNext, in another terminal\n\n  curl -i {}/orders/8\n  \
         {sightline} traces --service order-service{elsewhere}\n  \
         {sightline} trace -v ID{elsewhere}",
        stack.order_url(),
    );
    text
}

fn admin(user: u16, order: u16, inventory: u16) -> String {
    format!(
        "http://127.0.0.1:{user} (user), {order} (order), {inventory} (inventory): /metrics /livez /readyz"
    )
}

/// This program as one would type it here.
fn program() -> String {
    let Ok(program) = std::env::current_exe() else { return "sightline".to_owned() };
    let here = std::env::current_dir().unwrap_or_default();
    program.strip_prefix(&here).unwrap_or(&program).display().to_string()
}

/// The flag that other commands need to find this Jaeger.
fn elsewhere(stack: &Stack) -> String {
    if stack.ports().jaeger_ui == 16686 { String::new() } else { format!(" --jaeger {}", stack.jaeger_url()) }
}
