//! Tests of the evaluator, with one test for each rule of the `NetworkPolicy` API.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ContainerPort;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde::Deserialize as _;

use super::Test;
use super::evaluate::{IpBlocks, Labels, Peer, Pod, Policies, Port};

/// A rule of the API, policies that use the rule, and connections that these policies allow and deny.
///
/// The peers are the pods `a` and `b` in the namespace `home`, the pods `a` and `c` in the namespace `away`, and the
/// addresses `outside` and `excepted`. Each pod has the ports `http` (8080, or 8081 in `b`) and `dns` (53, UDP).
struct Rule {
    /// The rule in words, which is also the name of the test.
    name: &'static str,
    /// The policies, as YAML documents.
    policies: &'static str,
    /// Allowed connections, as `from > to:port`.
    allowed: &'static [&'static str],
    /// Denied connections, as `from > to:port`.
    denied: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        name: "without a policy everything is allowed",
        policies: "",
        allowed: &["home/a > home/b:8081", "away/a > home/a:9", "outside > home/a:80", "home/a > outside:443"],
        denied: &[],
    },
    Rule {
        name: "an empty pod selector selects the whole namespace and a policy without rules denies everything",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Ingress]}}",
        allowed: &["home/a > away/a:80", "home/a > outside:443", "home/a > away/c:8080"],
        denied: &["home/a > home/b:8081", "away/a > home/b:8081", "outside > home/a:80"],
    },
    Rule {
        name: "a policy selects only pods in its own namespace",
        policies: "{metadata: {namespace: away}, spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress]}}",
        allowed: &["away/a > home/a:80", "home/a > away/c:80"],
        denied: &["home/a > away/a:80", "away/c > away/a:80"],
    },
    Rule {
        name: "policyTypes defaults to Ingress",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}}}",
        allowed: &["home/a > outside:443"],
        denied: &["outside > home/a:80"],
    },
    Rule {
        name: "policyTypes defaults to Ingress and Egress if there is an egress rule",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, egress: [{ports: [{port: 443}]}]}}",
        allowed: &["home/a > outside:443"],
        denied: &["home/a > outside:80", "outside > home/a:80"],
    },
    Rule {
        name: "policyTypes Egress isolates pods for egress but not for ingress",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Egress]}}",
        allowed: &["away/a > home/a:80", "home/b > away/a:80"],
        denied: &["home/a > home/b:8081", "home/a > outside:443"],
    },
    Rule {
        name: "the policies on both sides must allow a connection",
        policies: "
{metadata: {namespace: home}, spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{}]}}
---
{metadata: {namespace: home}, spec: {podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress]}}",
        allowed: &["home/a > away/a:80"],
        denied: &["home/a > home/b:8081"],
    },
    Rule {
        name: "policies on the same pod add up",
        policies: "
{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Ingress]}}
---
{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}}
---
{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: 81}]}]}}",
        allowed: &["away/a > home/a:80", "away/a > home/a:81"],
        denied: &["away/a > home/a:82"],
    },
    Rule {
        name: "an empty rule and empty lists in a rule allow everything",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{from: [], ports: []}]}}",
        allowed: &["away/a > home/a:80", "outside > home/a:1"],
        denied: &[],
    },
    Rule {
        name: "a pod selector alone matches pods in the namespace of the policy",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, \
                   ingress: [{from: [{podSelector: {matchLabels: {app: a}}}]}]}}",
        allowed: &["home/a > home/b:8081"],
        denied: &["away/a > home/b:8081", "home/b > home/a:80", "outside > home/a:80"],
    },
    Rule {
        name: "a namespace selector alone matches all pods in the selected namespaces",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, \
                   ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: away}}}]}]}}",
        allowed: &["away/a > home/b:8081", "away/c > home/a:80"],
        denied: &["home/a > home/b:8081", "outside > home/a:80"],
    },
    Rule {
        name: "an empty namespace selector matches all namespaces and no address",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}}",
        allowed: &["away/a > home/b:8081", "home/a > home/b:8081"],
        denied: &["outside > home/a:80"],
    },
    Rule {
        name: "both selectors in a peer must match",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{from: [\
                   {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: away}}, \
                    podSelector: {matchLabels: {app: a}}}]}]}}",
        allowed: &["away/a > home/b:8081"],
        denied: &["away/c > home/b:8081", "home/a > home/b:8081"],
    },
    Rule {
        name: "one matching peer of several is enough",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{from: [\
                   {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: away}}}, \
                   {podSelector: {matchLabels: {app: a}}}]}]}}",
        allowed: &["away/c > home/b:8081", "home/a > home/b:8081"],
        denied: &["home/b > home/a:80"],
    },
    Rule {
        name: "a peer and a port of the same rule must match",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [\
                   {from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}, {ports: [{port: 81}]}]}}",
        allowed: &["home/a > home/b:80", "away/c > home/b:81"],
        denied: &["home/a > home/b:82", "away/c > home/b:80"],
    },
    Rule {
        name: "matchExpressions select pods",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {matchExpressions: [{key: app, operator: NotIn, \
                   values: [b]}, {key: app, operator: Exists}]}, ingress: [{from: [{podSelector: {matchExpressions: \
                   [{key: app, operator: In, values: [b, c]}, {key: gone, operator: DoesNotExist}]}}]}]}}",
        allowed: &["home/b > home/a:80", "away/a > home/b:8081"],
        denied: &["home/a > home/a:80", "away/c > home/a:80"],
    },
    Rule {
        name: "a missing protocol means TCP and a missing port means every port",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: 53}, {protocol: UDP}]}]}}",
        allowed: &["away/a > home/a:53", "away/a > home/a:53/UDP", "away/a > home/a:99/UDP"],
        denied: &["away/a > home/a:99"],
    },
    Rule {
        name: "a port range includes its first and last port",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}]}]}}",
        allowed: &["away/a > home/a:80", "away/a > home/a:85", "away/a > home/a:90"],
        denied: &["away/a > home/a:79", "away/a > home/a:91", "away/a > home/a:85/UDP"],
    },
    Rule {
        name: "for ingress a port name refers to a port of the destination pod",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: http}]}]}}",
        allowed: &["away/a > home/a:8080", "away/a > home/b:8081"],
        denied: &["away/a > home/a:8081", "away/a > home/b:8080", "away/a > home/a:8080/UDP"],
    },
    Rule {
        name: "for egress a port name refers to a port of the destination pod and matches no address",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Egress], \
                   egress: [{ports: [{port: http}, {port: dns, protocol: UDP}]}]}}",
        allowed: &["home/a > home/b:8081", "home/b > away/a:8080", "home/a > away/c:53/UDP"],
        denied: &["home/a > home/b:8080", "home/a > outside:8080"],
    },
    Rule {
        name: "an ipBlock does not match the addresses in its except list",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Egress], \
                   egress: [{to: [{ipBlock: {cidr: 203.0.0.0/8, except: [203.0.114.0/24]}}]}]}}",
        allowed: &["home/a > outside:443"],
        denied: &["home/a > excepted:443", "home/a > home/b:8081"],
    },
];

