//! A service that is not written in Rust and uses OpenTelemetry's own SDK joins with one entry in the values of the
//! chart (`values.yaml` in this directory).

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

/// Builds the image of the Go program as `make images` builds the other images, and loads it into the nodes.
pub(crate) async fn load_image(cluster: &Cluster) -> Result<()> {
    progress("building and loading the image of go-service");
    let program = root().canonicalize()?.join("bin").join(NAME);
    ensure!(program.is_file(), "{} is missing: run make bin/{NAME}", program.display());
    let program = program.to_str().context("the path of the checkout is not UTF-8")?;
    cluster.build_image(IMAGE, program, "A Go program for the tests").await?;
    cluster.kind(&["load", "docker-image", IMAGE]).await
}

/// A trace that starts in the Go program continues in user-service, and its spans have the same Kubernetes attributes.
pub(crate) async fn joins(install: &Install) -> Result<()> {
    let forward =
        Forward::start(&install.cluster, install.namespace, "svc/sightline-go-service", 8090).await?;
    let response = Caller::new().get(&install.http, &forward.url()?, "hello/7").await?;
    ensure!(response.status == 200, "{response:?}");
    let trace = install.wait_for_trace(&response.trace, HELLO).await?;
    let mut wrong = attributes::deployment_differences(install, &trace, NAME).await?;
    wrong.extend(attributes::start_time_of_agent(&trace, NAME));
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
