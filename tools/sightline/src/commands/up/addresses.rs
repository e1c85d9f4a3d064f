//! The addresses that `sightline up` prints when the stack is running.

use std::fmt::Write as _;

use sightline::stack::Stack;

/// Returns the addresses of the stack, and commands to try next.
pub(super) async fn describe(stack: &Stack) -> String {
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
            "Jaeger API",
            format!("{}/api/v3 (this build has no UI: see tools/jaeger/README.md)", stack.jaeger_url()),
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
        ("process logs", format!("{dir}/logs/*.log")),
    ];
    let mut text = String::from("Addresses and files\n");
    for (name, address) in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {name:<18} {address}");
    }
    let (sightline, jaeger_option) = (program(), jaeger_option(stack));
    let _ = write!(
        text,
        "\n\nTry in another terminal\n\n  curl -i {}/orders/8\n  \
         {sightline} traces --service order-service{jaeger_option}\n  \
         {sightline} trace -v TRACE_ID{jaeger_option}",
        stack.order_url(),
    );
    text
}

fn admin(user: u16, order: u16, inventory: u16) -> String {
    format!(
        "http://127.0.0.1:{user} (user), {order} (order), {inventory} (inventory): /metrics /livez /readyz"
    )
}

/// Returns the path of this program, relative to the working directory if possible.
fn program() -> String {
    let Ok(program) = std::env::current_exe() else { return "sightline".to_owned() };
    let working_directory = std::env::current_dir().unwrap_or_default();
    program.strip_prefix(&working_directory).unwrap_or(&program).display().to_string()
}

/// Returns the option with which other commands find this Jaeger, or an empty text if Jaeger uses the default port.
fn jaeger_option(stack: &Stack) -> String {
    if stack.ports().jaeger_ui == 16686 { String::new() } else { format!(" --jaeger {}", stack.jaeger_url()) }
}
