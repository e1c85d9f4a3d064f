//! The detector of the `host.*` attributes that [`super::contrib`] does not detect.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/resource/host/>.

use std::fs;
use std::net::IpAddr;

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_semantic_conventions::attribute;

pub(super) fn detect() -> Vec<KeyValue> {
    let (ips, macs) = addresses();
    [
        host_name().map(|name| KeyValue::new(attribute::HOST_NAME, name)),
        host_type().map(|kind| KeyValue::new(attribute::HOST_TYPE, kind)),
        strings(attribute::HOST_IP, ips),
        strings(attribute::HOST_MAC, macs),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The host name that the kernel reports. In most pods, it is the pod's name. The semantic conventions permit either
/// the pod's or the node's name, and other SDKs also use the pod's name. The node's name is in `k8s.node.name`.
///
/// All `host.*` attributes describe the host as this process sees it, so they belong to the same host.
pub(super) fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    name.nodename().to_str().ok().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The machine type of the cloud provider, such as `m5.large`, if the firmware reports it.
fn host_type() -> Option<String> {
    let vendor = read_trimmed("/sys/class/dmi/id/sys_vendor")?;
    let product = read_trimmed("/sys/class/dmi/id/product_name")?;
    // Only these vendors report a machine type as the product name. Others report the name of a hardware model.
    ["Amazon EC2", "Alibaba Cloud", "OpenStack Foundation"].contains(&vendor.as_str()).then_some(product)
}

/// Reads a file and trims its text. Returns `None` if the file is missing or empty.
fn read_trimmed(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The network interfaces with their addresses, without loopback and link-local addresses.
fn usable_interfaces() -> impl Iterator<Item = if_addrs::Interface> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().filter(|interface| !interface.is_loopback() && !is_link_local(interface.ip()))
}

/// The IP addresses at which other hosts can reach this host or pod.
pub(super) fn ip_addresses() -> Vec<IpAddr> {
    usable_interfaces().map(|interface| interface.ip()).collect()
}

fn addresses() -> (Vec<String>, Vec<String>) {
    let mut ips = Vec::new();
    let mut macs = Vec::new();
    for interface in usable_interfaces() {
        push_new(&mut ips, interface.ip().to_string());
        if let Some(mac) = read_trimmed(&format!("/sys/class/net/{}/address", interface.name)) {
            // The semantic conventions require the IEEE RA format, for example AC-DE-48-23-45-67.
            push_new(&mut macs, mac.replace(':', "-").to_ascii_uppercase());
        }
    }
    (ips, macs)
}

fn push_new(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn strings(key: &'static str, values: Vec<String>) -> Option<KeyValue> {
    let values: Vec<StringValue> = values.into_iter().map(StringValue::from).collect();
    (!values.is_empty()).then(|| KeyValue::new(key, Value::Array(Array::String(values))))
}
