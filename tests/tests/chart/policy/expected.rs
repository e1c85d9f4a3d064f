//! The arrows of the design, written by hand: nothing here is taken from a rendering.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

/// Pods that are not of the release: name, and namespace; the release's own where that is empty.
pub(super) const PODS: [(&str, &str); 7] = [
    ("neighbour", ""),
    ("stranger", "elsewhere"),
    ("prometheus", "monitoring"),
    ("ingress", "ingress"),
    ("login", "login"),
    ("shopper", "store"),
    ("tracer", "tracing"),
];

/// Others that are not of the release: an agent of another, and what is no pod of the cluster's users.
const OTHERS: [&str; 4] = ["far-agent", "dns", "api-server", "outside"];

/// What the parts are told to do, in the default installation.
pub(super) const TOLD: &str = "
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service > agent:4317
    agent > gateway:4317
    gateway > jaeger:4317
    test > order-service:8081 jaeger:16686
";

/// By set of values: who may speak to whom. `anyone` is whoever is not ours; as a target, pods only. Where the values give
/// no address of the API server, it may be anywhere.
pub(super) const FLOWS: [(&str, &str); 6] = [
    (
        "default",
        "
    anyone > order-service:8081
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317
    test > order-service:8081 jaeger:16686
    user-service order-service inventory-service agent gateway test > dns:53 dns:53/UDP
    user-service order-service inventory-service agent > api-server:6443 outside:443 anyone:443
",
    ),
    (
        "autoscaling",
        "
    anyone > order-service:8081
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317
    test > order-service:8081 jaeger:16686
    user-service order-service inventory-service agent gateway test > dns:53 dns:53/UDP
    user-service order-service inventory-service agent > api-server:6443 outside:443 anyone:443
    user-service order-service > outside:5432
    prometheus > user-service:2112 order-service:2112 inventory-service:2112 agent:8888 jaeger:8888
    prometheus > gateway:8888 gateway:8889
",
    ),
    (
        "own-service",
        "
    ingress test > shop:8443
    shop > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317
    test > jaeger:16686
    shop agent gateway test > dns:53 dns:53/UDP
    shop agent > api-server:6443 outside:443 anyone:443
    shop > outside:5432
",
    ),
    (
        "production",
        "
    anyone > order-service:8081
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service shopper > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317 outside:4318
    test > order-service:8081 jaeger:16686
    login > jaeger:16686
    user-service order-service > outside:5432
    jaeger > outside:9200
    user-service order-service inventory-service agent gateway jaeger test > dns:53 dns:53/UDP
    user-service order-service inventory-service agent > api-server:6443
    prometheus > user-service:2112 order-service:2112 inventory-service:2112 agent:8888 jaeger:8888
    prometheus > gateway:8888 gateway:8889
",
    ),
    (
        "pipeline-only",
        "
    shopper > agent:4317 agent:4318
    agent > gateway:4317
    gateway > tracer:4317
    agent gateway > dns:53 dns:53/UDP
    agent > api-server:6443 outside:443 anyone:443
",
    ),
    (
        "service-alone",
        "
    anyone > shop:8080
    shop > far-agent:4317
    shop > dns:53 dns:53/UDP
    shop > api-server:6443 outside:443 anyone:443
",
    ),
];

/// Takes `a b > c:1 d:2` apart into one line for each pair.
pub(super) fn parse(lines: &str) -> Result<BTreeSet<String>> {
    let mut flows = BTreeSet::new();
    let pods = || PODS.iter().map(|(name, _)| *name).chain(["far-agent"]);
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sources, targets) = line.split_once(" > ").with_context(|| format!("not an arrow: {line}"))?;
        let sources = sources.split_whitespace().flat_map(|name| match name {
            "anyone" => PODS.iter().map(|(name, _)| *name).chain(OTHERS).collect(),
            name => vec![name],
        });
        for source in sources {
            for target in targets.split_whitespace() {
                match target.strip_prefix("anyone:") {
                    Some(port) => flows.extend(pods().map(|pod| format!("{source} > {pod}:{port}"))),
                    None => drop(flows.insert(format!("{source} > {target}"))),
                }
            }
        }
    }
    Ok(flows)
}
