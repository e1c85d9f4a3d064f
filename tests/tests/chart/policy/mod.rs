//! The network policies let through the arrows of the design, and no others: decided from the rendered policies and the
//! labels and ports of the rendered pods, for everyone who could speak to anyone.

pub(crate) mod evaluate;
mod expected;
pub(crate) mod semantics;

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ContainerPort, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::case::{Rendering, Workload, named};
use crate::references::container_port;
use evaluate::{End, Labels, PodEnd, Policies, Port, Ranges};

/// What a test does.
pub(crate) type Test = Box<dyn FnOnce() -> Result<()> + Send>;

/// A port that no pod here declares.
const UNDECLARED: Port = Port::tcp(9999);

/// Everyone there is, with the ports at which they may be asked.
struct World {
    policies: Vec<NetworkPolicy>,
    ends: Vec<(String, End, Vec<Port>)>,
}

impl World {
    fn of(rendering: &Rendering) -> Result<Self> {
        let mut policies = rendering.all::<NetworkPolicy>()?;
        for policy in &mut policies {
            policy.metadata.namespace.get_or_insert_with(|| rendering.namespace.clone());
        }
        let mut ends: Vec<(String, End, Vec<Port>)> = Vec::new();
        for workload in rendering.workloads()? {
            let prefix = format!("{}-", rendering.release);
            let name = workload.name.strip_prefix(&prefix).unwrap_or(&workload.name).to_owned();
            let end = pod(&rendering.namespace, labels(&workload), declared(&workload));
            let mut ports: Vec<Port> = declared(&workload).iter().filter_map(port).collect();
            ports.push(UNDECLARED);
            ends.push((name, end, ports));
        }
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut add =
            |name: &str, end: End, ports: &[Port]| ends.push((name.to_owned(), end, ports.to_vec()));
        // Those who are not ours.
        let ports = [Port::tcp(443), Port::tcp(4317), UNDECLARED];
        for (name, namespace) in expected::PODS {
            let namespace = if namespace.is_empty() { &rendering.namespace } else { namespace };
            let labels = Labels::from([label("app.kubernetes.io/name", name)]);
            add(name, pod(namespace, labels, Vec::new()), &ports);
        }
        let agent = Labels::from([
            label("app.kubernetes.io/component", "agent"),
            label("app.kubernetes.io/part-of", "sightline"),
        ]);
        add("far-agent", pod("observability", agent, Vec::new()), &ports);
        let dns = Labels::from([label("k8s-app", "kube-dns")]);
        add("dns", pod("kube-system", dns, Vec::new()), &[Port::udp(53), Port::tcp(53), UNDECLARED]);
        let host = End::Address(IpAddr::from([172, 18, 0, 2]));
        add("api-server", host, &[Port::tcp(6443), Port::tcp(10250)]);
        let outside = End::Address(IpAddr::from([203, 0, 113, 7]));
        add("outside", outside, &[80, 443, 4317, 4318, 5432, 9200].map(Port::tcp));
        Ok(Self { policies, ends })
    }

    /// Everything that is let through where one of ours is at an end, as `from > to:port`.
    fn flows(&self, ranges: Ranges, ours: &BTreeSet<String>) -> BTreeSet<String> {
        let policies = Policies { policies: &self.policies, ranges };
        let mut flows = BTreeSet::new();
        for (from, source, _) in &self.ends {
            for (to, target, ports) in &self.ends {
                let about_us = ours.contains(from) || ours.contains(to);
                for port in ports.iter().filter(|_| about_us && from != to) {
                    if policies.allow(source, target, *port) {
                        flows.insert(flow(from, to, *port));
                    }
                }
            }
        }
        flows
    }

    fn ours(&self, rendering: &Rendering) -> Result<BTreeSet<String>> {
        let count = rendering.workloads()?.len();
        Ok(self.ends.iter().take(count).map(|(name, ..)| name.clone()).collect())
    }
}

fn flow(from: &str, to: &str, port: Port) -> String {
    let protocol = if port.protocol == "TCP" { "" } else { "/UDP" };
    format!("{from} > {to}:{}{protocol}", port.number)
}

fn labels(workload: &Workload) -> Labels {
    workload.metadata.labels.clone().unwrap_or_default()
}

fn declared(workload: &Workload) -> Vec<ContainerPort> {
    workload.containers().flat_map(|container| container.ports.clone().unwrap_or_default()).collect()
}

fn port(declared: &ContainerPort) -> Option<Port> {
    let number = u16::try_from(declared.container_port).ok()?;
    Some(if declared.protocol.as_deref() == Some("UDP") { Port::udp(number) } else { Port::tcp(number) })
}

