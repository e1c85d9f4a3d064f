//! The files of this pod's service account, and the facts about this pod in the list of mounts.

use std::fs;
use std::path::PathBuf;

use uuid::Uuid;

/// The paths of the files with facts about this pod. Tests use other paths.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// The list of mounts of this process, in the format of `/proc/self/mountinfo`.
    pub(super) mounts: PathBuf,
    /// The directory with the files `token` and `ca.crt` of the pod's service account.
    pub(super) service_account: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            mounts: "/proc/self/mountinfo".into(),
            service_account: "/var/run/secrets/kubernetes.io/serviceaccount".into(),
        }
    }
}

/// The facts in the list of mounts. Each fact can be missing: a container runtime with its own kernel hides the mounts
/// of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodFacts {
    pub(super) pod_uid: Option<String>,
    pub(super) container: Option<String>,
}

impl Files {
    pub(super) fn read(&self) -> PodFacts {
        from_mounts(&fs::read_to_string(&self.mounts).unwrap_or_default())
    }
}

/// Finds the UID of the pod and the name of the container in a list of mounts.
///
/// The kubelet keeps the files of a pod in a directory whose name is the pod's UID. It mounts two of these files into
/// each container: `…/pods/UID/etc-hosts` as `/etc/hosts`, and `…/pods/UID/containers/NAME/RANDOM` as the termination
/// log. If two mounts contradict each other, one of them comes from another pod or container, and neither counts.
fn from_mounts(mounts: &str) -> PodFacts {
    let mut uids = Vec::new();
    let mut containers = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(root), Some(mounted_on)) = (fields.nth(3), fields.next()) else { continue };
        let parts: Vec<_> = root.rsplit('/').collect();
        match parts[..] {
            ["etc-hosts", uid, "pods", ..] if mounted_on == "/etc/hosts" => uids.push(uid),
            [random, container, "containers", uid, "pods", ..] if is_random_name(random) => {
                uids.push(uid);
                containers.push(container);
            }
            _ => {}
        }
    }
    // For a static pod, the name of the directory is a hash, and the API server reports a different UID. So a name
    // counts only if it has the form of a UID.
    let pod_uid = single_value(&uids).filter(|uid| uid.len() == 36 && Uuid::parse_str(uid).is_ok());
    PodFacts { container: single_value(&containers).filter(|_| pod_uid.is_some()), pod_uid }
}

/// Whether `text` can be the name of a termination log: eight hexadecimal digits.
fn is_random_name(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the value that all `items` share, or `None` if the items differ or there are none.
fn single_value(items: &[&str]) -> Option<String> {
    let (first, others) = items.split_first()?;
    others.iter().all(|other| other == first).then(|| (*first).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0a1b2c3d-0000-1111-2222-333344445555";
    const OTHER: &str = "ffffffff-0000-1111-2222-333344445555";

    fn hosts(root: &str, uid: &str) -> String {
        format!("911 902 254:0 {root}/pods/{uid}/etc-hosts /etc/hosts rw,relatime - ext4 /dev/vda rw\n")
    }

    fn termination_log(uid: &str, container: &str, mounted_on: &str) -> String {
        format!(
            "912 902 254:0 /var/lib/kubelet/pods/{uid}/containers/{container}/3f2a77c1 {mounted_on} rw - ext4 /dev/vda rw\n"
        )
    }

    fn read(mounts: &str) -> (Option<String>, Option<String>) {
        let PodFacts { pod_uid, container } = from_mounts(mounts);
        (pod_uid, container)
    }

    #[test]
    fn finds_the_uid_and_the_container_in_mounts() {
        // The kubelet's directory can be in a separate file system. The paths then start at the root of that file
        // system.
        for root in ["/var/lib/kubelet", "", "/kubelet", "/data/kubelet\\040root"] {
            let mounts = hosts(root, UID) + &termination_log(UID, "shop", "/dev/termination-log");
            assert_eq!(read(&mounts), (Some(UID.to_owned()), Some("shop".to_owned())), "{root}");
        }
        // `terminationMessagePath` can move the termination log, and a volume mount of the pod can replace
        // `/etc/hosts`.
        assert_eq!(
            read(&termination_log(UID, "shop", "/tmp/termination-log")),
            (Some(UID.to_owned()), Some("shop".to_owned()))
        );
        assert_eq!(read(&hosts("/var/lib/kubelet", UID)), (Some(UID.to_owned()), None));
    }

    #[test]
    fn ignores_mounts_that_contradict_each_other() {
        let mounts = hosts("/var/lib/kubelet", UID) + &termination_log(OTHER, "shop", "/dev/termination-log");
        assert_eq!(read(&mounts), (None, None));
        let mounts =
            termination_log(UID, "shop", "/dev/termination-log") + &termination_log(UID, "till", "/till");
        assert_eq!(read(&mounts), (Some(UID.to_owned()), None));
    }

    #[test]
    fn ignores_other_mounts() {
        for mounts in [
            String::new(),
            "30 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw".to_owned(),
            // A static pod.
            hosts("/var/lib/kubelet", "8c1d2b9c7f6e5d4c3b2a190817263544"),
            // A volume, and a file of the kubelet that is mounted at another path.
            format!(
                "9 8 254:0 /var/lib/kubelet/pods/{UID}/volumes/kubernetes.io~empty-dir/data /data rw - ext4 x rw"
            ),
            format!("9 8 254:0 /var/lib/kubelet/pods/{UID}/etc-hosts /host/etc-hosts rw - ext4 x rw"),
        ] {
            assert_eq!(read(&mounts), (None, None), "{mounts}");
        }
    }
}
