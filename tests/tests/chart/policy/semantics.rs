//! That the evaluation of policies means what Kubernetes means by them, rule by rule.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ContainerPort;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde::Deserialize as _;

use super::Test;
use super::evaluate::{End, Labels, PodEnd, Policies, Port, Ranges};

/// The world these speak of: pods `a` and `b` in namespace `home`, `a` and `c` in `away`, one address outside.
/// Each pod has a port `http` (8080) and a port `dns` (53, UDP); that of `b` is 8081.
struct Expected {
    what: &'static str,
    policies: &'static str,
    /// `from > to:port`, each allowed.
    allowed: &'static [&'static str],
    /// `from > to:port`, each refused.
    refused: &'static [&'static str],
}

const TABLE: &[Expected] = &[
    Expected {
        what: "without a policy everything is allowed",
        policies: "",
        allowed: &["home/a > home/b:8081", "away/a > home/a:9", "outside > home/a:80", "home/a > outside:443"],
        refused: &[],
    },
    Expected {
        what: "an empty selector takes every pod of its namespace, and no rule lets nothing in",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Ingress]}}",
        allowed: &["home/a > away/a:80", "home/a > outside:443", "home/a > away/c:8080"],
        refused: &["home/a > home/b:8081", "away/a > home/b:8081", "outside > home/a:80"],
    },
    Expected {
        what: "a policy is about its own namespace",
        policies: "{metadata: {namespace: away}, spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress]}}",
        allowed: &["away/a > home/a:80", "home/a > away/c:80"],
        refused: &["home/a > away/a:80", "away/c > away/a:80"],
    },
    Expected {
        what: "without policyTypes it is about what comes in",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}}}",
        allowed: &["home/a > outside:443"],
        refused: &["outside > home/a:80"],
    },
    Expected {
        what: "without policyTypes, a rule for what goes out makes it about that too",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, egress: [{ports: [{port: 443}]}]}}",
        allowed: &["home/a > outside:443"],
        refused: &["home/a > outside:80", "outside > home/a:80"],
    },
    Expected {
        what: "policyTypes Egress alone leaves what comes in free, and closes what goes out",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Egress]}}",
        allowed: &["away/a > home/a:80", "home/b > away/a:80"],
        refused: &["home/a > home/b:8081", "home/a > outside:443"],
    },
    Expected {
        what: "both ends have their say",
        policies: "
{metadata: {namespace: home}, spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{}]}}
---
{metadata: {namespace: home}, spec: {podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress]}}",
        allowed: &["home/a > away/a:80"],
        refused: &["home/a > home/b:8081"],
    },
    Expected {
        what: "policies on one pod add up",
        policies: "
{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Ingress]}}
---
{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}}
---
{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: 81}]}]}}",
        allowed: &["away/a > home/a:80", "away/a > home/a:81"],
        refused: &["away/a > home/a:82"],
    },
    Expected {
        what: "an empty rule, and empty lists in it, allow everything",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{from: [], ports: []}]}}",
        allowed: &["away/a > home/a:80", "outside > home/a:1"],
        refused: &[],
    },
    Expected {
        what: "a selector of pods alone is about the policy's namespace",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, \
                   ingress: [{from: [{podSelector: {matchLabels: {app: a}}}]}]}}",
        allowed: &["home/a > home/b:8081"],
        refused: &["away/a > home/b:8081", "home/b > home/a:80", "outside > home/a:80"],
    },
    Expected {
        what: "a selector of namespaces alone is about all their pods",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, \
                   ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: away}}}]}]}}",
        allowed: &["away/a > home/b:8081", "away/c > home/a:80"],
        refused: &["home/a > home/b:8081", "outside > home/a:80"],
    },
    Expected {
        what: "an empty selector of namespaces is all namespaces, and no address",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}}",
        allowed: &["away/a > home/b:8081", "home/a > home/b:8081"],
        refused: &["outside > home/a:80"],
    },
    Expected {
        what: "both selectors in one peer must hold",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{from: [\
                   {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: away}}, \
                    podSelector: {matchLabels: {app: a}}}]}]}}",
        allowed: &["away/a > home/b:8081"],
        refused: &["away/c > home/b:8081", "home/a > home/b:8081"],
    },
    Expected {
        what: "of two peers either will do",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{from: [\
                   {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: away}}}, \
                   {podSelector: {matchLabels: {app: a}}}]}]}}",
        allowed: &["away/c > home/b:8081", "home/a > home/b:8081"],
        refused: &["home/b > home/a:80"],
    },
    Expected {
        what: "peers and ports of one rule must both hold, of two rules either",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [\
                   {from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 80}]}, {ports: [{port: 81}]}]}}",
        allowed: &["home/a > home/b:80", "away/c > home/b:81"],
        refused: &["home/a > home/b:82", "away/c > home/b:80"],
    },
    Expected {
        what: "expressions select as matchLabels do",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {matchExpressions: [{key: app, operator: NotIn, \
                   values: [b]}, {key: app, operator: Exists}]}, ingress: [{from: [{podSelector: {matchExpressions: \
                   [{key: app, operator: In, values: [b, c]}, {key: gone, operator: DoesNotExist}]}}]}]}}",
        allowed: &["home/b > home/a:80", "away/a > home/b:8081"],
        refused: &["home/a > home/a:80", "away/c > home/a:80"],
    },
    Expected {
        what: "a port without a protocol is TCP, and one without a number is every number",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: 53}, {protocol: UDP}]}]}}",
        allowed: &["away/a > home/a:53", "away/a > home/a:53/UDP", "away/a > home/a:99/UDP"],
        refused: &["away/a > home/a:99"],
    },
    Expected {
        what: "a range of ports takes in both its ends",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}]}]}}",
        allowed: &["away/a > home/a:80", "away/a > home/a:85", "away/a > home/a:90"],
        refused: &["away/a > home/a:79", "away/a > home/a:91", "away/a > home/a:85/UDP"],
    },
    Expected {
        what: "a name is that of the listening pod's port, for what comes in",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, ingress: [{ports: [{port: http}]}]}}",
        allowed: &["away/a > home/a:8080", "away/a > home/b:8081"],
        refused: &["away/a > home/a:8081", "away/a > home/b:8080", "away/a > home/a:8080/UDP"],
    },
    Expected {
        what: "and for what goes out; an address has no names",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Egress], \
                   egress: [{ports: [{port: http}, {port: dns, protocol: UDP}]}]}}",
        allowed: &["home/a > home/b:8081", "home/b > away/a:8080", "home/a > away/c:53/UDP"],
        refused: &["home/a > home/b:8080", "home/a > outside:8080"],
    },
    Expected {
        what: "a range of addresses, with its exceptions",
        policies: "{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Egress], \
                   egress: [{to: [{ipBlock: {cidr: 203.0.0.0/8, except: [203.0.114.0/24]}}]}]}}",
        allowed: &["home/a > outside:443"],
        refused: &["home/a > excepted:443", "home/a > home/b:8081"],
    },
];