fn pod(namespace: &str, labels: Labels, ports: Vec<ContainerPort>) -> End {
    let name = ("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
    End::Pod(PodEnd {
        namespace: namespace.to_owned(),
        namespace_labels: Labels::from([name]),
        labels,
        ports,
        address: IpAddr::from([10, 244, 0, 9]),
    })
}

/// One test for each set of values that `expected.rs` has a list for.
pub(crate) fn tests() -> Vec<(&'static str, Test)> {
    let mut tests: Vec<(&'static str, Test)> = Vec::new();
    for (name, flows) in expected::FLOWS {
        tests.push((name, Box::new(move || only_these(name, flows))));
    }
    tests
}

fn only_these(name: &str, expected: &str) -> Result<()> {
    let rendering = named(name)?;
    let world = World::of(&rendering)?;
    let ours = world.ours(&rendering)?;
    let expected = expected::parse(expected)?;
    for ranges in [Ranges::OutsideOnly, Ranges::CoverPods] {
        let allowed = world.flows(ranges, &ours);
        let more: Vec<&String> = allowed.difference(&expected).collect();
        let fewer: Vec<&String> = expected.difference(&allowed).collect();
        ensure!(
            more.is_empty() && fewer.is_empty(),
            "on a network where ranges of addresses {ranges:?}\nallowed, and no arrow of the design: {more:#?}\n\
             an arrow of the design, and refused: {fewer:#?}"
        );
    }
    Ok(())
}

/// Every pod that has policies on it has them in both directions.
pub(crate) fn every_pod_is_closed(rendering: &Rendering) -> Result<()> {
    let policies = rendering.all::<NetworkPolicy>()?;
    if policies.is_empty() {
        return Ok(());
    }
    let world = World::of(rendering)?;
    let nowhere = End::Address(IpAddr::from([203, 0, 113, 7]));
    let mut wrong = Vec::new();
    for (name, end, _) in world.ends.iter().take(rendering.workloads()?.len()) {
        let policies = Policies { policies: &world.policies, ranges: Ranges::CoverPods };
        if policies.allow(&nowhere, end, UNDECLARED) {
            wrong.push(format!("{name} lets in what asks a port it does not have"));
        }
        if policies.allow(end, &nowhere, UNDECLARED) {
            wrong.push(format!("{name} may speak to everyone outside"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Between two of ours, both ends say the same: what one alone holds back, a mistake at the other would let through. Only
/// who is open to everyone lets in more than is sent.
pub(crate) fn both_ends_agree(rendering: &Rendering) -> Result<()> {
    let world = World::of(rendering)?;
    let policies = Policies { policies: &world.policies, ranges: Ranges::CoverPods };
    let nobody = End::Address(IpAddr::from([203, 0, 113, 7]));
    let ours = &world.ends[..rendering.workloads()?.len()];
    let mut wrong = Vec::new();
    for (from, source, _) in ours {
        for (to, target, ports) in ours.iter().filter(|(to, ..)| to != from) {
            for port in ports {
                let (out, into) =
                    (policies.let_out(source, target, *port), policies.let_in(source, target, *port));
                if out && !into {
                    wrong.push(format!("{}: the one lets it out, the other not in", flow(from, to, *port)));
                }
                if into && !out && !policies.let_in(&nobody, target, *port) {
                    wrong.push(format!("{}: the one lets it in, the other not out", flow(from, to, *port)));
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Whom a pod is told to speak to, it can: the name is that of a Service, the port one of its ports, and policies on both
/// sides let it through.
pub(crate) fn what_is_configured_is_allowed(rendering: &Rendering) -> Result<()> {
    let mut wrong = Vec::new();
    let mut arrows = BTreeSet::new();
    let world = World::of(rendering)?;
    let workloads = rendering.workloads()?;
    let services = rendering.all::<Service>()?;
    for (index, workload) in workloads.iter().enumerate() {
        for (host, number) in addresses(workload) {
            let (name, rest) = host.split_once('.').unwrap_or((host.as_str(), ""));
            let namespace = rest.split('.').next().unwrap_or_default();
            let elsewhere = !namespace.is_empty() && namespace != rendering.namespace;
            let of_ours = |service: &&Service| service.metadata.name.as_deref() == Some(name);
            if elsewhere
                || rendering.given.contains(&format!("Service/{name}"))
                || name.parse::<IpAddr>().is_ok()
            {
                continue;
            }
            let Some(service) = services.iter().find(of_ours) else {
                wrong.push(format!("{workload} is told {host}:{number}, and there is no Service {name}"));
                continue;
            };
            let spec = service.spec.clone().unwrap_or_default();
            let asked = spec.ports.iter().flatten().find(|port| port.port == i32::from(number)).cloned();
            let target = workloads.iter().enumerate().find(|(_, other)| {
                let labels = labels(other);
                spec.selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
            });
            let reached = asked
                .zip(target)
                .and_then(|(port, (index, target))| Some((index, container_port(&port, target)?)));
            let Some((to, number)) = reached else {
                wrong
                    .push(format!("{workload} is told {host}:{number}, and Service {name} has no such port"));
                continue;
            };
            let [(from, source, _), (to, target, _)] = [&world.ends[index], &world.ends[to]];
            let policies = Policies { policies: &world.policies, ranges: Ranges::OutsideOnly };
            if !policies.allow(source, target, Port::tcp(number)) {
                wrong.push(format!("{from} is told {host}:{number}, and policies refuse it at {to}"));
            }
            arrows.insert(flow(from, to, Port::tcp(number)));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    if rendering.name == "default" {
        let expected = expected::parse(expected::TOLD)?;
        ensure!(arrows == expected, "pods are told to speak along {arrows:#?}, not {expected:#?}");
    }
    Ok(())
}

/// Each host:port in the environment and the arguments of a pod.
fn addresses(workload: &Workload) -> Vec<(String, u16)> {
    let mut addresses = Vec::new();
    for container in workload.containers() {
        let values = container.env.iter().flatten().filter_map(|variable| variable.value.as_deref());
        let arguments = container.args.iter().flatten().map(String::as_str);
        for word in values.chain(arguments).flat_map(|text| text.split([',', ' ', '=', '"', '[', ']'])) {
            let word = word.split_once("://").map_or(word, |(_, rest)| rest);
            let word = word.split('/').next().unwrap_or_default();
            if let Some((host, port)) = word.rsplit_once(':')
                && !host.is_empty()
                && let Ok(port) = port.parse()
            {
                addresses.push((host.to_owned(), port));
            }
        }
    }
    addresses
}
