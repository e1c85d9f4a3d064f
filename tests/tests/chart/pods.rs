//! Checks of every pod in a rendering.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Container, PodSpec, Probe, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use crate::ensure_none;
use crate::rendering::{Rendering, Workload};
use crate::value_set;

/// Runs a check on every workload. Fails if the check finds problems, and reports all problems.
pub(crate) fn check_each(rendering: &Rendering, check: fn(&Workload) -> Vec<String>) -> Result<()> {
    let mut problems = Vec::new();
    for workload in rendering.workloads()? {
        problems.extend(check(&workload).into_iter().map(|problem| format!("{workload}: {problem}")));
    }
    ensure_none(&problems)
}

/// Checks that a pod meets the Pod Security Standard `restricted` of Kubernetes 1.34, and that its root file system is
/// read-only.
pub(crate) fn restricted(workload: &Workload) -> Vec<String> {
    let spec = &workload.spec;
    let mut problems = Vec::new();
    let mut check = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    let shared = [spec.host_network, spec.host_pid, spec.host_ipc];
    check(!shared.contains(&Some(true)), "it uses a host namespace");
    for volume in spec.volumes.iter().flatten() {
        let name = &volume.name;
        check(volume_allowed(volume), &format!("the standard forbids the type of the volume {name}"));
    }
    let pod = spec.security_context.clone().unwrap_or_default();
    check(pod.sysctls.is_none_or(|sysctls| sysctls.is_empty()), "sysctls are set");
    for container in workload.containers() {
        let name = &container.name;
        let own = container.security_context.clone().unwrap_or_default();
        let mut check = |holds: bool, problem: &str| check(holds, &format!("{name}: {problem}"));
        check(own.run_as_non_root.or(pod.run_as_non_root) == Some(true), "runAsNonRoot is not true");
        let user = own.run_as_user.or(pod.run_as_user);
        // Without a number, the cluster chooses one, and runAsNonRoot applies to it.
        check(user.is_none_or(|user| user > 0), "runAsUser is 0");
        check(own.privileged != Some(true), "it is privileged");
        check(own.allow_privilege_escalation == Some(false), "allowPrivilegeEscalation is not false");
        check(own.read_only_root_filesystem == Some(true), "readOnlyRootFilesystem is not true");
        let capabilities = own.capabilities.unwrap_or_default();
        check(capabilities.drop.is_some_and(|drop| drop == ["ALL"]), "capabilities.drop is not [ALL]");
        check(capabilities.add.is_none_or(|add| add.is_empty()), "capabilities are added");
        let seccomp = own.seccomp_profile.or_else(|| pod.seccomp_profile.clone());
        let seccomp = seccomp.map(|profile| profile.type_).unwrap_or_default();
        check(
            ["RuntimeDefault", "Localhost"].contains(&seccomp.as_str()),
            "seccompProfile is neither RuntimeDefault nor Localhost",
        );
        let ports = container.ports.iter().flatten();
        check(ports.clone().all(|port| port.host_port.is_none_or(|port| port == 0)), "hostPort is set");
        for (_, probe) in probes(container) {
            let hosts = [
                probe.http_get.as_ref().and_then(|get| get.host.as_ref()),
                probe.tcp_socket.as_ref().and_then(|socket| socket.host.as_ref()),
            ];
            check(hosts.iter().all(Option::is_none), "a probe sets host");
        }
    }
    problems
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

pub(crate) fn probes(container: &Container) -> impl Iterator<Item = (&'static str, &Probe)> {
    let probes = [
        ("startupProbe", &container.startup_probe),
        ("readinessProbe", &container.readiness_probe),
        ("livenessProbe", &container.liveness_probe),
    ];
    probes.into_iter().filter_map(|(name, probe)| probe.as_ref().map(|probe| (name, probe)))
}

/// Checks that each container sets resource requests and a memory limit. A container with a Go program also sets
/// `GOMEMLIMIT`, the memory target of Go's garbage collector, to 80 % of the memory limit.
pub(crate) fn resources(workload: &Workload) -> Vec<String> {
    let mut problems = Vec::new();
    for container in workload.containers() {
        let name = &container.name;
        let resources = container.resources.clone().unwrap_or_default();
        let (requests, limits) =
            (resources.requests.unwrap_or_default(), resources.limits.unwrap_or_default());
        for (list, field, key) in
            [(&requests, "requests", "cpu"), (&requests, "requests", "memory"), (&limits, "limits", "memory")]
        {
            if !list.contains_key(key) {
                problems.push(format!("{name}: resources.{field}.{key} is not set"));
            }
        }
        let limit = limits.get("memory").and_then(|Quantity(text)| bytes(text));
        let request = requests.get("memory").and_then(|Quantity(text)| bytes(text));
        if let (Some(limit), Some(request)) = (limit, request)
            && request > limit
        {
            problems.push(format!("{name}: requests.memory is above limits.memory"));
        }
        if is_go(container) {
            let target = env(container, "GOMEMLIMIT");
            let share = target.and_then(bytes).zip(limit).map(|(target, limit)| target / limit);
            if !share.is_some_and(|share| (0.79..=0.8).contains(&share)) {
                problems.push(format!("{name}: GOMEMLIMIT is {target:?}, not 80 % of {limits:?}"));
            }
        }
    }
    problems
}

/// Whether the container runs a program of the pipeline: the Collector, Jaeger, a store or vmauth. They are Go programs.
/// All other containers run Rust programs.
fn is_go(container: &Container) -> bool {
    let image = container.image.as_deref().unwrap_or_default();
    ["otelcol", "jaeger", "victoriametrics/"].iter().any(|name| image.contains(name))
}

/// Returns the literal value of an environment variable.
pub(crate) fn env<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.env.iter().flatten().find(|variable| variable.name == name)?.value.as_deref()
}

