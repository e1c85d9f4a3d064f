//! A kind cluster, and the programs that people work on one with: what is tested is what they type.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sightline_tests::test_stack::root;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::install::text;
use crate::progress;

/// The cluster's name; one that is there is used as it is.
const CLUSTER: &str = "KIND_E2E_CLUSTER";

/// Set, it leaves the cluster and all that is in it.
const KEEP: &str = "KEEP";

/// No single command takes longer: making the cluster and building its images does.
const PATIENCE: Duration = Duration::from_mins(5);

/// A cluster of its own, and a kubeconfig of its own: nobody's current context is touched.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    name: String,
    kubeconfig: PathBuf,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Cluster {
    /// The cluster these tests are for, whether or not it is there.
    pub(crate) fn of_environment() -> Self {
        let name = variable(CLUSTER).unwrap_or_else(|| "sightline-e2e".to_owned());
        let kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.kubeconfig"));
        Self { name, kubeconfig }
    }

    /// `make kind-up`: makes it, or takes the one of this name, and loads the images.
    pub(crate) async fn up() -> Result<Self> {
        let cluster = Self::of_environment();
        progress(format!("make kind-up, cluster {}", cluster.name));
        cluster.make("kind-up", &[]).await?;
        Ok(cluster)
    }

    /// Deletes it, unless it is to be kept.
    pub(crate) async fn down(&self) -> Result<()> {
        if variable(KEEP).is_some() {
            progress(format!("kept: cluster {}, KUBECONFIG={}", self.name, self.kubeconfig.display()));
            return Ok(());
        }
        progress(format!("deletes cluster {}", self.name));
        self.make("kind-down", &[]).await?;
        // kind leaves an empty one.
        std::fs::remove_file(&self.kubeconfig).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error.into()),
        })
    }

    /// `make TARGET VARIABLE=VALUE …` for this cluster; what it prints is seen as it comes.
    pub(crate) async fn make(&self, target: &str, variables: &[String]) -> Result<()> {
        let status = self.make_command(target, variables).status().await.context("make does not run")?;
        ensure!(status.success(), "make {target}: {status}");
        Ok(())
    }

    /// The same, to be started.
    pub(crate) fn make_command(&self, target: &str, variables: &[String]) -> Command {
        let mut command = self.command(&program("MAKE"));
        // What Cargo tells a test of itself would have another Cargo, which builds the images, build all of it anew.
        for (name, _) in std::env::vars_os() {
            let said = name.to_string_lossy();
            if said.starts_with("CARGO_PKG_") || said.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        // Another make, which runs these tests, may have given its own to the environment.
        let cluster = [format!("KIND_CLUSTER={}", self.name), format!("KUBE_CONTEXT={}", self.context())];
        command.current_dir(root()).args(["--no-print-directory", target]).args(cluster).args(variables);
        command.stdin(Stdio::null());
        command
    }

    /// `kubectl …`, and what it prints. Fails with what it says when it fails.
    pub(crate) async fn kubectl<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.run(&program("KUBECTL"), args, None).await
    }

    /// `kubectl … -o json`, read.
    pub(crate) async fn get<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Value> {
        let text = self.kubectl(["get"].into_iter().chain(args).chain(["--output", "json"])).await?;
        serde_json::from_str(&text).context("kubectl's response is not JSON")
    }

    /// The objects of this kind and with these labels, in a namespace.
    pub(crate) async fn list(&self, namespace: &str, kind: &str, labels: &str) -> Result<Vec<Value>> {
        let list = self.get([kind, "--namespace", namespace, "--selector", labels]).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// How often the containers of each running pod with these labels were started again, by the pod's name.
    pub(crate) async fn starts(&self, namespace: &str, labels: &str) -> Result<BTreeMap<String, u64>> {
        let pods = self.list(namespace, "pods", labels).await?;
        let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running");
        let starts = running.map(|pod| {
            let containers = pod["status"]["containerStatuses"].as_array();
            let restarts = containers.into_iter().flatten().filter_map(|each| each["restartCount"].as_u64());
            Ok((text(pod, "/metadata/name")?.to_owned(), restarts.sum()))
        });
        starts.collect()
    }

    /// Waits until a workload of a namespace is as it was asked for: `deployment/NAME`.
    pub(crate) async fn rolled_out(&self, namespace: &str, workload: &str) -> Result<()> {
        let status = ["rollout", "status", workload, "--namespace", namespace, "--timeout", "3m"];
        self.kubectl(status).await.map(drop)
    }

    /// `kubectl … --filename -` with this text.
    pub(crate) async fn feed<'a>(
        &self,
        args: impl IntoIterator<Item = &'a str>,
        text: &str,
    ) -> Result<String> {
        let args = args.into_iter().chain(["--filename", "-"]);
        self.run(&program("KUBECTL"), args, Some(text)).await
    }

    /// `helm …`, and what it prints. Fails with what it says when it fails.
    pub(crate) async fn helm<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.run(&program("HELM"), args, None).await
    }

    /// `docker …`, and what it prints. Fails with what it says when it fails.
    pub(crate) async fn docker<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.run("docker", args, None).await
    }

    /// What kind calls it in the kubeconfig.
    pub(crate) fn context(&self) -> String {
        format!("kind-{}", self.name)
    }

    /// A command with this cluster as its current context.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", &self.kubeconfig).kill_on_drop(true);
        command
    }

    async fn run<'a>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = &'a str>,
        input: Option<&str>,
    ) -> Result<String> {
        let args: Vec<&str> = args.into_iter().collect();
        let what = format!("{program} {}", args.join(" "));
        let work = self.output(program, &args, input);
        let output = tokio::time::timeout(PATIENCE, work).await;
        let output = output.with_context(|| format!("{what}: not over in {} s", PATIENCE.as_secs()))?;
        let output = output.with_context(|| format!("{what}: does not run"))?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&said).trim());
        }
        String::from_utf8(output.stdout).with_context(|| format!("{what}: its output is not UTF-8"))
    }

    async fn output(
        &self,
        program: &str,
        args: &[&str],
        input: Option<&str>,
    ) -> std::io::Result<std::process::Output> {
        let mut command = self.command(program);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn()?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    }
}

/// The program that this variable names, or the one on the path: HELM is helm.
pub(crate) fn program(name: &str) -> String {
    variable(name).unwrap_or_else(|| name.to_ascii_lowercase())
}
