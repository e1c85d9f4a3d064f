//! What must be true of every pod, whatever the values.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Container, PodSpec, Probe, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::case::{Rendering, Workload};

/// Runs a check on every workload, and fails with all that it found.
pub(crate) fn each(rendering: &Rendering, check: fn(&Workload) -> Vec<String>) -> Result<()> {
    let mut wrong = Vec::new();
    for workload in rendering.workloads()? {
        wrong.extend(check(&workload).into_iter().map(|what| format!("{workload}: {what}")));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The Pod Security Standard `restricted`, as of Kubernetes 1.34, and a root file system that is read-only.
pub(crate) fn restricted(workload: &Workload) -> Vec<String> {
    let spec = &workload.spec;
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let shared = [spec.host_network, spec.host_pid, spec.host_ipc];
    check(!shared.contains(&Some(true)), "a namespace of the host is shared");
    for volume in spec.volumes.iter().flatten() {
        let name = &volume.name;
        check(volume_allowed(volume), &format!("volume {name} is of a kind that restricted forbids"));
    }
    let pod = spec.security_context.clone().unwrap_or_default();
    check(pod.sysctls.is_none_or(|sysctls| sysctls.is_empty()), "sysctls are set");
    for container in workload.containers() {
        let name = &container.name;
        let own = container.security_context.clone().unwrap_or_default();
        let mut check = |holds: bool, what: &str| check(holds, &format!("{name}: {what}"));
        check(own.run_as_non_root.or(pod.run_as_non_root) == Some(true), "runAsNonRoot is not true");
        let user = own.run_as_user.or(pod.run_as_user);
        check(user.is_some_and(|user| user > 0), "runAsUser is not a number above 0");
        check(own.privileged != Some(true), "privileged");
        check(own.allow_privilege_escalation == Some(false), "allowPrivilegeEscalation is not false");
        check(own.read_only_root_filesystem == Some(true), "readOnlyRootFilesystem is not true");
        let capabilities = own.capabilities.unwrap_or_default();
        check(capabilities.drop.is_some_and(|drop| drop == ["ALL"]), "capabilities.drop is not [ALL]");
        check(capabilities.add.is_none_or(|add| add.is_empty()), "capabilities are added");
        let seccomp = own.seccomp_profile.or_else(|| pod.seccomp_profile.clone());
        let seccomp = seccomp.map(|profile| profile.type_).unwrap_or_default();
        check(["RuntimeDefault", "Localhost"].contains(&seccomp.as_str()), "no seccomp profile");
        let ports = container.ports.iter().flatten();
        check(ports.clone().all(|port| port.host_port.is_none_or(|port| port == 0)), "a port of the host");
        for (_, probe) in probes(container) {
            let hosts = [
                probe.http_get.as_ref().and_then(|get| get.host.as_ref()),
                probe.tcp_socket.as_ref().and_then(|socket| socket.host.as_ref()),
            ];
            check(hosts.iter().all(Option::is_none), "a probe of another host");
        }
    }
    wrong
}

fn volume_allowed(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.csi.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.ephemeral.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.projected.is_some()
        || volume.secret.is_some()
}

fn probes(container: &Container) -> impl Iterator<Item = (&'static str, &Probe)> {
    let probes = [
        ("startupProbe", &container.startup_probe),
        ("readinessProbe", &container.readiness_probe),
        ("livenessProbe", &container.liveness_probe),
    ];
    probes.into_iter().filter_map(|(name, probe)| probe.as_ref().map(|probe| (name, probe)))
}

/// Requests, a limit of memory, and for Go programs the collector's target of 80 % of it.
pub(crate) fn resources(workload: &Workload) -> Vec<String> {
    let mut wrong = Vec::new();
    for container in workload.containers() {
        let name = &container.name;
        let resources = container.resources.clone().unwrap_or_default();
        let (requests, limits) =
            (resources.requests.unwrap_or_default(), resources.limits.unwrap_or_default());
        for (list, what, key) in
            [(&requests, "requests", "cpu"), (&requests, "requests", "memory"), (&limits, "limits", "memory")]
        {
            if !list.contains_key(key) {
                wrong.push(format!("{name}: no {what}.{key}"));
            }
        }
        let limit = limits.get("memory").and_then(|Quantity(text)| bytes(text));
        let asked = requests.get("memory").and_then(|Quantity(text)| bytes(text));
        if let (Some(limit), Some(asked)) = (limit, asked)
            && asked > limit
        {
            wrong.push(format!("{name}: asks for more memory than its limit"));
        }
        if is_go(container) {
            let said = env(container, "GOMEMLIMIT");
            let share = said.and_then(bytes).zip(limit).map(|(target, limit)| target / limit);
            if !share.is_some_and(|share| (0.79..=0.8).contains(&share)) {
                wrong.push(format!("{name}: GOMEMLIMIT is {said:?}, which is not 80 % of {limits:?}"));
            }
        }
    }
    wrong
}

/// The Collector and Jaeger; the services and our own program are in Rust.
fn is_go(container: &Container) -> bool {
    let image = container.image.as_deref().unwrap_or_default();
    image.contains("otelcol") || image.contains("jaeger")
}

/// The literal value of a variable.
pub(crate) fn env<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.env.iter().flatten().find(|variable| variable.name == name)?.value.as_deref()
}

/// A quantity of Kubernetes (`256Mi`, `1G`), or of Go (`204MiB`), in bytes.
fn bytes(text: &str) -> Option<f64> {
    let split = text.find(|character: char| character.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim_end_matches('B') {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// A kubelet swaps a link when a `Secret` or a `ConfigMap` changes, which a mount of one file in it never sees.
pub(crate) fn mounts(workload: &Workload) -> Vec<String> {
    let spec = &workload.spec;
    let volumes: BTreeSet<&String> = spec.volumes.iter().flatten().map(|volume| &volume.name).collect();
    let mut wrong = Vec::new();
    for container in workload.containers() {
        let mut paths = BTreeSet::new();
        for mount in container.volume_mounts.iter().flatten() {
            let what = format!("{}: mount {}", container.name, mount.mount_path);
            if mount.sub_path.is_some() || mount.sub_path_expr.is_some() {
                wrong.push(format!("{what} is of a subPath"));
            }
            // A StatefulSet's claims are volumes too, which references.rs follows.
            if !volumes.contains(&mount.name) && workload.kind != "StatefulSet" {
                wrong.push(format!("{what} is of no volume: {}", mount.name));
            }
            if !paths.insert(&mount.mount_path) {
                wrong.push(format!("{what} is there twice"));
            }
            let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mount.name);
            let held = volume.is_some_and(|volume| volume.secret.is_some() || volume.config_map.is_some());
            if held && mount.read_only != Some(true) {
                wrong.push(format!("{what} is not readOnly"));
            }
        }
    }
    wrong
}

/// Ports have names of their own, and probes ask one of them.
pub(crate) fn ports(workload: &Workload) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for container in workload.containers() {
        for port in container.ports.iter().flatten() {
            let name = port.name.clone().unwrap_or_default();
            let fits = (1..=15).contains(&name.len());
            if !fits || !names.insert(name.clone()) {
                wrong.push(format!(
                    "{}: port name {name:?} is missing, twice or over 15 long",
                    container.name
                ));
            }
            if !numbers.insert((port.container_port, port.protocol.clone())) {
                wrong.push(format!("{}: port {} is there twice", container.name, port.container_port));
            }
        }
    }
    for container in workload.containers() {
        for (which, probe) in probes(container) {
            let asked = probe.http_get.as_ref().map(|get| &get.port);
            let asked = asked.or(probe.tcp_socket.as_ref().map(|socket| &socket.port));
            let declared = container.ports.iter().flatten().any(|port| match asked {
                Some(IntOrString::String(name)) => port.name.as_ref() == Some(name),
                Some(IntOrString::Int(number)) => port.container_port == *number,
                None => true,
            });
            if !declared {
                wrong.push(format!("{}: {which} asks port {asked:?}, which is not declared", container.name));
            }
        }
    }
    wrong
}

/// What runs for long says when it is ready and alive, and is given the time to stop.
pub(crate) fn lifecycle(workload: &Workload) -> Vec<String> {
    let mut wrong = Vec::new();
    let grace = workload.spec.termination_grace_period_seconds;
    if workload.selector.is_none() {
        if workload.spec.restart_policy.as_deref().is_none_or(|policy| policy == "Always") {
            wrong.push("restartPolicy Always on what should end".to_owned());
        }
        return wrong;
    }
    if grace.is_none_or(|grace| grace < 30) {
        wrong.push(format!("terminationGracePeriodSeconds is {grace:?}, under 30"));
    }
    for container in &workload.spec.containers {
        let have: Vec<&str> = probes(container).map(|(name, _)| name).collect();
        for which in ["readinessProbe", "livenessProbe"] {
            if !have.contains(&which) {
                wrong.push(format!("{}: no {which}", container.name));
            }
        }
        let stop = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        let sleep = stop.and_then(|stop| stop.sleep.as_ref()).map_or(0, |sleep| sleep.seconds);
        // A service drains for up to ten seconds after it was told to stop.
        if grace.is_some_and(|grace| sleep + 10 >= grace) {
            wrong.push(format!("{}: preStop takes {sleep} s of the grace period", container.name));
        }
        if stop.is_some_and(|stop| stop.exec.is_some()) {
            wrong.push(format!("{}: preStop runs a command, and images have none", container.name));
        }
    }
    wrong
}

/// `$(NAME)` in a value is replaced only by a variable that stands before it; otherwise it stays as it is, in silence.
pub(crate) fn environment(workload: &Workload) -> Vec<String> {
    let mut wrong = Vec::new();
    for container in workload.containers() {
        let mut before = BTreeSet::new();
        for variable in container.env.iter().flatten() {
            let value = variable.value.as_deref().unwrap_or_default();
            for name in value.split("$(").skip(1).filter_map(|rest| rest.split(')').next()) {
                if !before.contains(name) {
                    wrong.push(format!(
                        "{}: {} uses $({name}), not set before",
                        container.name, variable.name
                    ));
                }
            }
            if !before.insert(variable.name.as_str()) {
                wrong.push(format!("{}: {} is set twice", container.name, variable.name));
            }
        }
        for argument in container.args.iter().flatten().chain(container.command.iter().flatten()) {
            for name in argument.split("$(").skip(1).filter_map(|rest| rest.split(')').next()) {
                if !before.contains(name) {
                    wrong.push(format!("{}: argument {argument} uses $({name}), not set", container.name));
                }
            }
        }
    }
    wrong
}

/// Only what speaks to the API server carries a token for it.
pub(crate) fn tokens(rendering: &Rendering) -> Result<()> {
    let bound: BTreeSet<String> = ["RoleBinding", "ClusterRoleBinding"]
        .into_iter()
        .flat_map(|kind| rendering.raw(kind))
        .flat_map(|binding| binding.value["subjects"].as_array().into_iter().flatten())
        .filter_map(|subject| subject["name"].as_str().map(str::to_owned))
        .collect();
    let mut wrong = Vec::new();
    for workload in rendering.workloads()? {
        let account = workload.spec.service_account_name.clone().unwrap_or_default();
        let token = token(rendering, &workload.spec, &account);
        let labels = workload.metadata.labels.clone().unwrap_or_default();
        // An agent does not start without one, whatever it may do with it.
        let agent = labels.get("app.kubernetes.io/component").is_some_and(|component| component == "agent");
        if token != (bound.contains(&account) || agent) {
            let may = if bound.contains(&account) { "is given rights" } else { "has no rights" };
            wrong.push(format!("{workload}: its account {account:?} {may}, and a token is mounted: {token}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn token(rendering: &Rendering, spec: &PodSpec, account: &str) -> bool {
    let of_account = || {
        let account = rendering.find("ServiceAccount", account)?;
        account.value.get("automountServiceAccountToken").and_then(Value::as_bool)
    };
    spec.automount_service_account_token.or_else(of_account).unwrap_or(true)
}
