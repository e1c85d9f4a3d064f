//! The connections that the design allows, written by hand. Nothing here comes from a rendering.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

/// The names and namespaces of pods outside the release. An empty string means the namespace of the release.
pub(super) const PODS: [(&str, &str); 7] = [
    ("same-namespace", ""),
    ("other-namespace", "elsewhere"),
    ("prometheus", "monitoring"),
    ("ingress-controller", "ingress"),
    ("login-proxy", "login"),
    ("store-client", "store"),
    ("external-jaeger", "tracing"),
];

/// Other peers outside the release: the agent of another release, the cluster's DNS pods, and two addresses.
const OTHERS: [&str; 4] = ["external-agent", "dns", "api-server", "outside"];

/// The connections that the pods' environment variables and arguments configure in the default installation.
pub(super) const CONFIGURED: &str = "
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service > agent:4317
    agent > gateway:4317
    gateway > jaeger:4317
    test > order-service:8081 jaeger:16686
";

/// The allowed connections of each value set, as `source … > destination:port …`.
///
/// As a source, `anyone` means every peer outside the release. As a destination, `anyone` means every pod outside the
/// release except the DNS pods. Unless the values set the API server's address, the policies allow connections to the
/// API server's ports at every destination.
pub(super) const FLOWS: [(&str, &str); 11] = [
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
    ingress-controller > shop:8443
    shop > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317
    shop agent gateway > dns:53 dns:53/UDP
    shop agent > api-server:6443 outside:443 anyone:443
    shop > outside:5432
",
    ),
    (
        "other-services",
        "
    anyone > prices:9000
    shipping > stock:9001 prices:9000
    prices stock shipping idle > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317
    prices stock shipping idle agent gateway > dns:53 dns:53/UDP
    stock shipping idle agent > api-server:6443 outside:443 anyone:443
",
    ),
    (
        "production",
        "
    anyone > order-service:8081
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service store-client > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317 outside:4318
    test > order-service:8081 jaeger:16686
    login-proxy > jaeger:16686
    user-service order-service > outside:5432
    jaeger > outside:9200
    user-service order-service inventory-service agent gateway jaeger test > dns:53 dns:53/UDP
    user-service order-service inventory-service agent > api-server:6443
    prometheus > user-service:2112 order-service:2112 inventory-service:2112 agent:8888 jaeger:8888
    prometheus > gateway:8888 gateway:8889
",
    ),
    (
        "other-stores",
        "
    anyone > order-service:8081
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317
    test > order-service:8081 jaeger:16686
    jaeger > outside:443 anyone:443
    user-service order-service inventory-service agent gateway jaeger test > dns:53 dns:53/UDP
    user-service order-service inventory-service agent > api-server:6443 outside:443 anyone:443
",
    ),
    (
        "stores",
        "
    anyone > order-service:8081
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317
    test > order-service:8081 jaeger:16686
    login-proxy > jaeger:16686
    user-service order-service inventory-service agent gateway test > dns:53 dns:53/UDP
    user-service order-service inventory-service agent > api-server:6443 outside:443 anyone:443
",
    ),
    (
        "alerts",
        "
    anyone > order-service:8081
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317
    test > order-service:8081 jaeger:16686
    jaeger > outside:443
    user-service order-service inventory-service agent gateway jaeger test > dns:53 dns:53/UDP
    user-service order-service inventory-service agent > api-server:6443 outside:443 anyone:443
",
    ),
    (
        "no-stores",
        "
    anyone > order-service:8081
    order-service > user-service:8080 inventory-service:8082
    user-service order-service inventory-service > agent:4317 agent:4318
    agent > gateway:4317
    gateway > jaeger:4317
    test > order-service:8081 jaeger:16686
    user-service order-service inventory-service agent gateway test > dns:53 dns:53/UDP
    user-service order-service inventory-service agent > api-server:6443 outside:443 anyone:443
    prometheus > agent:8888 jaeger:8888 gateway:8888 gateway:8889
",
    ),
    (
        "pipeline-only",
        "
    store-client > agent:4317 agent:4318
    agent > gateway:4317
    gateway > external-jaeger:4317
    agent gateway > dns:53 dns:53/UDP
    agent > api-server:6443 outside:443 anyone:443
",
    ),
    (
        "service-alone",
        "
    anyone > shop:8080
    shop > external-agent:4317
    shop > dns:53 dns:53/UDP
    shop > api-server:6443 outside:443 anyone:443
",
    ),
];

/// Expands `a b > c:1 d:2` into one flow for each pair, such as `a > c:1`.
pub(super) fn parse(lines: &str) -> Result<BTreeSet<String>> {
    let mut flows = BTreeSet::new();
    let pods = || PODS.iter().map(|(name, _)| *name).chain(["external-agent"]);
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sources, targets) =
            line.split_once(" > ").with_context(|| format!("not a list of flows: {line}"))?;
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
