//! A complete stack for tests, with methods that query it and wait for telemetry.

use std::fmt::{Display, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use sightline::jaeger::{Jaeger, Search, Trace, TraceId};
use sightline::stack::spec::FILE_NAME;
use sightline::stack::{Binaries, Exit, GATEWAY, Stack, StackConfig, StackSpec};
use tempfile::TempDir;
use time::OffsetDateTime;
use url::Url;

use crate::caller::{Caller, Response};
use crate::log_records::{self, LogRecord};
use crate::outline::outline;
use crate::poll::{DEFAULT_TIMEOUT, eventually};
use crate::prometheus::Samples;

/// The services in `tests/fixture/sightline.toml`, with which the tests work.
pub const ORDERS: &str = "orders";
/// See [`ORDERS`].
pub const USERS: &str = "users";
/// See [`ORDERS`].
pub const STOCK: &str = "stock";
/// All services of the fixture.
pub const SERVICES: [&str; 3] = [ORDERS, USERS, STOCK];

/// The Cargo package of the services of the fixture, and the name of its program.
pub const FIXTURE: &str = "fixture";

/// The shape of an order's trace if the caller has its own span (see [`outline`]).
pub const ORDER: &str = "\
^ orders server GET /orders/{id}
  orders internal read_order
    orders client SELECT orders
  orders internal read_user
    orders client GET /users/{id}
      users server GET /users/{id}
        users internal read_user
          users client SELECT users
  orders internal reserve_items
    orders client fixture.v1.Stock/Reserve
      stock server fixture.v1.Stock/Reserve
        stock internal reserve_stock
";

/// The shape of the trace of a request for a user if the caller has its own span (see [`outline`]).
pub const USER: &str = "\
^ users server GET /users/{id}
  users internal read_user
    users client SELECT users
";

/// If this environment variable is set and not empty, the state of each stack is kept after the test, including the
/// complete logs. Error messages name the directory of the logs.
const KEEP_STATE: &str = "SIGHTLINE_KEEP_STATE";

/// The maximum number of lines that an error message shows of each log.
const TAIL_LINES: usize = 5;

/// The maximum number of characters that an error message shows of each log line.
const TAIL_LINE_LENGTH: usize = 250;

/// A running stack on free ports. The state of the stack is in a temporary directory, which is removed when the stack
/// is dropped.
#[derive(Debug)]
pub struct TestStack {
    // This field is declared before `dir`, so the processes stop before their directory is removed.
    inner: Stack,
    jaeger: Jaeger,
    http: reqwest::Client,
    dir: TempDir,
}

impl TestStack {
    /// Starts the pipeline of `make up` with the services of the fixture. `change` can modify the configuration of the
    /// stack.
    ///
    /// Fails if a program is missing, and reports the command that builds the program. Fails if a process does not
    /// become healthy, and reports the end of the process's log.
    pub async fn start(change: impl FnOnce(StackConfig) -> StackConfig) -> Result<Self> {
        Self::start_file(&fixture_file(), change).await
    }

    /// Starts the same stack as `make up`, with the services of `sightline.toml`. Fails as [`start`](Self::start) does.
    pub async fn start_checkout() -> Result<Self> {
        Self::start_file(&root().join(FILE_NAME), |config| config).await
    }

    async fn start_file(file: &Path, change: impl FnOnce(StackConfig) -> StackConfig) -> Result<Self> {
        let mut dir = TempDir::with_prefix("sightline-").context("creating a temporary directory failed")?;
        dir.disable_cleanup(std::env::var_os(KEEP_STATE).is_some_and(|value| !value.is_empty()));
        let spec = StackSpec::load(file)?;
        let mut config = StackConfig::new(spec, &root(), dir.path().join("state"), &services()?);
        config.ports = config.ports.free()?;
        // The services export their spans after this delay. The delay is short, because many tests wait until it has
        // passed. After the delay, these tests wait for the gateway, which waits two seconds for the rest of a trace.
        config.span_delay = Duration::from_millis(100);
        config.metric_interval = Duration::from_secs(1);
        let inner = Stack::start(change(config)).await.context("the stack did not start")?;
        let jaeger = inner.jaeger()?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { inner, jaeger, http, dir })
    }

    /// Starts another instance of a service. The instance exports to this stack's agent, calls this stack's services,
    /// and uses the same certificate as the service in this stack.
    ///
    /// [`SingleService::stop`] stops the instance. If the [`SingleService`] is dropped, the instance is killed.
    pub async fn start_single_service(
        &self,
        process: &str,
        change: impl FnOnce(StackConfig) -> StackConfig,
    ) -> Result<SingleService> {
        let dir = TempDir::with_prefix_in("single-service-", self.dir.path())?;
        let mut config = self.inner.config().clone();
        config.dir = dir.path().join("state");
        config.processes = vec![process.into()];
        // All other ports stay the same, so the instance uses this stack's agent and services.
        config.ports = config.ports.free_for(|name| *name == process)?;
        config.certificates = Some(self.inner.certificates_dir().to_owned());
        let stack = Stack::start(change(config)).await.context("the service did not start")?;
        Ok(SingleService { stack, process: process.to_owned(), _dir: dir })
    }

    /// The underlying stack, with its processes, ports and directories.
    #[must_use]
    pub fn inner(&self) -> &Stack {
        &self.inner
    }

    /// The underlying stack, for tests that stop and start single processes.
    pub fn inner_mut(&mut self) -> &mut Stack {
        &mut self.inner
    }

    /// Stops a process with SIGTERM. Fails if the process does not exit cleanly, because this means that the process
    /// lost telemetry.
    pub async fn stop_process(&mut self, process: &str) -> Result<()> {
        let exit = self.inner.stop_process(process).await?;
        ensure!(exit.is_clean(), "{process}: {}", exit.describe());
        Ok(())
    }

    /// Starts these stopped processes and waits until all processes of the stack are healthy. Fails if a process exits.
    pub async fn start_processes(&mut self, processes: &[&str]) -> Result<()> {
        for &process in processes {
            self.inner.start_process(process)?;
        }
        Ok(self.inner.wait_until_ready(|_| {}).await?)
    }

    /// A client for Jaeger's API.
    #[must_use]
    pub fn jaeger(&self) -> &Jaeger {
        &self.jaeger
    }

    /// An HTTP client for the services.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The URL of the service `orders`.
    pub fn orders_url(&self) -> Result<Url> {
        Ok(self.inner.url(ORDERS)?.parse()?)
    }

    /// The URL of the service `users`.
    pub fn users_url(&self) -> Result<Url> {
        Ok(self.inner.url(USERS)?.parse()?)
    }

    /// Requests an order.
    pub async fn get_order(&self, caller: &Caller, id: &str) -> Result<Response> {
        caller.get(&self.http, &self.orders_url()?, &format!("orders/{id}")).await
    }

    /// Requests a user.
    pub async fn get_user(&self, caller: &Caller, id: &str) -> Result<Response> {
        caller.get(&self.http, &self.users_url()?, &format!("users/{id}")).await
    }

    /// Waits until `check` succeeds. Fails after [`DEFAULT_TIMEOUT`] with the last error of `check` and the end of each
    /// process's log.
    pub async fn eventually<T>(
        &self,
        condition: impl Display,
        check: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let outcome = eventually(condition, DEFAULT_TIMEOUT, check).await;
        outcome.map_err(|error| anyhow!("{error:#}\n{}", self.log_tails()))
    }

    /// Waits until a trace is stored with exactly this shape (see [`outline`]).
    pub async fn wait_for_trace(&self, id: &TraceId, shape: &str) -> Result<Trace> {
        let check = async || {
            let trace = self.jaeger.trace(id).await?.context("no span of the trace is stored")?;
            let stored = outline(&trace);
            ensure!(stored == shape, "stored:\n{stored}expected:\n{shape}");
            Ok(trace)
        };
        self.eventually(format!("trace {id} is stored with the expected shape"), check).await
    }

    /// Requests an order and waits until its trace has passed through the pipeline. After that, spans of earlier
    /// requests are no longer in the pipeline: they are stored, dropped by sampling, or lost.
    pub async fn wait_for_pipeline(&self) -> Result<()> {
        let caller = Caller::new();
        let response = self.get_order(&caller, "1").await?;
        ensure!(response.status == 200, "an order failed with {}: {}", response.status, response.body);
        self.wait_for_trace(&response.trace, ORDER).await?;
        Ok(())
    }

    /// Fails if a span of this trace is stored. Call [`wait_for_pipeline`](Self::wait_for_pipeline) first, because this
    /// method does not find spans that are still in the pipeline.
    pub async fn ensure_not_stored(&self, id: &TraceId) -> Result<()> {
        match self.jaeger.trace(id).await? {
            None => Ok(()),
            Some(trace) => anyhow::bail!("trace {id} is stored:\n{}", outline(&trace)),
        }
    }

    /// Returns the `tracestate` of each stored span of a trace. Spans without a `tracestate` are left out.
    pub async fn trace_states(&self, id: &TraceId) -> Result<Vec<String>> {
        let text = self.jaeger.trace_text(id).await?.context("no span of the trace is stored")?;
        let merged = sightline::jaeger::merge(&text)?;
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let scopes = list(&merged, "resourceSpans").into_iter().flat_map(|group| list(&group, "scopeSpans"));
        let spans = scopes.flat_map(|scope| list(&scope, "spans"));
        let state =
            |span: Value| span["traceState"].as_str().filter(|state| !state.is_empty()).map(str::to_owned);
        Ok(spans.filter_map(state).collect())
    }

    /// Returns the stored traces that contain spans of this service. Only the traces of the last hour are returned, and
    /// at most 1000 of them.
    pub async fn traces_of(&self, process: &str) -> Result<Vec<Trace>> {
        let now = OffsetDateTime::now_utc();
        let search = Search {
            service: process.to_owned(),
            from: now - time::Duration::HOUR,
            to: now + time::Duration::MINUTE,
            limit: 1_000,
        };
        Ok(self.jaeger.traces(&search).await?)
    }

    /// Returns the log records that a service has written to its console.
    pub fn console_logs(&self, process: &str) -> Result<Vec<LogRecord>> {
        log_records::on_console(process, &self.inner.log_path(process))
    }

    /// Returns the metrics that the gateway serves to Prometheus: the metrics of the services, and the gateway's own
    /// span metrics.
    pub async fn gateway_metrics(&self) -> Result<Samples> {
        self.metrics(self.gateway_metrics_port()?).await
    }

    /// The port on which the gateway serves the metrics of [`gateway_metrics`](Self::gateway_metrics).
    pub fn gateway_metrics_port(&self) -> Result<u16> {
        Ok(self.inner.ports().number(GATEWAY, "span-metrics")?)
    }

    /// Requests `/metrics` on this port and parses the response.
    pub async fn metrics(&self, port: u16) -> Result<Samples> {
        Samples::parse(&self.metrics_page(port).await?)
    }

    /// Requests `/metrics` on this port and returns the text of the response.
    pub async fn metrics_page(&self, port: u16) -> Result<String> {
        let response = self.http.get(format!("http://127.0.0.1:{port}/metrics")).send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// Stops all processes. Fails if a process did not exit cleanly, and reports the end of each log.
    pub async fn stop(mut self) -> Result<()> {
        let exits = self.inner.stop().await;
        let unclean = exits.iter().filter(|exit| !exit.is_clean());
        let unclean: Vec<_> = unclean.map(|exit| format!("{}: {}", exit.process, exit.describe())).collect();
        ensure!(unclean.is_empty(), "{unclean:?}\n{}", self.log_tails());
        Ok(())
    }

    fn log_tails(&self) -> String {
        log_tails(&self.inner.dir().join("logs"))
    }
}

/// An instance of a service outside the stack (see [`TestStack::start_single_service`]).
#[derive(Debug)]
pub struct SingleService {
    stack: Stack,
    process: String,
    _dir: TempDir,
}

impl SingleService {
    /// The URL of the service's HTTP API.
    pub fn url(&self) -> Result<Url> {
        Ok(self.stack.url(&self.process)?.parse()?)
    }

    /// The service's admin port.
    pub fn admin_port(&self) -> Result<u16> {
        Ok(self.stack.ports().admin(&self.process)?)
    }

    /// The service's process ID.
    pub fn pid(&self) -> Result<u32> {
        self.stack.pid(&self.process).context("the service is not running")
    }

    /// Returns the service's complete log.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.stack.log_path(&self.process))?)
    }

    /// Returns the end of the service's log, for an error message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tails(&self.stack.dir().join("logs"))
    }

    /// Returns the numbers in the service's report of lost spans: the lost spans and all spans. Fails if there is no
    /// report.
    pub fn lost_spans(&self) -> Result<(u32, u32)> {
        let reports = log_records::lost_spans(&self.log()?)?;
        reports.first().copied().context("the log does not report lost spans")
    }

    /// Sends SIGTERM and waits up to ten seconds for the process to exit.
    pub async fn stop(&mut self) -> Result<Exit> {
        Ok(self.stack.stop_process(&self.process).await?)
    }
}

/// The root directory of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The services file of the fixture.
#[must_use]
pub fn fixture_file() -> PathBuf {
    root().join("tests/fixture").join(FILE_NAME)
}

/// The directory that contains the service binaries: the directory in `SIGHTLINE_SERVICES`, or by default the directory
/// in which Cargo built these tests and the services.
pub fn services() -> Result<PathBuf> {
    match std::env::var_os("SIGHTLINE_SERVICES").filter(|dir| !dir.is_empty()) {
        Some(dir) => Ok(dir.into()),
        None => Binaries::directory().context("finding the directory of the test binary failed"),
    }
}

/// The last lines of each log in a directory.
fn log_tails(logs: &Path) -> String {
    let mut text =
        format!("last lines of the logs in {} (set {KEEP_STATE}=1 to keep the logs):", logs.display());
    let mut paths: Vec<_> =
        std::fs::read_dir(logs).into_iter().flatten().flatten().map(|log| log.path()).collect();
    paths.sort();
    for path in paths {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let name = path.file_name().unwrap_or_default().display();
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {name}");
        for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
            let _ = write!(text, "\n    | {}", line.chars().take(TAIL_LINE_LENGTH).collect::<String>());
        }
    }
    text
}