/// Parses a Kubernetes quantity (`256Mi`, `1G`) or a Go memory limit (`204MiB`). Returns bytes.
pub(crate) fn bytes(text: &str) -> Option<f64> {
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

/// Checks that each mount uses an existing volume and a unique path. No mount can have a `subPath`, because the
/// container would not see changes to a Secret or a `ConfigMap`: the kubelet makes such a change by replacing a
/// symbolic link, and a `subPath` mount does not follow the new link. Secrets and `ConfigMap`s must be mounted
/// read-only.
pub(crate) fn mounts(workload: &Workload) -> Vec<String> {
    let spec = &workload.spec;
    let volumes: BTreeSet<&String> = spec.volumes.iter().flatten().map(|volume| &volume.name).collect();
    let mut problems = Vec::new();
    for container in workload.containers() {
        let mut paths = BTreeSet::new();
        for mount in container.volume_mounts.iter().flatten() {
            let place = format!("{}: mount {}", container.name, mount.mount_path);
            if mount.sub_path.is_some() || mount.sub_path_expr.is_some() {
                problems.push(format!("{place} uses a subPath"));
            }
            // A mount in a StatefulSet can also use a claim of the StatefulSet. `references.rs` checks the mounts in a
            // StatefulSet.
            if !volumes.contains(&mount.name) && workload.kind != "StatefulSet" {
                problems.push(format!("{place} uses an unknown volume: {}", mount.name));
            }
            if !paths.insert(&mount.mount_path) {
                problems.push(format!("{place} is used twice"));
            }
            let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mount.name);
            let must_be_read_only =
                volume.is_some_and(|volume| volume.secret.is_some() || volume.config_map.is_some());
            if must_be_read_only && mount.read_only != Some(true) {
                problems.push(format!("{place} is not readOnly"));
            }
        }
    }
    problems
}

/// Checks that port names and numbers are unique in a pod, and that each probe uses a declared port: the name of a port of
/// its container, or the number of a port of the pod.
pub(crate) fn ports(workload: &Workload) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for container in workload.containers() {
        for port in container.ports.iter().flatten() {
            let name = port.name.clone().unwrap_or_default();
            let fits = (1..=15).contains(&name.len());
            if !fits || !names.insert(name.clone()) {
                problems.push(format!(
                    "{}: port name {name:?} is used twice, or does not have 1 to 15 characters",
                    container.name
                ));
            }
            if !numbers.insert((port.container_port, port.protocol.clone())) {
                problems.push(format!("{}: port {} is declared twice", container.name, port.container_port));
            }
        }
    }
    for container in workload.containers() {
        for (kind, probe) in probes(container) {
            let used = probe.http_get.as_ref().map(|get| &get.port);
            let used = used.or(probe.tcp_socket.as_ref().map(|socket| &socket.port));
            let declared = match used {
                Some(IntOrString::String(name)) => {
                    container.ports.iter().flatten().any(|port| port.name.as_ref() == Some(name))
                }
                Some(IntOrString::Int(number)) => workload
                    .containers()
                    .flat_map(|container| container.ports.iter().flatten())
                    .any(|port| port.container_port == *number),
                None => true,
            };
            if !declared {
                problems
                    .push(format!("{}: {kind} uses port {used:?}, which is not declared", container.name));
            }
        }
    }
    problems
}

