//! Evaluates whether `NetworkPolicy` objects of `networking.k8s.io/v1` allow a connection.
//!
//! The existing evaluator, cyclonus, is a Go program that has not changed since 2024, and most of its functions need a
//! cluster. The evaluator in this module follows the documentation of the API. `semantics.rs` has a test for each rule.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::ContainerPort;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::rendering::selects;

/// The labels of a pod or a namespace.
pub(crate) type Labels = BTreeMap<String, String>;

/// One side of a connection.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    Pod(Pod),
    /// An address that does not belong to a pod, but to a node, a control plane or a machine outside the cluster.
    Address(IpAddr),
}

/// The pod properties that policies use.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) namespace_labels: Labels,
    pub(crate) labels: Labels,
    pub(crate) ports: Vec<ContainerPort>,
    pub(crate) address: IpAddr,
}

/// The destination port of a connection.
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

/// Whether an `ipBlock` also matches pods. This depends on the network plugin: with Calico, an `ipBlock` matches pods;
/// with Cilium, it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpBlocks {
    MatchPods,
    IgnorePods,
}

/// The policies of a cluster, with the behavior of its network plugin.
#[derive(Debug)]
pub(crate) struct Policies<'a> {
    pub(crate) policies: &'a [NetworkPolicy],
    pub(crate) ip_blocks: IpBlocks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

/// An ingress or egress rule: the peers on the other side, and the ports of the destination.
struct Rule<'a> {
    peers: Option<&'a Vec<NetworkPolicyPeer>>,
    ports: Option<&'a Vec<NetworkPolicyPort>>,
}

impl Policies<'_> {
    /// Whether the policies on both sides allow a connection to a port of `to`.
    pub(crate) fn allow(&self, from: &Peer, to: &Peer, port: Port) -> bool {
        self.allow_egress(from, to, port) && self.allow_ingress(from, to, port)
    }

    /// Whether the policies on the source allow the connection.
    pub(crate) fn allow_egress(&self, from: &Peer, to: &Peer, port: Port) -> bool {
        self.allow_direction(Direction::Egress, from, to, to, port)
    }

    /// Whether the policies on the destination allow the connection.
    pub(crate) fn allow_ingress(&self, from: &Peer, to: &Peer, port: Port) -> bool {
        self.allow_direction(Direction::Ingress, to, from, to, port)
    }

    /// Whether the policies on `target` allow the connection. If no policy selects a pod for this direction, all
    /// connections of the pod in this direction are allowed. Otherwise, one policy that allows the connection is
    /// enough. Policies select only pods, so an address has no restrictions.
    fn allow_direction(
        &self,
        direction: Direction,
        target: &Peer,
        other: &Peer,
        destination: &Peer,
        port: Port,
    ) -> bool {
        let Peer::Pod(pod) = target else { return true };
        let mut isolated = false;
        for policy in self.policies.iter().filter(|policy| applies_to(policy, pod, direction)) {
            isolated = true;
            let namespace = namespace(policy);
            let allowed = rules(policy, direction).into_iter().any(|rule| {
                allows_port(rule.ports, destination, port) && self.allows_peer(rule.peers, namespace, other)
            });
            if allowed {
                return true;
            }
        }
        !isolated
    }

    /// Whether one of the peers in a rule matches the other side of the connection. A missing or empty list matches
    /// every peer.
    fn allows_peer(&self, peers: Option<&Vec<NetworkPolicyPeer>>, namespace: &str, other: &Peer) -> bool {
        match peers {
            None => true,
            Some(peers) => peers.is_empty() || peers.iter().any(|peer| self.matches(peer, namespace, other)),
        }
    }

    fn matches(&self, peer: &NetworkPolicyPeer, namespace: &str, other: &Peer) -> bool {
        match (&peer.ip_block, other) {
            (Some(block), Peer::Address(address)) => in_block(block, *address),
            (Some(block), Peer::Pod(pod)) => {
                self.ip_blocks == IpBlocks::MatchPods && in_block(block, pod.address)
            }
            (None, Peer::Address(_)) => false,
            (None, Peer::Pod(pod)) => {
                // A peer without a namespace selector matches pods in the namespace of the policy.
                let same_namespace = pod.namespace == namespace;
                let namespaces = peer.namespace_selector.as_ref();
                // The API server rejects an empty peer.
                (peer.pod_selector.is_some() || namespaces.is_some())
                    && namespaces.map_or(same_namespace, |selector| selects(selector, &pod.namespace_labels))
                    && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
            }
        }
    }
}

/// Returns the namespace of a policy. If the manifest of a policy has no namespace, `Network::of` has already set the
/// namespace of the release in the policy.
fn namespace(policy: &NetworkPolicy) -> &str {
    policy.metadata.namespace.as_deref().unwrap_or("default")
}

/// Whether a policy selects a pod for this direction.
fn applies_to(policy: &NetworkPolicy, pod: &Pod, direction: Direction) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let same_namespace = namespace(policy) == pod.namespace;
    same_namespace
        && spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
        && match (&spec.policy_types, direction) {
            (Some(types), Direction::Ingress) => types.iter().any(|one| one == "Ingress"),
            (Some(types), Direction::Egress) => types.iter().any(|one| one == "Egress"),
            // The default is Ingress, and also Egress if the policy has an egress rule.
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

/// Whether one of the ports in a rule matches the port of the connection. A missing or empty list matches every port.
fn allows_port(ports: Option<&Vec<NetworkPolicyPort>>, destination: &Peer, port: Port) -> bool {
    match ports {
        None => true,
        Some(ports) => ports.is_empty() || ports.iter().any(|one| matches_port(one, destination, port)),
    }
}

fn matches_port(rule: &NetworkPolicyPort, destination: &Peer, port: Port) -> bool {
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
        // In both directions, a name refers to a port of the destination pod.
        Some(IntOrString::String(name)) => match destination {
            Peer::Address(_) => false,
            Peer::Pod(pod) => pod.ports.iter().any(|declared| {
                declared.name.as_ref() == Some(name)
                    && declared.container_port == number
                    && declared.protocol.as_deref().unwrap_or("TCP") == port.protocol
            }),
        },
    }
}

/// Whether a block contains an address. An invalid CIDR, which the API server would reject, contains no address.
fn in_block(block: &IPBlock, address: IpAddr) -> bool {
    let contains = |range: &String| range.parse::<IpNet>().is_ok_and(|range| range.contains(&address));
    contains(&block.cidr) && !block.except.iter().flatten().any(contains)
}
