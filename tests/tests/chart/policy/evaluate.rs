//! Who may speak to whom: the semantics of `NetworkPolicy` of `networking.k8s.io/v1`.
//!
//! Written here because what there is (cyclonus) is a Go program unchanged since 2024 that wants a cluster for most of
//! what it does. The rules are those of the API's own documentation; `semantics.rs` has one test for each.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::ContainerPort;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::case::selects;

/// Labels of a pod or a namespace.
pub(crate) type Labels = BTreeMap<String, String>;

/// An end of a connection.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Pod(PodEnd),
    /// What is no pod: a host, a control plane, a machine outside.
    Address(IpAddr),
}

/// A pod, as policies see it.
#[derive(Debug, Clone)]
pub(crate) struct PodEnd {
    pub(crate) namespace: String,
    pub(crate) namespace_labels: Labels,
    pub(crate) labels: Labels,
    pub(crate) ports: Vec<ContainerPort>,
    pub(crate) address: IpAddr,
}

/// What a connection goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub(crate) protocol: &'static str,
    pub(crate) number: u16,
}

impl Port {
    pub(crate) const fn tcp(number: u16) -> Self {
        Self { protocol: "TCP", number }
    }

    pub(crate) const fn udp(number: u16) -> Self {
        Self { protocol: "UDP", number }
    }
}

/// Whether a range of addresses takes in pods too. The API leaves that to the network: Calico says yes, Cilium no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ranges {
    CoverPods,
    OutsideOnly,
}

/// The policies of a cluster, on one kind of network.
#[derive(Debug)]
pub(crate) struct Policies<'a> {
    pub(crate) policies: &'a [NetworkPolicy],
    pub(crate) ranges: Ranges,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

/// A rule of either direction: who is at the other end, and the ports of the end that listens.
struct Rule<'a> {
    peers: Option<&'a Vec<NetworkPolicyPeer>>,
    ports: Option<&'a Vec<NetworkPolicyPort>>,
}

impl Policies<'_> {
    /// Whether a connection from one end to a port of the other is let through, at both of its ends.
    pub(crate) fn allow(&self, from: &End, to: &End, port: Port) -> bool {
        self.let_out(from, to, port) && self.let_in(from, to, port)
    }

    /// What the policies on the one who asks say of it.
    pub(crate) fn let_out(&self, from: &End, to: &End, port: Port) -> bool {
        self.side(Direction::Egress, from, to, to, port)
    }

    /// What the policies on the one who is asked say of it.
    pub(crate) fn let_in(&self, from: &End, to: &End, port: Port) -> bool {
        self.side(Direction::Ingress, to, from, to, port)
    }

    /// What the policies on one end say. A pod that none selects in this direction is free; of a pod that some do,
    /// what any of them allows is allowed. Policies are on pods only.
    fn side(&self, direction: Direction, end: &End, peer: &End, server: &End, port: Port) -> bool {
        let End::Pod(pod) = end else { return true };
        let mut isolated = false;
        for policy in self.policies.iter().filter(|policy| concerns(policy, pod, direction)) {
            isolated = true;
            let namespace = namespace(policy);
            let allowed = rules(policy, direction).into_iter().any(|rule| {
                allows_port(rule.ports, server, port) && self.allows_peer(rule.peers, namespace, peer)
            });
            if allowed {
                return true;
            }
        }
        !isolated
    }

    /// No list, or an empty one, is everyone.
    fn allows_peer(&self, peers: Option<&Vec<NetworkPolicyPeer>>, namespace: &str, end: &End) -> bool {
        match peers {
            None => true,
            Some(peers) => peers.is_empty() || peers.iter().any(|peer| self.is_peer(peer, namespace, end)),
        }
    }

    fn is_peer(&self, peer: &NetworkPolicyPeer, namespace: &str, end: &End) -> bool {
        match (&peer.ip_block, end) {
            (Some(block), End::Address(address)) => in_block(block, *address),
            (Some(block), End::Pod(pod)) => self.ranges == Ranges::CoverPods && in_block(block, pod.address),
            (None, End::Address(_)) => false,
            (None, End::Pod(pod)) => {
                // Without a selector of namespaces it is about the policy's own.
                let at_home = pod.namespace == namespace;
                let namespaces = peer.namespace_selector.as_ref();
                // A peer that says nothing is refused by the API server.
                (peer.pod_selector.is_some() || namespaces.is_some())
                    && namespaces.map_or(at_home, |selector| selects(selector, &pod.namespace_labels))
                    && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
            }
        }
    }
}

/// A manifest without a namespace goes to the release's, which whoever reads the policies has written into them.
fn namespace(policy: &NetworkPolicy) -> &str {
    policy.metadata.namespace.as_deref().unwrap_or("default")
}

fn concerns(policy: &NetworkPolicy, pod: &PodEnd, direction: Direction) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let here = namespace(policy) == pod.namespace;
    here && spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
        && match (&spec.policy_types, direction) {
            (Some(types), Direction::Ingress) => types.iter().any(|one| one == "Ingress"),
            (Some(types), Direction::Egress) => types.iter().any(|one| one == "Egress"),
            // By default a policy is about what comes in, and about what goes out if it has a rule for it.
            (None, Direction::Ingress) => true,
            (None, Direction::Egress) => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
        }
}

fn rules(policy: &NetworkPolicy, direction: Direction) -> Vec<Rule<'_>> {
    let Some(spec) = &policy.spec else { return Vec::new() };
    match direction {
        Direction::Ingress => {
            let rules = spec.ingress.iter().flatten();
            rules.map(|rule| Rule { peers: rule.from.as_ref(), ports: rule.ports.as_ref() }).collect()
        }
        Direction::Egress => {
            let rules = spec.egress.iter().flatten();
            rules.map(|rule| Rule { peers: rule.to.as_ref(), ports: rule.ports.as_ref() }).collect()
        }
    }
}

/// No list, or an empty one, is every port.
fn allows_port(ports: Option<&Vec<NetworkPolicyPort>>, server: &End, port: Port) -> bool {
    match ports {
        None => true,
        Some(ports) => ports.is_empty() || ports.iter().any(|one| is_port(one, server, port)),
    }
}

fn is_port(rule: &NetworkPolicyPort, server: &End, port: Port) -> bool {
    if rule.protocol.as_deref().unwrap_or("TCP") != port.protocol {
        return false;
    }
    let number = i32::from(port.number);
    match &rule.port {
        None => true,
        Some(IntOrString::Int(first)) => match rule.end_port {
            Some(last) => (*first..=last).contains(&number),
            None => *first == number,
        },
        // A name is that of a port of the pod that listens, in both directions.
        Some(IntOrString::String(name)) => match server {
            End::Address(_) => false,
            End::Pod(pod) => pod.ports.iter().any(|declared| {
                declared.name.as_ref() == Some(name)
                    && declared.container_port == number
                    && declared.protocol.as_deref().unwrap_or("TCP") == port.protocol
            }),
        },
    }
}

/// A range that cannot be read takes in nothing; the API server refuses it.
fn in_block(block: &IPBlock, address: IpAddr) -> bool {
    let contains = |range: &String| range.parse::<IpNet>().is_ok_and(|range| range.contains(&address));
    contains(&block.cidr) && !block.except.iter().flatten().any(contains)
}
