//! `sightline up` runs the services of another repository, also if they are not written in Rust, and serves a service
//! that is started by hand.

use std::fs;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::{Jaeger, Trace, TraceId};
use sightline_tests::caller::Caller;
use sightline_tests::outline::outline;
use sightline_tests::poll::{DEFAULT_TIMEOUT, eventually};
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{FIXTURE, USER, USERS, fixture_file, root, services};
use sightline_tests::up::Up;
use tokio::process::Command;
use url::Url;

pub(crate) fn add(suite: &mut Suite) {
    suite.add_standalone("services_file::services_of_another_repository_run", other_repository);
    suite.add_standalone("services_file::a_service_started_by_hand_is_served", started_by_hand);
}

/// The shape of a trace that starts in the Go program.
const HELLO: &str = "\
^ go-service server GET /hello/{id}
  go-service client HTTP GET
    users server GET /users/{id}
      users internal read_user
        users client SELECT users
";

async fn other_repository() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let go_service = root().canonicalize()?.join("bin/go-service");
    let fixture = services()?.join(FIXTURE).canonicalize()?;
    // The paths are relative to the services file, and the name of its directory is not the name of the checkout.
    fs::create_dir(directory.path().join("bin"))?;
    std::os::unix::fs::symlink(go_service, directory.path().join("bin/go-service"))?;
    std::os::unix::fs::symlink(fixture, directory.path().join("bin/fixture"))?;
    fs::write(
        directory.path().join("services.toml"),
        r#"
[services.go-service]
program = "bin/go-service"
protocol = "http"
port = 9080
health = "/healthz"
calls = ["users"]
try = "/hello/7"
env.USERS_URL = "${users.url}"

[services.users]
program = "bin/fixture"
arguments = ["users"]
protocol = "http"
port = 9081
admin-port = 9082
env.DATABASE_URL = "sqlite://${state}/users.db?mode=rwc"
"#,
    )?;
    let mut up = Up::start(directory.path(), &["--file", "services.toml"]).await?;
    let url: Url = up.row("curl -i ")?.parse()?;
    ensure!(url.path() == "/hello/7", "{url}");
    ensure!(up.output().contains("traces --service go-service"), "{}", up.output());
    let response = Caller::new().get(&client()?, &url, "/hello/7").await?;
    ensure!(response.status == 200, "{response:?}");
    wait_for_trace(&jaeger(&up)?, &response.trace, HELLO).await?;
    let status = up.interrupt().await?;
    ensure!(status.success() && up.output().contains("nothing was lost"), "{status}: {}", up.output());
    Ok(())
}

async fn started_by_hand() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = fixture_file().canonicalize()?;
    let file = file.to_str().context("the path is not UTF-8")?;
    let arguments = ["--only", "pipeline", "--service", USERS, "--file", file];
    let mut up = Up::start(directory.path(), &arguments).await?;
    let exports: Vec<String> =
        up.output().lines().filter(|line| line.starts_with("export ")).map(str::to_owned).collect();
    let program = services()?.join(FIXTURE).canonicalize()?;
    let mut service = Command::new("sh")
        .args(["-euc", &format!("{}\nexec {} {USERS}", exports.join("\n"), program.display())])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let address = up.row("export SIGHTLINE_HTTP_ADDRESS=")?;
    let (http, url) = (client()?, format!("http://{address}").parse()?);
    let response = eventually("the service responds", DEFAULT_TIMEOUT, async || {
        ensure!(service.try_wait()?.is_none(), "the service exited");
        Caller::new().get(&http, &url, "users/7").await
    });
    let response = response.await?;
    ensure!(response.status == 200, "{response:?}");
    wait_for_trace(&jaeger(&up)?, &response.trace, USER).await?;
    service.kill().await?;
    let status = up.interrupt().await?;
    ensure!(status.success(), "{status}: {}", up.output());
    Ok(())
}

fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// Returns a client for the Jaeger of this stack.
fn jaeger(up: &Up) -> Result<Jaeger> {
    let row = up.row("Traces")?;
    let url = row.split_whitespace().find(|word| word.starts_with("http://")).context("no address")?;
    let mut url: Url = url.parse()?;
    url.set_path("/");
    Ok(Jaeger::new(url)?)
}

async fn wait_for_trace(jaeger: &Jaeger, id: &TraceId, shape: &str) -> Result<Trace> {
    eventually(format!("trace {id} is stored with the expected shape"), DEFAULT_TIMEOUT, async || {
        let trace = jaeger.trace(id).await?.context("no span of the trace is stored")?;
        let stored = outline(&trace);
        ensure!(stored == shape, "stored:\n{stored}expected:\n{shape}");
        Ok(trace)
    })
    .await
}
