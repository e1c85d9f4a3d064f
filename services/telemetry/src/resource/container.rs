//! The detector of `container.id`.
//!
//! In a pod with cgroup v2, a process cannot see the ID of its container. In that case,
//! [`super::kubernetes`] gets the ID from the API server.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/resource/container/>.

use std::fs;

/// Returns the ID of the container that this process runs in, if it can be found.
///
/// With cgroup v1, the path of the cgroup contains the ID. With cgroup v2, the path is `/` inside the container. The ID
/// then comes from the mount of a file such as `/etc/hostname`. A runtime such as Docker keeps this file in a directory
/// whose name is the ID.
pub(super) fn id() -> Option<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    from_cgroup(&read("/proc/self/cgroup")).or_else(|| from_mounts(&read("/proc/self/mountinfo")))
}

/// Finds the ID in the last segment of a cgroup path that a container runtime has created: `…/docker/ID`,
/// `…/docker-ID.scope`, `…/kubepods/…/podUID/ID` or `…/cri-containerd-ID.scope`. Outside a container, no path has such
/// a segment.
///
/// The node of a pod can itself be a container, as in kind. If the container runtime on the node does not manage a
/// cgroup controller, the path for that controller is the path of the node's container. So if at least one path belongs
/// to a pod, only the paths of pods count.
fn from_cgroup(cgroup: &str) -> Option<String> {
    let ids = |pods_only: bool| {
        let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        paths.filter(move |path| !pods_only || path.contains("kubepods")).filter_map(|path| {
            let last = path.rsplit('/').next()?;
            let last = last.strip_suffix(".scope").unwrap_or(last);
            // If systemd does not manage the cgroup, the segment is `cri-containerd:ID`.
            container_id(last.rsplit(['-', ':']).next()?)
        })
    };
    ids(true).next().or_else(|| ids(false).next())
}

/// Finds the ID in the source path of a mount, such as `/var/lib/docker/containers/ID/hostname`.
///
/// The path `…/io.containerd.grpc.v1.cri/sandboxes/ID/hostname` does not count, because its ID belongs to the sandbox
/// of the pod and not to a container.
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

/// Returns `text` if it is a container ID, which has 64 lower-case hexadecimal digits in every runtime.
fn container_id(text: &str) -> Option<String> {
    (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)))
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1d2c3b4a5968778695a4b3c2d1e0f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

    #[test]
    fn finds_the_id_in_cgroup_paths() {
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
    fn prefers_the_pod_to_a_node_that_is_a_container() {
        let node = "a".repeat(64);
        let cgroup = format!(
            "9:misc:/docker/{node}\n8:pids:/docker/{node}/kubelet/kubepods/burstable/pod1/{ID}\n0::/docker/{node}"
        );
        assert_eq!(from_cgroup(&cgroup).as_deref(), Some(ID));
    }

    #[test]
    fn finds_no_id_outside_a_container() {
        for path in ["0::/", "0::/user.slice/user-1000.slice/session-2.scope", "1:cpu:/init.scope", ""] {
            assert_eq!(from_cgroup(path), None, "{path}");
        }
        assert_eq!(from_mounts("30 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"), None);
    }

    #[test]
    fn finds_the_id_in_docker_mounts_but_not_in_a_pod_sandbox() {
        let docker =
            format!("9 8 0:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda rw");
        assert_eq!(from_mounts(&docker).as_deref(), Some(ID));
        let sandbox = format!(
            "9 8 0:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname /etc/hostname rw - ext4 /dev/vda rw"
        );
        assert_eq!(from_mounts(&sandbox), None);
    }
}
