//! A kind cluster and the programs that operators use with it: make, kind, kubectl, helm and docker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sightline_tests::test_stack::root;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::install::text;
use crate::progress;

/// The environment variable with the cluster's name. If a cluster with this name exists, the tests use that cluster.
const CLUSTER: &str = "KIND_E2E_CLUSTER";

/// If this environment variable is set, the cluster is not deleted.
const KEEP: &str = "KEEP";

/// The timeout for a command. It does not apply to make, because creating the cluster and building the images takes
/// longer.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(5);

/// A cluster with a separate kubeconfig. The user's current context does not change.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    name: String,
    kubeconfig: PathBuf,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Cluster {
    /// Returns the cluster whose name is in the environment variable [`CLUSTER`]. The cluster does not have to exist.
    pub(crate) fn from_environment() -> Self {
        let name = variable(CLUSTER).unwrap_or_else(|| "sightline-e2e".to_owned());
        let kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.kubeconfig"));
        Self { name, kubeconfig }
    }

    /// Runs `make kind-up`, which creates the cluster if it does not exist and loads the images.
    pub(crate) async fn up() -> Result<Self> {
        let cluster = Self::from_environment();
        progress(format!("make kind-up, cluster {}", cluster.name));
        cluster.make("kind-up").await?;
        Ok(cluster)
    }

    /// Deletes the cluster, unless [`KEEP`] is set.
    pub(crate) async fn down(&self) -> Result<()> {
        if variable(KEEP).is_some() {
            progress(format!("keeping cluster {}, KUBECONFIG={}", self.name, self.kubeconfig.display()));
            return Ok(());
        }
        progress(format!("deleting cluster {}", self.name));
        self.make("kind-down").await?;
        // After it deletes a cluster, kind leaves an empty kubeconfig.
        std::fs::remove_file(&self.kubeconfig).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error.into()),
        })
    }

    /// Returns this cluster with a copy of its kubeconfig in `dir`, so that a case can change the kubeconfig.
    pub(crate) fn with_kubeconfig_copy(&self, dir: &Path) -> Result<Self> {
        let kubeconfig = dir.join("kubeconfig");
        std::fs::copy(&self.kubeconfig, &kubeconfig).context("copying the kubeconfig failed")?;
        Ok(Self { name: self.name.clone(), kubeconfig })
    }

    /// Runs `make TARGET` for this cluster. The output is not captured, because it shows the progress of targets that
    /// take minutes.
    async fn make(&self, target: &str) -> Result<()> {
        let status = self.make_command(target, &[]).status().await.context("running make failed")?;
        ensure!(status.success(), "make {target}: {status}");
        Ok(())
    }

    /// Returns the command `make TARGET VARIABLE=VALUE …` for this cluster.
    pub(crate) fn make_command(&self, target: &str, variables: &[String]) -> Command {
        let mut command = self.command(&program("MAKE"));
        // Cargo sets these variables for tests. If make inherited them, building the images would compile everything
        // again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        // These variables are set on the command line, so that they take precedence over the environment. If make runs
        // these tests, the environment can contain other values of the variables.
        let cluster = [format!("KIND_CLUSTER={}", self.name), format!("KUBE_CONTEXT={}", self.context())];
        command.current_dir(root()).args(["--no-print-directory", target]).args(cluster).args(variables);
        command.stdin(Stdio::null());
        command
    }

    /// Runs kubectl and returns its standard output. If kubectl fails, the error contains its output.
    pub(crate) async fn kubectl<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.run(&program("KUBECTL"), args, None).await
    }

    /// Runs `kubectl get` with JSON output and parses it.
    pub(crate) async fn get<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Value> {
        let text = self.kubectl(["get"].into_iter().chain(args).chain(["--output", "json"])).await?;
        serde_json::from_str(&text).context("the output of kubectl is not JSON")
    }

    /// Returns the objects of this kind with these labels in a namespace.
    pub(crate) async fn list(&self, namespace: &str, kind: &str, labels: &str) -> Result<Vec<Value>> {
        let list = self.get([kind, "--namespace", namespace, "--selector", labels]).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Returns the restart count of each running pod with these labels, by pod name.
    pub(crate) async fn restart_counts(
        &self,
        namespace: &str,
        labels: &str,
    ) -> Result<BTreeMap<String, u64>> {
        let pods = self.list(namespace, "pods", labels).await?;
        let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running");
        let counts = running.map(|pod| {
            let containers = pod["status"]["containerStatuses"].as_array();
            let restarts = containers.into_iter().flatten().filter_map(|each| each["restartCount"].as_u64());
            Ok((text(pod, "/metadata/name")?.to_owned(), restarts.sum()))
        });
        counts.collect()
    }

    /// Waits until the rollout of a workload, such as `deployment/NAME`, is complete.
    pub(crate) async fn wait_for_rollout(&self, namespace: &str, workload: &str) -> Result<()> {
        let status = ["rollout", "status", workload, "--namespace", namespace, "--timeout", "3m"];
        self.kubectl(status).await.map(drop)
    }

    /// Runs kubectl with `--filename -` and passes `text` to its standard input.
    pub(crate) async fn kubectl_with_input<'a>(
        &self,
        args: impl IntoIterator<Item = &'a str>,
        text: &str,
    ) -> Result<String> {
        let args = args.into_iter().chain(["--filename", "-"]);
        self.run(&program("KUBECTL"), args, Some(text)).await
    }

    /// Runs helm and returns its standard output. If helm fails, the error contains its output.
    pub(crate) async fn helm<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.run(&program("HELM"), args, None).await
    }

    /// Runs docker and returns its standard output. If docker fails, the error contains its output.
    pub(crate) async fn docker<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.run("docker", args, None).await
    }

    /// Builds the image of one static program. The nodes do not have it yet.
    pub(crate) async fn build_image(&self, image: &str, program: &str, description: &str) -> Result<()> {
        let script = root().join("deploy/images/build.sh");
        let args = ["image", image, program, description];
        self.run(&script.display().to_string(), args, None).await.map(drop)
    }

    /// Runs a command of kind for this cluster.
    pub(crate) async fn kind(&self, args: &[&str]) -> Result<()> {
        let args = args.iter().copied().chain(["--name", self.name.as_str()]);
        self.run(&program("KIND"), args, None).await.map(drop)
    }

    /// Returns the name of the cluster's kubeconfig context.
    pub(crate) fn context(&self) -> String {
        format!("kind-{}", self.name)
    }

    /// Returns a command with the kubeconfig of this cluster.
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
        let command = format!("{program} {}", args.join(" "));
        let output = tokio::time::timeout(COMMAND_TIMEOUT, self.output(program, &args, input)).await;
        let output =
            output.with_context(|| format!("{command}: timed out after {} s", COMMAND_TIMEOUT.as_secs()))?;
        let output = output.with_context(|| format!("{command}: running the program failed"))?;
        stdout(&command, output)
    }

    async fn output(&self, program: &str, args: &[&str], input: Option<&str>) -> std::io::Result<Output> {
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

/// Returns the standard output of a command. If the command failed, the error contains its output.
pub(crate) fn stdout(command: &str, output: Output) -> Result<String> {
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("{command}: {}: {}", output.status, String::from_utf8_lossy(&text).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{command}: the output is not UTF-8"))
}

/// Returns the name or path of a program from an environment variable. The default is the variable's name in lower
/// case: `helm` for `HELM`.
pub(crate) fn program(name: &str) -> String {
    variable(name).unwrap_or_else(|| name.to_ascii_lowercase())
}
