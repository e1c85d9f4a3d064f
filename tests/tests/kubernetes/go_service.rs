//! A service that is not written in Rust and uses OpenTelemetry's own SDK joins with one entry in the values of the
//! chart (`values.yaml` in this directory).

use std::fs;

use anyhow::{Context as _, Result, ensure};
use sightline_tests::caller::Caller;
use sightline_tests::test_stack::root;

use crate::attributes;
use crate::cluster::Cluster;
use crate::forward::Forward;
use crate::install::Install;
use crate::progress;

/// The name of the service and its program.
const NAME: &str = "go-service";

/// The image in `values.yaml`.
const IMAGE: &str = "sightline/go-service:test";

/// The shape of a trace that starts in the Go program.
const HELLO: &str = "\
^ go-service server GET /hello/{id}
  go-service client HTTP GET
    user-service server GET /users/{id}
      user-service internal read_user
        user-service client SELECT users
";

/// Builds the image of the Go program in the same way as the other images, and loads it into the nodes.
pub(crate) async fn load_image(cluster: &Cluster) -> Result<()> {
    progress("building and loading the image of go-service");
    let context = tempfile::tempdir()?;
    let binary = root().join("bin").join(NAME);
    fs::copy(&binary, context.path().join(NAME))
        .with_context(|| format!("copying {} failed: run make bin/{NAME}", binary.display()))?;
    let dockerfile = fs::read_to_string(root().join("deploy/images/Dockerfile"))?.replace("PROGRAM", NAME);
    fs::write(context.path().join("Dockerfile"), dockerfile)?;
    let directory = context.path().display().to_string();
    cluster.docker(["build", "--quiet", "--target", "program", "--tag", IMAGE, &directory]).await?;
    cluster.kind(&["load", "docker-image", IMAGE]).await
}

/// A trace that starts in the Go program continues in user-service, and its spans have the same Kubernetes attributes.
pub(crate) async fn joins(install: &Install) -> Result<()> {
    let forward =
        Forward::start(&install.cluster, install.namespace, "svc/sightline-go-service", 8090).await?;
    let response = Caller::new().get(&install.http, &forward.url()?, "hello/7").await?;
    ensure!(response.status == 200, "{response:?}");
    let trace = install.wait_for_trace(&response.trace, HELLO).await?;
    let wrong = attributes::deployment_differences(install, &trace, NAME).await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