/// A pod that runs until it is deleted must have enough time to stop, and each of its containers with a port must have
/// probes. A pod that runs to completion must not
/// have the restart policy `Always`.
pub(crate) fn lifecycle(workload: &Workload) -> Vec<String> {
    let mut problems = Vec::new();
    let grace = workload.spec.termination_grace_period_seconds;
    if workload.selector.is_none() {
        if workload.spec.restart_policy.as_deref().is_none_or(|policy| policy == "Always") {
            problems.push("restartPolicy is Always, but the pod must run to completion".to_owned());
        }
        return problems;
    }
    if grace.is_none_or(|grace| grace < 30) {
        problems.push(format!("terminationGracePeriodSeconds is {grace:?}, not at least 30"));
    }
    for container in &workload.spec.containers {
        if container.ports.iter().flatten().next().is_none() {
            continue;
        }
        let have: Vec<&str> = probes(container).map(|(name, _)| name).collect();
        for kind in ["readinessProbe", "livenessProbe"] {
            if !have.contains(&kind) {
                problems.push(format!("{}: no {kind}", container.name));
            }
        }
        let stop = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        let sleep = stop.and_then(|stop| stop.sleep.as_ref()).map_or(0, |sleep| sleep.seconds);
        // A service drains for up to ten seconds after SIGTERM.
        if grace.is_some_and(|grace| sleep + 10 >= grace) {
            problems.push(format!(
                "{}: preStop takes {sleep} s, which leaves at most 10 s to drain",
                container.name
            ));
        }
        if stop.is_some_and(|stop| stop.exec.is_some()) {
            problems.push(format!(
                "{}: preStop runs a command, but the images contain no commands",
                container.name
            ));
        }
    }
    problems
}

/// Checks that each variable is set only once, and before another variable uses it. Kubernetes replaces `$(NAME)` in a
/// value only if the variable NAME is set earlier in the container's list of variables. Otherwise, the value silently
/// keeps the text `$(NAME)`.
pub(crate) fn environment(workload: &Workload) -> Vec<String> {
    let mut problems = Vec::new();
    for container in workload.containers() {
        let mut before = BTreeSet::new();
        for variable in container.env.iter().flatten() {
            let value = variable.value.as_deref().unwrap_or_default();
            for name in value.split("$(").skip(1).filter_map(|rest| rest.split(')').next()) {
                if !before.contains(name) {
                    problems.push(format!(
                        "{}: {} uses $({name}), which is not set earlier in the list",
                        container.name, variable.name
                    ));
                }
            }
            if !before.insert(variable.name.as_str()) {
                problems.push(format!("{}: {} is set twice", container.name, variable.name));
            }
        }
        for argument in container.args.iter().flatten().chain(container.command.iter().flatten()) {
            for name in argument.split("$(").skip(1).filter_map(|rest| rest.split(')').next()) {
                if !before.contains(name) {
                    problems.push(format!(
                        "{}: argument {argument} uses $({name}), which is not set",
                        container.name
                    ));
                }
            }
        }
    }
    problems
}

/// By default, an agent runs on a node with any taint. Otherwise, the pods of the node could not send telemetry.
pub(crate) fn agents_tolerate_every_taint() -> Result<()> {
    let rendering = value_set::render_named("default")?;
    let workloads = rendering.workloads()?;
    let agent = workloads.iter().find(|workload| workload.name.ends_with("-agent"));
    let tolerations = agent.and_then(|agent| agent.spec.tolerations.clone()).unwrap_or_default();
    // A toleration without a key and an effect matches every taint.
    let all = tolerations.iter().any(|toleration| {
        toleration.operator.as_deref() == Some("Exists")
            && toleration.key.is_none()
            && toleration.effect.is_none()
            && toleration.toleration_seconds.is_none()
    });
    ensure!(all, "the tolerations of agents are {tolerations:?}");
    Ok(())
}

/// Agents, and pods whose service account has rights in the API server, mount a token for the API server. Other pods do
/// not mount a token.
pub(crate) fn mount_tokens_only_if_needed(rendering: &Rendering) -> Result<()> {
    let bound: BTreeSet<String> = ["RoleBinding", "ClusterRoleBinding"]
        .into_iter()
        .flat_map(|kind| rendering.of_kind(kind))
        .flat_map(|binding| binding.value["subjects"].as_array().into_iter().flatten())
        .filter_map(|subject| subject["name"].as_str().map(str::to_owned))
        .collect();
    let mut problems = Vec::new();
    for workload in rendering.workloads()? {
        let account = workload.spec.service_account_name.clone().unwrap_or_default();
        let mounted = mounts_token(rendering, &workload.spec, &account);
        let labels = workload.labels();
        // An agent does not start without a token, even if its service account has no rights.
        let is_agent =
            labels.get("app.kubernetes.io/component").is_some_and(|component| component == "agent");
        if mounted != (bound.contains(&account) || is_agent) {
            let rights = if bound.contains(&account) { "rights" } else { "no rights" };
            let verb = if mounted { "mounts a token" } else { "mounts no token" };
            problems.push(format!("{workload} {verb}, and its account {account:?} has {rights}"));
        }
    }
    ensure_none(&problems)
}

/// Whether a pod mounts a token. The pod's setting takes precedence over the setting of its service account. If neither
/// has a setting, the pod mounts a token.
fn mounts_token(rendering: &Rendering, spec: &PodSpec, account: &str) -> bool {
    let setting_of_account = || {
        let account = rendering.find("ServiceAccount", account)?;
        account.value.get("automountServiceAccountToken").and_then(Value::as_bool)
    };
    spec.automount_service_account_token.or_else(setting_of_account).unwrap_or(true)
}
