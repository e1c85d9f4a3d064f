//! Child processes that run the detectors with another environment and other files.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use opentelemetry_resource_detectors::HostResourceDetector;
use opentelemetry_sdk::resource::ResourceDetector;
use serde::{Deserialize, Serialize};

use super::super::LOCAL;
use crate::resource::{Additions, attributes as attributes_of};
use crate::service::Service;
use crate::settings::{Kubernetes, ResourceSettings};
use crate::testing::{Attributes, attributes};

/// An argument of each child process.
pub(super) const SECRET: &str = "--skip=hunter2";

/// The variables that configure a child process.
const REPORT_TO: &str = "TEST_REPORT_TO";
const IN_CLUSTER: &str = "TEST_IN_CLUSTER";

/// The attributes in a child process.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Report {
    /// What the crate's detectors report.
    pub(super) of_crate: Attributes,
    /// The resource of this library.
    pub(super) ours: Attributes,
}

/// A child process, with its environment and the content of the files that it reads.
#[derive(Default)]
pub(super) struct Child {
    env: Vec<(&'static str, String)>,
    machine_id: Option<String>,
    cgroup: Option<String>,
    namespace: Option<String>,
}

impl Child {
    pub(super) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    pub(super) fn in_cluster(self) -> Self {
        self.env(IN_CLUSTER, "true")
    }

    /// Sets the content of `/etc/machine-id`.
    pub(super) fn machine_id(mut self, content: &str) -> Self {
        self.machine_id = Some(content.to_owned());
        self
    }

    /// Sets the content of `/proc/self/cgroup`.
    pub(super) fn cgroup(mut self, content: String) -> Self {
        self.cgroup = Some(content);
        self
    }

    /// Sets the content of the service account's file `namespace`.
    pub(super) fn namespace(mut self, content: &str) -> Self {
        self.namespace = Some(content.to_owned());
        self
    }

    /// Runs the process. Returns `None`, and says so, if the process needs other files and this machine does not permit
    /// mounts.
    pub(super) fn run(&self) -> Option<Report> {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.json");
        let mut command = self.command(folder.path())?;
        let output = command
            .args(arguments())
            .env_remove("HOSTNAME")
            .env_remove("NODE_NAME")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env(REPORT_TO, &report)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        Some(serde_json::from_slice(&fs::read(report).unwrap()).unwrap())
    }

    /// The command that runs this test program, in a mount namespace if the process needs other files.
    fn command(&self, folder: &Path) -> Option<Command> {
        let program = env::current_exe().unwrap();
        // Each mount replaces a file or a folder for the child process only.
        let mut mounts = String::new();
        if let Some(content) = &self.machine_id {
            // The file can be missing, and only a file that exists can be replaced. So the whole folder is replaced.
            fs::create_dir(folder.join("etc")).unwrap();
            fs::write(folder.join("etc/machine-id"), content).unwrap();
            mounts += "mount --bind \"$0/etc\" /etc; ";
        }
        if let Some(content) = &self.cgroup {
            fs::write(folder.join("cgroup"), content).unwrap();
            // `exec` keeps the PID.
            mounts += "mount --bind \"$0/cgroup\" /proc/$$/cgroup; ";
        }
        if let Some(content) = &self.namespace {
            let account = folder.join("run/secrets/kubernetes.io/serviceaccount");
            fs::create_dir_all(&account).unwrap();
            fs::write(account.join("namespace"), content).unwrap();
            mounts += "mount --bind \"$0/run\" /var/run; ";
        }
        if mounts.is_empty() {
            return Some(Command::new(program));
        }
        let mut command = unshare()?;
        command.args(["sh", "-euc", &format!("{mounts} exec \"$@\"")]).arg(folder).arg(program);
        Some(command)
    }
}

/// Returns a command that runs a program in a mount namespace: with the privileges of this process, or else in a user
/// namespace.
fn unshare() -> Option<Command> {
    for flags in [&["--mount"][..], &["--mount", "--user", "--map-root-user"]] {
        let mut test = Command::new("unshare");
        test.args(flags).args(["mount", "-t", "tmpfs", "none", "/mnt"]);
        if test.output().is_ok_and(|output| output.status.success()) {
            let mut command = Command::new("unshare");
            command.args(flags);
            return Some(command);
        }
    }
    // The test output shows this line only with `--nocapture`, and also if another check of the test fails.
    eprintln!("SKIPPED: the checks with other files need permission to mount, for example as root");
    None
}

/// The arguments of a child process, which runs only the test [`report`].
pub(super) fn arguments() -> Vec<String> {
    let path = module_path!();
    let (_crate, module) = path.split_once("::").unwrap();
    vec!["--ignored".into(), "--exact".into(), format!("{module}::report"), SECRET.into()]
}

#[test]
#[ignore = "other tests run it in a child process"]
fn report() {
    let Some(path) = env::var_os(REPORT_TO) else { return };
    let host = HostResourceDetector::default();
    let detectors = LOCAL.into_iter().chain([&host as &dyn ResourceDetector]);
    let of_crate = attributes(detectors.flat_map(|detector| attributes_of(&detector.detect())));

    let kubernetes = env::var_os(IN_CLUSTER).map(|_| Kubernetes {
        host: "127.0.0.1".into(),
        port: "443".into(),
        api: false,
    });
    let settings = ResourceSettings { kubernetes, ..ResourceSettings::default() };
    let service = Service { name: "shop", version: "1.2.3" };
    let (resource, missing) = crate::resource::detect(&service, &settings, &Additions::default());
    assert_eq!(missing, crate::resource::Missing::default());
    let ours = attributes(attributes_of(&resource));
    fs::write(path, serde_json::to_vec(&Report { of_crate, ours }).unwrap()).unwrap();
}