/// One test for each row, and those that only speak of addresses of pods.
pub(crate) fn tests() -> Vec<(&'static str, Test)> {
    let mut tests: Vec<(&'static str, Test)> = Vec::new();
    for row in TABLE {
        tests.push((row.what, Box::new(|| check(row))));
    }
    tests.push((
        "whether a range of addresses takes in pods is the network's choice",
        Box::new(pods_in_ranges),
    ));
    tests
}

fn check(row: &Expected) -> Result<()> {
    let policies = policies(row.policies)?;
    for ranges in [Ranges::OutsideOnly, Ranges::CoverPods] {
        let policies = Policies { policies: &policies, ranges };
        for (flows, expected) in [(row.allowed, true), (row.refused, false)] {
            for flow in flows {
                let (from, to, port) = parse(flow).with_context(|| format!("not a flow: {flow}"))?;
                let allowed = policies.allow(&from, &to, port);
                ensure!(allowed == expected, "{flow}: allowed is {allowed}, expected {expected}; {ranges:?}");
            }
        }
    }
    Ok(())
}

fn pods_in_ranges() -> Result<()> {
    let policies = policies(
        "{metadata: {namespace: home}, spec: {podSelector: {}, policyTypes: [Egress], \
         egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}}",
    )?;
    let (from, to, port) = parse("home/a > away/c:8080").context("not a flow")?;
    let allow = |ranges| Policies { policies: &policies, ranges }.allow(&from, &to, port);
    ensure!(allow(Ranges::CoverPods), "0.0.0.0/0 does not take in a pod's address");
    ensure!(!allow(Ranges::OutsideOnly), "0.0.0.0/0 takes in a pod's address");
    Ok(())
}

fn policies(yaml: &str) -> Result<Vec<NetworkPolicy>> {
    let documents = serde_yaml::Deserializer::from_str(yaml);
    let policies = documents.map(Option::<NetworkPolicy>::deserialize);
    Ok(policies.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// `from > to:port`, or `to:port/UDP`.
fn parse(flow: &str) -> Option<(End, End, Port)> {
    let (from, to) = flow.split_once(" > ")?;
    let (to, port) = to.split_once(':')?;
    let port = match port.split_once('/') {
        Some((number, _)) => Port::udp(number.parse().ok()?),
        None => Port::tcp(port.parse().ok()?),
    };
    Some((end(from)?, end(to)?, port))
}

fn end(name: &str) -> Option<End> {
    let outside = |last| Some(End::Address(IpAddr::from([203, 0, last, 7])));
    match name {
        "outside" => return outside(113),
        "excepted" => return outside(114),
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
    Some(End::Pod(PodEnd {
        namespace: namespace.to_owned(),
        namespace_labels: label("kubernetes.io/metadata.name", namespace),
        labels: label("app", app),
        ports: vec![port("http", http, None), port("dns", 53, Some("UDP"))],
        address: IpAddr::from([10, 244, 0, 9]),
    }))
}
