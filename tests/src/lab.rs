//! A whole stack for tests, and what they ask of it.

use std::fmt::{Display, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use sightline::jaeger::{Jaeger, Search, Trace, TraceId};
use sightline::stack::{Binaries, Exit, Ports, Process, Stack, StackConfig};
use tempfile::TempDir;
use time::OffsetDateTime;
use url::Url;

use crate::caller::{Answer, Caller};
use crate::log_records::{self, LogRecord};
use crate::outline::outline;
use crate::poll::{SOON, eventually};
use crate::prometheus::Samples;

/// The shape of the trace of an order that is served, as seen by a caller with a span of their own.
pub const ORDER: &str = "\
^ order-service server GET /orders/{id}
  order-service internal read_order
    order-service client SELECT orders
  order-service internal read_user
    order-service client GET /users/{id}
      user-service server GET /users/{id}
        user-service internal read_user
          user-service client SELECT users
  order-service internal reserve_items
    order-service client sightline.inventory.v1.Inventory/Reserve
      inventory-service server sightline.inventory.v1.Inventory/Reserve
        inventory-service internal reserve_stock
";

/// The shape of the trace of a user that is read.
pub const USER: &str = "\
^ user-service server GET /users/{id}
  user-service internal read_user
    user-service client SELECT users
";

/// Set, it keeps what stacks wrote, whole logs above all; a failure says where.
const KEEP_STATE: &str = "SIGHTLINE_KEEP_STATE";

/// Lines of each log that a failure repeats, and characters of each.
const TAIL: (usize, usize) = (5, 250);

/// A running stack on free ports, with state of its own that goes when it goes.
#[derive(Debug)]
pub struct Lab {
    // Before the directory it works in.
    stack: Stack,
    jaeger: Jaeger,
    http: reqwest::Client,
    dir: TempDir,
}

impl Lab {
    /// Starts the stack that `make up` would run, but for what `change` changes. Fails where a program is missing, with
    /// what builds it, and where one does not get healthy, with the end of its log.
    pub async fn start(change: impl FnOnce(StackConfig) -> StackConfig) -> Result<Self> {
        let mut dir = TempDir::with_prefix("sightline-").context("no temporary directory")?;
        dir.disable_cleanup(std::env::var_os(KEEP_STATE).is_some_and(|value| !value.is_empty()));
        let mut config = StackConfig::of_checkout(&root(), dir.path().join("state"), &services()?);
        config.ports = Ports::free()?;
        // As short as it may be with the gateway waiting two seconds: tests wait for it again and again.
        config.span_delay = Duration::from_millis(100);
        config.metric_interval = Duration::from_secs(1);
        let stack = Stack::start(change(config)).await.context("the stack does not start")?;
        let jaeger = stack.jaeger()?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { stack, jaeger, http, dir })
    }

    /// Starts one service by itself, which sends to this stack's agent with its namesake's certificate and calls this
    /// stack's services. It stops with [`Alone::stop`], and is killed when dropped.
    pub async fn alone(
        &self,
        process: Process,
        change: impl FnOnce(StackConfig) -> StackConfig,
    ) -> Result<Alone> {
        let dir = TempDir::with_prefix_in("alone-", self.dir.path())?;
        let mut config = self.stack.config().clone();
        config.dir = dir.path().join("state");
        config.processes = vec![process];
        let wanted = Ports::free()?;
        let agent = std::mem::replace(&mut config.ports, wanted);
        let tls = self.stack.tls_files(process);
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://localhost:{}", agent.agent_otlp_grpc)),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", tls.ca.display().to_string()),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", tls.cert.display().to_string()),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", tls.key.display().to_string()),
            ("SIGHTLINE_USER_SERVICE_URL", self.stack.user_url()),
            ("SIGHTLINE_INVENTORY_SERVICE_URL", self.stack.inventory_url()),
        ] {
            config = config.with(process, name, value);
        }
        let stack = Stack::start(change(config)).await.context("the service does not start")?;
        Ok(Alone { stack, process, _dir: dir })
    }

    /// The stack.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack, to stop and start parts of it.
    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// Stops a process as a deployment would. Fails if it loses anything thereby.
    pub async fn stop_process(&mut self, process: Process) -> Result<()> {
        let exit = self.stack.stop_process(process).await?;
        ensure!(exit.is_clean(), "{process}: {}", exit.describe());
        Ok(())
    }

    /// Starts processes that were stopped, and waits until all are healthy. Fails where one crashes.
    pub async fn start_processes(&mut self, processes: &[Process]) -> Result<()> {
        for &process in processes {
            self.stack.start_process(process)?;
        }
        Ok(self.stack.ready(|_| {}).await?)
    }

    /// Its Jaeger.
    #[must_use]
    pub fn jaeger(&self) -> &Jaeger {
        &self.jaeger
    }

    /// An HTTP client for its services.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Where orders are.
    pub fn orders(&self) -> Result<Url> {
        Ok(self.stack.order_url().parse()?)
    }

    /// Where users are.
    pub fn users(&self) -> Result<Url> {
        Ok(self.stack.user_url().parse()?)
    }

    /// `caller` asks for an order.
    pub async fn order(&self, caller: &Caller, id: &str) -> Result<Answer> {
        caller.get(&self.http, &self.orders()?, &format!("orders/{id}")).await
    }

    /// `caller` asks for a user.
    pub async fn user(&self, caller: &Caller, id: &str) -> Result<Answer> {
        caller.get(&self.http, &self.users()?, &format!("users/{id}")).await
    }

    /// Waits until something is so. A failure repeats what was seen last and the end of each process' log.
    pub async fn eventually<T>(&self, what: impl Display, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        eventually(what, SOON, look).await.map_err(|error| anyhow!("{error:#}\n{}", self.tails()))
    }

    /// Waits until this trace is stored with exactly this shape (see [`outline`]).
    pub async fn trace(&self, id: &TraceId, shape: &str) -> Result<Trace> {
        let look = async || {
            let trace = self.jaeger.trace(id).await?.context("nothing of it is stored")?;
            let seen = outline(&trace);
            ensure!(seen == shape, "this is stored:\n{seen}instead of:\n{shape}");
            Ok(trace)
        };
        self.eventually(format!("trace {id} is stored as it should be"), look).await
    }

    /// Waits until a trace that begins now has passed the whole pipeline. What was sent before it, to any service, is
    /// stored by then, or never will be.
    pub async fn settle(&self) -> Result<()> {
        let caller = Caller::new();
        let answer = self.order(&caller, "1").await?;
        ensure!(answer.status == 200, "an order was answered {}: {}", answer.status, answer.body);
        self.trace(&answer.trace, ORDER).await?;
        Ok(())
    }

    /// Fails if anything of this trace is stored. Say first, by [`settle`](Self::settle), that it would be by now.
    pub async fn is_absent(&self, id: &TraceId) -> Result<()> {
        match self.jaeger.trace(id).await? {
            None => Ok(()),
            Some(trace) => anyhow::bail!("of trace {id} this is stored:\n{}", outline(&trace)),
        }
    }

    /// The `tracestate` of each stored span of a trace that has one.
    pub async fn trace_states(&self, id: &TraceId) -> Result<Vec<String>> {
        let text = self.jaeger.trace_text(id).await?.context("nothing of it is stored")?;
        let merged = sightline::jaeger::merge(&text)?;
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let scopes = list(&merged, "resourceSpans").into_iter().flat_map(|group| list(&group, "scopeSpans"));
        let spans = scopes.flat_map(|scope| list(&scope, "spans"));
        let state =
            |span: Value| span["traceState"].as_str().filter(|state| !state.is_empty()).map(str::to_owned);
        Ok(spans.filter_map(state).collect())
    }

    /// The stored traces that have spans of this service, as many as a test run makes.
    pub async fn traces_of(&self, process: Process) -> Result<Vec<Trace>> {
        let now = OffsetDateTime::now_utc();
        let search = Search {
            service: process.name().to_owned(),
            from: now - time::Duration::HOUR,
            to: now + time::Duration::MINUTE,
            limit: 1_000,
        };
        Ok(self.jaeger.traces(&search).await?)
    }

    /// The log records that have come to the gateway.
    pub fn stored_logs(&self) -> Result<Vec<LogRecord>> {
        log_records::in_gateway_file(&self.stack.stored_logs())
    }

    /// The log lines that a service has written on its console.
    pub fn console(&self, process: Process) -> Result<Vec<LogRecord>> {
        log_records::on_console(process.name(), &self.stack.log_path(process))
    }

    /// What the gateway serves to Prometheus: what services measured, and what it counts itself.
    pub async fn gateway_metrics(&self) -> Result<Samples> {
        self.metrics(self.stack.ports().gateway_span_metrics).await
    }

    /// What `/metrics` of this port answers.
    pub async fn metrics(&self, port: u16) -> Result<Samples> {
        Samples::parse(&self.page(port).await?)
    }

    /// What `/metrics` of this port answers, as text.
    pub async fn page(&self, port: u16) -> Result<String> {
        let answer = self.http.get(format!("http://127.0.0.1:{port}/metrics")).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Stops everything. Fails if a process did not end cleanly, with the end of its log.
    pub async fn stop(mut self) -> Result<()> {
        let exits = self.stack.stop().await;
        let unclean: Vec<_> = exits.iter().filter(|exit| !exit.is_clean()).collect();
        let say = |exit: &&Exit| format!("{}: {}", exit.process, exit.describe());
        ensure!(unclean.is_empty(), "{:?}\n{}", unclean.iter().map(say).collect::<Vec<_>>(), self.tails());
        Ok(())
    }

    fn tails(&self) -> String {
        tails(&self.stack.dir().join("logs"))
    }
}