/// Returns one test for each rule, and one test for an `ipBlock` that contains pod addresses.
pub(crate) fn tests() -> Vec<(&'static str, Test)> {
    let mut tests: Vec<(&'static str, Test)> = Vec::new();
    for rule in RULES {
        tests.push((rule.name, Box::new(|| check(rule))));
    }
    tests.push(("whether an ipBlock matches pods depends on the network", Box::new(ip_blocks_and_pods)));
    tests
}

fn check(rule: &Rule) -> Result<()> {
    let policies = policies(rule.policies)?;
    for ip_blocks in [IpBlocks::IgnorePods, IpBlocks::MatchPods] {
        let policies = Policies { policies: &policies, ip_blocks };
        for (flows, expected) in [(rule.allowed, true), (rule.denied, false)] {
            for flow in flows {
                let (from, to, port) = parse(flow).with_context(|| format!("not a flow: {flow}"))?;
                let allowed = policies.allow(&from, &to, port);
                ensure!(
                    allowed == expected,
                    "{flow}: allowed is {allowed}, expected {expected}, with IpBlocks::{ip_blocks:?}"
                );
            }
        }
    }
    Ok(())
}

fn ip_blocks_and_pods() -> Result<()> {
    let policies = policies(
        "{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Egress], \
         egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}}",
    )?;
    let (from, to, port) = parse("home/a > away/c:8080").context("not a flow")?;
    let allow = |ip_blocks| Policies { policies: &policies, ip_blocks }.allow(&from, &to, port);
    ensure!(allow(IpBlocks::MatchPods), "with MatchPods, 0.0.0.0/0 does not match a pod");
    ensure!(!allow(IpBlocks::IgnorePods), "with IgnorePods, 0.0.0.0/0 matches a pod");
    Ok(())
}

fn policies(yaml: &str) -> Result<Vec<NetworkPolicy>> {
    let documents = serde_yaml::Deserializer::from_str(yaml);
    let policies = documents.map(Option::<NetworkPolicy>::deserialize);
    Ok(policies.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Parses `from > to:port` or `from > to:port/UDP`.
fn parse(flow: &str) -> Option<(Peer, Peer, Port)> {
    let (from, to) = flow.split_once(" > ")?;
    let (to, port) = to.split_once(':')?;
    let port = match port.split_once('/') {
        Some((number, _)) => Port::udp(number.parse().ok()?),
        None => Port::tcp(port.parse().ok()?),
    };
    Some((peer(from)?, peer(to)?, port))
}

fn peer(name: &str) -> Option<Peer> {
    let address = |last| Some(Peer::Address(IpAddr::from([203, 0, last, 7])));
    match name {
        "outside" => return address(113),
        "excepted" => return address(114),
        _ => {}
    }
    let (namespace, app) = name.split_once('/')?;
    let label = |key: &str, value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
    let port = |name: &str, number, protocol: Option<&str>| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: protocol.map(str::to_owned),
        ..ContainerPort::default()
    };
    let http = if app == "b" { 8081 } else { 8080 };
    Some(Peer::Pod(Pod {
        namespace: namespace.to_owned(),
        namespace_labels: label("kubernetes.io/metadata.name", namespace),
        labels: label("app", app),
        ports: vec![port("http", http, None), port("dns", 53, Some("UDP"))],
        address: IpAddr::from([10, 244, 0, 9]),
    }))
}
