//! `container.id`, where this process is known to be in a container. In a pod with cgroups of version 2 it is not: there
//! the API server knows it, which [`super::kubernetes`] asks.
//!
//! <https://opentelemetry.io/docs/specs/semconv/resource/container/>

use std::fs;

/// A cgroup path of version 1 names the container. Version 2 shows `/` inside it; then the runtime's mounts of
/// `/etc/hostname` and its like tell, which lie in a folder named by the id.
pub(super) fn id() -> Option<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    from_cgroup(&read("/proc/self/cgroup")).or_else(|| from_mounts(&read("/proc/self/mountinfo")))
}

/// The last part of a cgroup path that a container runtime made: `…/docker/ID`, `…/docker-ID.scope`,
/// `…/kubepods/…/podUID/ID`, `…/cri-containerd-ID.scope`. A plain machine's slices hold no such part.
///
/// A pod's container may run in a node that is itself a container. A controller that the node's runtime does not manage
/// then shows the node's own path, so where a path of a pod is among them, only such paths count.
fn from_cgroup(cgroup: &str) -> Option<String> {
    let ids = |of_pods: bool| {
        let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        paths.filter(move |path| !of_pods || path.contains("kubepods")).filter_map(|path| {
            let last = path.rsplit('/').next()?;
            let last = last.strip_suffix(".scope").unwrap_or(last);
            // `cri-containerd:ID` is how a runtime names it when systemd does not manage the group.
            container_id(last.rsplit(['-', ':']).next()?)
        })
    };
    ids(true).next().or_else(|| ids(false).next())
}

/// `/var/lib/docker/containers/ID/hostname`, `…/io.containerd.grpc.v1.cri/sandboxes/ID/hostname`. The latter is the
/// pod's sandbox and not the container, so only the former counts.
fn from_mounts(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let root = fields.nth(3)?;
        let mounted_on = fields.next()?;
        let rest = root.strip_suffix(mounted_on.strip_prefix("/etc")?)?;
        let (parent, id) = rest.rsplit_once('/')?;
        parent.ends_with("/containers").then(|| container_id(id)).flatten()
    })
}

/// Container ids are 64 hexadecimal digits in every runtime that has them.
fn container_id(text: &str) -> Option<String> {
    (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)))
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1d2c3b4a5968778695a4b3c2d1e0f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

    #[test]
    fn cgroup_paths_of_runtimes() {
        for path in [
            format!("12:pids:/docker/{ID}"),
            format!("0::/system.slice/docker-{ID}.scope"),
            format!("3:cpu:/kubepods/burstable/pod0a1b2c3d-0000-1111-2222-333344445555/{ID}"),
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
            format!("1:name=systemd:/kubepods-besteffort-pod1.slice:cri-containerd:{ID}"),
        ] {
            assert_eq!(from_cgroup(&path).as_deref(), Some(ID), "{path}");
        }
    }

    #[test]
    fn a_node_that_is_a_container_is_not_its_pods() {
        let node = "a".repeat(64);
        let cgroup = format!(
            "9:misc:/docker/{node}\n8:pids:/docker/{node}/kubelet/kubepods/burstable/pod1/{ID}\n0::/docker/{node}"
        );
        assert_eq!(from_cgroup(&cgroup).as_deref(), Some(ID));
    }

    #[test]
    fn a_plain_machine_has_no_container() {
        for path in ["0::/", "0::/user.slice/user-1000.slice/session-2.scope", "1:cpu:/init.scope", ""] {
            assert_eq!(from_cgroup(path), None, "{path}");
        }
        assert_eq!(from_mounts("30 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"), None);
    }

    #[test]
    fn mounts_of_docker_tell_and_a_pod_sandbox_does_not() {
        let docker =
            format!("9 8 0:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda rw");
        assert_eq!(from_mounts(&docker).as_deref(), Some(ID));
        let sandbox = format!(
            "9 8 0:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname /etc/hostname rw - ext4 /dev/vda rw"
        );
        assert_eq!(from_mounts(&sandbox), None);
    }
}