/// A service by itself.
#[derive(Debug)]
pub struct Alone {
    stack: Stack,
    process: Process,
    _dir: TempDir,
}

impl Alone {
    /// Where it serves HTTP.
    pub fn url(&self) -> Result<Url> {
        let url = if self.process == Process::OrderService {
            self.stack.order_url()
        } else {
            self.stack.user_url()
        };
        Ok(url.parse()?)
    }

    /// Its admin port.
    #[must_use]
    pub fn admin_port(&self) -> u16 {
        let ports = self.stack.ports();
        match self.process {
            Process::OrderService => ports.order_admin,
            Process::InventoryService => ports.inventory_admin,
            _ => ports.user_admin,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        self.stack.pid(self.process).context("it does not run")
    }

    /// All it has written.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.stack.log_path(self.process))?)
    }

    /// The end of what it has written, for a failure to repeat.
    #[must_use]
    pub fn tail(&self) -> String {
        tails(&self.stack.dir().join("logs"))
    }

    /// Sends SIGTERM and waits for its end, ten seconds at most.
    pub async fn stop(&mut self) -> Result<Exit> {
        Ok(self.stack.stop_process(self.process).await?)
    }
}

/// The checkout these tests are of.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where the services are: in `SIGHTLINE_SERVICES`, else where Cargo built these tests.
pub fn services() -> Result<PathBuf> {
    match std::env::var_os("SIGHTLINE_SERVICES").filter(|given| !given.is_empty()) {
        Some(given) => Ok(given.into()),
        None => Binaries::directory().context("this test does not know where it is"),
    }
}

/// The end of each log.
fn tails(logs: &Path) -> String {
    let mut text = format!("the logs in {} ({KEEP_STATE}=1 keeps them) end:", logs.display());
    let mut paths: Vec<_> =
        std::fs::read_dir(logs).into_iter().flatten().flatten().map(|log| log.path()).collect();
    paths.sort();
    for path in paths {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let name = path.file_name().unwrap_or_default().display();
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {name}");
        for line in &lines[lines.len().saturating_sub(TAIL.0)..] {
            let _ = write!(text, "\n    | {}", line.chars().take(TAIL.1).collect::<String>());
        }
    }
    text
}
