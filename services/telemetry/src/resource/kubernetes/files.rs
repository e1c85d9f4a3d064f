//! What the files that a kubelet mounts into each container tell.

use std::fs;
use std::path::PathBuf;

use uuid::Uuid;

/// Where those files are. Tests have others.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// The mounts this process sees.
    pub(super) mounts: PathBuf,
    /// `namespace`, `token` and `ca.crt` of the pod's service account.
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

/// What they say. A token is not mounted into every pod, and a runtime with its own kernel hides the mounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) namespace: Option<String>,
    pub(super) pod_uid: Option<String>,
    pub(super) container: Option<String>,
}

impl Files {
    pub(super) fn read(&self) -> Read {
        let mounts = fs::read_to_string(&self.mounts).unwrap_or_default();
        let namespace = fs::read_to_string(self.service_account.join("namespace")).unwrap_or_default();
        let namespace = namespace.trim();
        Read { namespace: (!namespace.is_empty()).then(|| namespace.to_owned()), ..from_mounts(&mounts) }
    }
}

/// The kubelet keeps a pod's files in a folder named by its uid, and mounts two of them into every container:
/// `…/pods/UID/etc-hosts` as `/etc/hosts`, and `…/pods/UID/containers/NAME/RANDOM` as the file for the last words.
/// Two that contradict each other say nothing: then one is another pod's, mounted by hand.
fn from_mounts(mounts: &str) -> Read {
    let mut uids = Vec::new();
    let mut containers = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(root), Some(mounted_on)) = (fields.nth(3), fields.next()) else { continue };
        let parts: Vec<_> = root.rsplit('/').collect();
        match parts[..] {
            ["etc-hosts", uid, "pods", ..] if mounted_on == "/etc/hosts" => uids.push(uid),
            [random, container, "containers", uid, "pods", ..] if is_random(random) => {
                uids.push(uid);
                containers.push(container);
            }
            _ => {}
        }
    }
    // A static pod's folder is named by a hash of its file, and the API server knows the pod by another uid.
    let pod_uid = only(&uids).filter(|uid| uid.len() == 36 && Uuid::parse_str(uid).is_ok());
    Read { namespace: None, container: only(&containers).filter(|_| pod_uid.is_some()), pod_uid }
}

/// The name of a container's file for its last words: eight hexadecimal digits.
fn is_random(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn only(items: &[&str]) -> Option<String> {
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

    fn last_words(uid: &str, container: &str, mounted_on: &str) -> String {
        format!(
            "912 902 254:0 /var/lib/kubelet/pods/{uid}/containers/{container}/3f2a77c1 {mounted_on} rw - ext4 /dev/vda rw\n"
        )
    }

    fn read(mounts: &str) -> (Option<String>, Option<String>) {
        let Read { pod_uid, container, .. } = from_mounts(mounts);
        (pod_uid, container)
    }

    #[test]
    fn a_pods_mounts_tell_its_uid_and_the_container() {
        // The kubelet's folder may be a file system of its own.
        for root in ["/var/lib/kubelet", "", "/kubelet", "/data/kubelet\\040root"] {
            let mounts = hosts(root, UID) + &last_words(UID, "shop", "/dev/termination-log");
            assert_eq!(read(&mounts), (Some(UID.to_owned()), Some("shop".to_owned())), "{root}");
        }
        // `terminationMessagePath` moves the one, a mount of the pod's own replaces the other.
        assert_eq!(
            read(&last_words(UID, "shop", "/tmp/last-words")),
            (Some(UID.to_owned()), Some("shop".to_owned()))
        );
        assert_eq!(read(&hosts("/var/lib/kubelet", UID)), (Some(UID.to_owned()), None));
    }

    #[test]
    fn mounts_that_contradict_each_other_tell_nothing() {
        let mounts = hosts("/var/lib/kubelet", UID) + &last_words(OTHER, "shop", "/dev/termination-log");
        assert_eq!(read(&mounts), (None, None));
        let mounts = last_words(UID, "shop", "/dev/termination-log") + &last_words(UID, "till", "/till");
        assert_eq!(read(&mounts), (Some(UID.to_owned()), None));
    }

    #[test]
    fn other_mounts_tell_nothing() {
        for mounts in [
            String::new(),
            "30 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw".to_owned(),
            // A static pod's.
            hosts("/var/lib/kubelet", "8c1d2b9c7f6e5d4c3b2a190817263544"),
            // Volumes, and a host's folder mounted elsewhere.
            format!(
                "9 8 254:0 /var/lib/kubelet/pods/{UID}/volumes/kubernetes.io~empty-dir/data /data rw - ext4 x rw"
            ),
            format!("9 8 254:0 /var/lib/kubelet/pods/{UID}/etc-hosts /host/etc-hosts rw - ext4 x rw"),
        ] {
            assert_eq!(read(&mounts), (None, None), "{mounts}");
        }
    }
}
