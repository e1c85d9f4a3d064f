//! Checks that the network policies allow the connections in the design and no others. For each source and destination,
//! the tests evaluate the rendered policies with the labels and ports of the rendered pods.
//!
//! A cluster enforces policies only if its network plugin supports them, so tests on a cluster might not find every
//! mistake.

pub(crate) mod evaluate;
mod expected;
pub(crate) mod semantics;

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ContainerPort, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::ensure_none;
use crate::references::container_port;
use crate::rendering::{Rendering, Workload};
use crate::value_set::render_named;
use evaluate::{IpBlocks, Labels, Peer, Pod, Policies, Port};

/// A test function.
pub(crate) type Test = Box<dyn FnOnce() -> Result<()> + Send>;

/// A port that no pod declares.
const UNDECLARED: Port = Port::tcp(9999);

/// The pods and addresses between which the tests evaluate connections, and the policies for these connections.
struct Network {
    policies: Vec<NetworkPolicy>,
    /// For each peer: its name, the pod or address, and the destination ports to try. The workloads of the release come
    /// first.
    peers: Vec<(String, Peer, Vec<Port>)>,
}

impl Network {
    fn of(rendering: &Rendering) -> Result<Self> {
        let mut policies = rendering.all::<NetworkPolicy>()?;
        for policy in &mut policies {
            policy.metadata.namespace.get_or_insert_with(|| rendering.namespace.clone());
        }
        let mut peers: Vec<(String, Peer, Vec<Port>)> = Vec::new();
        for workload in rendering.workloads()? {
            let prefix = format!("{}-", rendering.release);
            let name = workload.name.strip_prefix(&prefix).unwrap_or(&workload.name).to_owned();
            let peer = pod(&rendering.namespace, workload.labels(), declared(&workload));
            let mut ports: Vec<Port> = declared(&workload).iter().filter_map(port).collect();
            ports.push(UNDECLARED);
            peers.push((name, peer, ports));
        }
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut add =
            |name: &str, peer: Peer, ports: &[Port]| peers.push((name.to_owned(), peer, ports.to_vec()));
        // The peers outside the release.
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
        add("external-agent", pod("observability", agent, Vec::new()), &ports);
        let dns = Labels::from([label("k8s-app", "kube-dns")]);
        add("dns", pod("kube-system", dns, Vec::new()), &[Port::udp(53), Port::tcp(53), UNDECLARED]);
        let host = Peer::Address(IpAddr::from([172, 18, 0, 2]));
        add("api-server", host, &[Port::tcp(6443), Port::tcp(10250)]);
        let outside = Peer::Address(IpAddr::from([203, 0, 113, 7]));
        add("outside", outside, &[80, 443, 4317, 4318, 5432, 9200].map(Port::tcp));
        Ok(Self { policies, peers })
    }

    /// Returns the allowed connections to or from the pods of the release, as `from > to:port`.
    fn flows(&self, ip_blocks: IpBlocks, release: &BTreeSet<String>) -> BTreeSet<String> {
        let policies = Policies { policies: &self.policies, ip_blocks };
        let mut flows = BTreeSet::new();
        for (from, source, _) in &self.peers {
            for (to, destination, ports) in &self.peers {
                let of_release = release.contains(from) || release.contains(to);
                for port in ports.iter().filter(|_| of_release && from != to) {
                    if policies.allow(source, destination, *port) {
                        flows.insert(flow(from, to, *port));
                    }
                }
            }
        }
        flows
    }

    /// Returns the names of the release's workloads.
    fn release(&self, rendering: &Rendering) -> Result<BTreeSet<String>> {
        let count = rendering.workloads()?.len();
        Ok(self.peers.iter().take(count).map(|(name, ..)| name.clone()).collect())
    }
}

fn flow(from: &str, to: &str, port: Port) -> String {
    let protocol = if port.protocol == "TCP" { "" } else { "/UDP" };
    format!("{from} > {to}:{}{protocol}", port.number)
}

fn declared(workload: &Workload) -> Vec<ContainerPort> {
    workload.containers().flat_map(|container| container.ports.clone().unwrap_or_default()).collect()
}

fn port(declared: &ContainerPort) -> Option<Port> {
    let number = u16::try_from(declared.container_port).ok()?;
    Some(if declared.protocol.as_deref() == Some("UDP") { Port::udp(number) } else { Port::tcp(number) })
}

fn pod(namespace: &str, labels: Labels, ports: Vec<ContainerPort>) -> Peer {
    let name = ("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
    Peer::Pod(Pod {
        namespace: namespace.to_owned(),
        namespace_labels: Labels::from([name]),
        labels,
        ports,
        address: IpAddr::from([10, 244, 0, 9]),
    })
}

/// Returns one test for each value set in `expected.rs`.
pub(crate) fn tests() -> Vec<(&'static str, Test)> {
    let mut tests: Vec<(&'static str, Test)> = Vec::new();
    for (name, flows) in expected::FLOWS {
        tests.push((name, Box::new(move || allows_only(name, flows))));
    }
    tests
}

fn allows_only(name: &str, expected: &str) -> Result<()> {
    let rendering = render_named(name)?;
    let network = Network::of(&rendering)?;
    let release = network.release(&rendering)?;
    let expected = expected::parse(expected)?;
    for ip_blocks in [IpBlocks::IgnorePods, IpBlocks::MatchPods] {
        let allowed = network.flows(ip_blocks, &release);
        let unexpected: Vec<&String> = allowed.difference(&expected).collect();
        let denied: Vec<&String> = expected.difference(&allowed).collect();
        ensure!(
            unexpected.is_empty() && denied.is_empty(),
            "on a network with IpBlocks::{ip_blocks:?}\nallowed, but not expected: {unexpected:#?}\n\
             expected, but denied: {denied:#?}"
        );
    }
    Ok(())
}

/// If a rendering has policies, the policies isolate each pod in both directions. So they deny connections between the
/// pod and an address outside the cluster if no pod declares the destination port.
pub(crate) fn every_pod_is_isolated(rendering: &Rendering) -> Result<()> {
    let policies = rendering.all::<NetworkPolicy>()?;
    if policies.is_empty() {
        return Ok(());
    }
    let network = Network::of(rendering)?;
    let outside = Peer::Address(IpAddr::from([203, 0, 113, 7]));
    let mut problems = Vec::new();
    for (name, peer, _) in network.peers.iter().take(rendering.workloads()?.len()) {
        let policies = Policies { policies: &network.policies, ip_blocks: IpBlocks::MatchPods };
        if policies.allow(&outside, peer, UNDECLARED) {
            problems
                .push(format!("{name} accepts connections from outside the cluster to an undeclared port"));
        }
        if policies.allow(peer, &outside, UNDECLARED) {
            problems.push(format!("{name} can connect to any port outside the cluster"));
        }
    }
    ensure_none(&problems)
}

/// Between two pods of the release, a connection is either allowed on both sides or denied on both sides. If only one
/// side denied a connection, a mistake on that side would be enough to allow the connection.
///
/// The exception is a port that accepts connections from everyone: pods that do not use this port have no egress to it.
pub(crate) fn egress_and_ingress_agree(rendering: &Rendering) -> Result<()> {
    let network = Network::of(rendering)?;
    let policies = Policies { policies: &network.policies, ip_blocks: IpBlocks::MatchPods };
    let outside = Peer::Address(IpAddr::from([203, 0, 113, 7]));
    let release = &network.peers[..rendering.workloads()?.len()];
    let mut problems = Vec::new();
    for (from, source, _) in release {
        for (to, destination, ports) in release.iter().filter(|(to, ..)| to != from) {
            for port in ports {
                let egress = policies.allow_egress(source, destination, *port);
                let ingress = policies.allow_ingress(source, destination, *port);
                if egress && !ingress {
                    problems.push(format!("{}: egress is allowed, ingress is denied", flow(from, to, *port)));
                }
                if ingress && !egress && !policies.allow_ingress(&outside, destination, *port) {
                    problems.push(format!("{}: ingress is allowed, egress is denied", flow(from, to, *port)));
                }
            }
        }
    }
    ensure_none(&problems)
}

/// A pod can connect to each address in the pod's environment and arguments: the host is the name of a Service, the
/// port is one of the Service's ports, and the policies on both sides allow the connection. Addresses outside the
/// release are not checked.
pub(crate) fn configured_addresses_are_allowed(rendering: &Rendering) -> Result<()> {
    let mut problems = Vec::new();
    let mut flows = BTreeSet::new();
    let network = Network::of(rendering)?;
    let workloads = rendering.workloads()?;
    let services = rendering.all::<Service>()?;
    for (index, workload) in workloads.iter().enumerate() {
        for (host, number) in addresses(workload) {
            let (name, rest) = host.split_once('.').unwrap_or((host.as_str(), ""));
            let namespace = rest.split('.').next().unwrap_or_default();
            let is_in_other_namespace = !namespace.is_empty() && namespace != rendering.namespace;
            if is_in_other_namespace
                || rendering.existing.contains(&format!("Service/{name}"))
                || name.parse::<IpAddr>().is_ok()
            {
                continue;
            }
            if name == "localhost" {
                // A pod reaches its own containers without a policy, but one of them has to use the port.
                let ports = workload.containers().flat_map(|container| container.ports.iter().flatten());
                if !ports.map(|port| port.container_port).any(|port| port == i32::from(number)) {
                    problems.push(format!("{workload} uses {host}:{number}, but no container has this port"));
                }
                continue;
            }
            let has_name = |service: &&Service| service.metadata.name.as_deref() == Some(name);
            let Some(service) = services.iter().find(has_name) else {
                problems.push(format!("{workload} uses {host}:{number}, but there is no Service {name}"));
                continue;
            };
            let spec = service.spec.clone().unwrap_or_default();
            let port = spec.ports.iter().flatten().find(|port| port.port == i32::from(number)).cloned();
            let target = workloads.iter().enumerate().find(|(_, other)| {
                let labels = other.labels();
                spec.selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
            });
            let reached = port
                .zip(target)
                .and_then(|(port, (index, target))| Some((index, container_port(&port, target)?)));
            let Some((to, number)) = reached else {
                problems.push(format!(
                    "{workload} uses {host}:{number}, but this port of Service {name} leads to no pod"
                ));
                continue;
            };
            let [(from, source, _), (to, destination, _)] = [&network.peers[index], &network.peers[to]];
            let policies = Policies { policies: &network.policies, ip_blocks: IpBlocks::IgnorePods };
            if !policies.allow(source, destination, Port::tcp(number)) {
                problems.push(format!(
                    "{from} uses {host}, but the policies deny the connection to port {number} of {to}"
                ));
            }
            flows.insert(flow(from, to, Port::tcp(number)));
        }
    }
    ensure_none(&problems)?;
    if rendering.name == "default" {
        let expected = expected::parse(expected::CONFIGURED)?;
        ensure!(flows == expected, "the configured connections are {flows:#?}, not {expected:#?}");
    }
    Ok(())
}

/// Returns each host and port in the environment and the arguments of a pod.
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
