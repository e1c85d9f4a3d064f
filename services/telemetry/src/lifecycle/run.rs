//! The lifecycle of a service, from its settings to its exit code.

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::error::{StartError, chain};
use crate::lifecycle::admin::{self, AdminState, Phase};
use crate::lifecycle::builder::TelemetryBuilder;
use crate::lifecycle::guard::{self, Telemetry};
use crate::service::Service;
use crate::settings::{Env, Settings, SettingsError};

/// The maximum time that the requests in flight may take after the stop signal, which is SIGTERM or SIGINT. A call from
/// one example service to another has a timeout of five seconds, so this time must be longer. It must also be short
/// enough to leave time for the flush.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(7);

/// The maximum time from the stop signal to the exit: the ten seconds that [`run`] promises, minus a safety margin.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(9_500);

/// The exit code for every failure except a setting or a TLS file that cannot be used.
const EXIT_FAILURE: u8 = 1;

/// Runs a service from its start to its exit code.
///
/// The function does the following:
///
/// 1. Reads this crate's settings, and calls `read` for the service's settings.
/// 2. Creates a multi-threaded Tokio runtime and starts telemetry as [`start`](crate::start) does.
/// 3. Serves the admin port: `/metrics`, `/livez` and `/readyz`.
/// 4. Runs `app` until it returns. SIGTERM or SIGINT completes the future of [`Running::stopping`]. `app` then has
///    seven seconds to finish the requests in flight.
/// 5. Flushes telemetry, and prints errors and a report of lost telemetry to standard error.
///
/// The process exits less than ten seconds after SIGTERM or SIGINT.
///
/// # Exit codes
///
/// - 0: the service stopped normally and no telemetry was lost.
/// - 1: telemetry or the admin port could not be started, `app` returned an error or did not return within seven
///   seconds of the signal, or telemetry was lost.
/// - 64: a setting, or a TLS file that a setting names, cannot be used ([`SettingsError::EXIT_CODE`]).
///
/// # Examples
///
#[cfg_attr(feature = "http", doc = "```no_run")]
#[cfg_attr(not(feature = "http"), doc = "```ignore")]
/// use std::process::ExitCode;
///
/// use axum::{Router, routing::get};
/// use sightline_telemetry::Running;
///
/// fn main() -> ExitCode {
///     sightline_telemetry::run(sightline_telemetry::service!(), |_env| Ok(()), serve)
/// }
///
/// async fn serve((): (), running: Running) -> std::io::Result<()> {
///     let app = Router::new().route("/", get("hello")).layer(sightline_telemetry::http::server_layer());
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
///     running.ready();
///     axum::serve(listener, app).with_graceful_shutdown(async move { running.stopping().await }).await
/// }
/// ```
pub fn run<S, F, Fut, E>(
    service: Service,
    read: impl FnOnce(&dyn Env) -> Result<S, SettingsError>,
    app: F,
) -> ExitCode
where
    F: FnOnce(S, Running) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    Telemetry::builder(service).run(read, app)
}

impl TelemetryBuilder {
    /// Runs a service from its start to its exit code, as [`run`](crate::run()) does, with the parts that were added to
    /// the builder.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::process::ExitCode;
    ///
    /// use sightline_telemetry::external::opentelemetry::KeyValue;
    /// use sightline_telemetry::{Running, Telemetry, service};
    ///
    /// fn main() -> ExitCode {
    ///     Telemetry::builder(service!())
    ///         .resource_attributes([KeyValue::new("shop.region", "north")])
    ///         .run(|_env| Ok(()), serve)
    /// }
    ///
    /// async fn serve((): (), running: Running) -> std::io::Result<()> {
    ///     running.ready();
    ///     running.stopping().await;
    ///     Ok(())
    /// }
    /// ```
    pub fn run<S, F, Fut, E>(
        self,
        read: impl FnOnce(&dyn Env) -> Result<S, SettingsError>,
        app: F,
    ) -> ExitCode
    where
        F: FnOnce(S, Running) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let service = self.service;
        match try_run(self, read, app) {
            Ok(code) => code,
            Err(error) => {
                // Telemetry has not started, so this error cannot be reported as a log record.
                print_error(service, &chain(&error));
                ExitCode::from(if error.is_settings_error() {
                    SettingsError::EXIT_CODE
                } else {
                    EXIT_FAILURE
                })
            }
        }
    }
}

fn try_run<S, F, Fut, E>(
    mut builder: TelemetryBuilder,
    read: impl FnOnce(&dyn Env) -> Result<S, SettingsError>,
    app: F,
) -> Result<ExitCode, StartError>
where
    F: FnOnce(S, Running) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let service = builder.service;
    let settings = builder.read_settings()?;
    let app_settings = read(builder.env.as_ref())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StartError::Thread)?;
    let telemetry = guard::launch(&service, &settings, builder.extensions, Some(runtime.handle()))?;

    let (result, stopped_at) = runtime.block_on(serve(&settings, &telemetry, app_settings, app));
    if let Err(error) = &result {
        tracing::error!(error = chain(&**error), "{} failed", service.name);
    }
    // End the remaining tasks, so that they create no spans after the flush.
    runtime.shutdown_timeout(Duration::from_millis(100));

    let elapsed = stopped_at.map_or(Duration::ZERO, |at| at.elapsed());
    let flushed = telemetry.shutdown(SHUTDOWN_TIMEOUT.saturating_sub(elapsed));
    if let Err(error) = &result {
        print_error(service, &chain(&**error));
    }
    if let Err(error) = &flushed {
        print_error(service, &error.to_string());
    }
    Ok(if result.is_ok() && flushed.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) })
}

type AppResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Serves the admin port and runs the app until the app returns or exceeds the drain timeout. Also returns the time of
/// the stop signal, if there was one.
async fn serve<S, F, Fut, E>(
    settings: &Settings,
    telemetry: &Telemetry,
    app_settings: S,
    app: F,
) -> (AppResult, Option<Instant>)
where
    F: FnOnce(S, Running) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let running = match Running::start(settings, telemetry).await {
        Ok(running) => running,
        Err(error) => return (Err(error), None),
    };
    let mut stopped_at = None;
    let app = app(app_settings, running.clone());
    let result = tokio::select! {
        result = app => result.map_err(Into::into),
        () = drain_timeout(&running, &mut stopped_at) => {
            let seconds = DRAIN_TIMEOUT.as_secs();
            Err(format!("requests were still in flight {seconds} s after the stop signal").into())
        }
    };
    // The app may have returned before `drain_timeout` was polled again. `stopped_at` is then not set although the
    // signal has arrived.
    (result, stopped_at.or_else(|| running.is_stopping().then(Instant::now)))
}

/// Completes when the drain timeout has passed since the stop signal. Sets `stopped_at` when the signal arrives.
async fn drain_timeout(running: &Running, stopped_at: &mut Option<Instant>) {
    running.stopping().await;
    *stopped_at = Some(Instant::now());
    tokio::time::sleep(DRAIN_TIMEOUT).await;
}

/// A handle for a service that [`run`] started. With the handle, the service reports that it is ready and learns when
/// to stop.
///
/// Clones refer to the same service.
///
/// # Examples
///
/// ```no_run
/// # use std::io;
/// # use sightline_telemetry::Running;
/// # use tokio::net::TcpListener;
/// # async fn serve(listener: TcpListener, app: axum::Router, running: Running) -> io::Result<()> {
/// // The listener is bound: requests can arrive.
/// running.ready();
/// axum::serve(listener, app).with_graceful_shutdown(async move { running.stopping().await }).await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Running {
    phase: Arc<watch::Sender<Phase>>,
}

impl Running {
    async fn start(settings: &Settings, telemetry: &Telemetry) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (phase, receiver) = watch::channel(Phase::Starting);
        let phase = Arc::new(phase);
        let admin = &settings.admin;
        let listener = admin::bind(admin).await.map_err(|error| {
            format!(
                "the admin port {}:{} cannot be used: {error}; set OTEL_EXPORTER_PROMETHEUS_PORT",
                admin.host, admin.port
            )
        })?;
        tracing::info!(server.address = %listener.local_addr()?, "admin port listening");
        let state = AdminState { registry: telemetry.admin_registry().clone(), phase: receiver };
        tokio::spawn(admin::serve(listener, state));
        tokio::spawn(stop_on_signal(
            Arc::clone(&phase),
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        ));
        Ok(Self { phase })
    }

    /// Marks the service as ready: `/readyz` responds with 200 from now on.
    ///
    /// Call this when the service accepts requests. The call has no effect if the service is already stopping.
    pub fn ready(&self) {
        self.phase.send_if_modified(|phase| {
            let starting = *phase == Phase::Starting;
            if starting {
                *phase = Phase::Ready;
            }
            starting
        });
    }

    /// Completes when the service receives SIGTERM or SIGINT, or immediately if it has already received one of them.
    pub async fn stopping(&self) {
        let mut phase = self.phase.subscribe();
        // This fails only if no sender exists, and `self` holds a sender.
        let _ = phase.wait_for(|phase| *phase == Phase::Stopping).await;
    }

    fn is_stopping(&self) -> bool {
        *self.phase.borrow() == Phase::Stopping
    }
}

async fn stop_on_signal(phase: Arc<watch::Sender<Phase>>, mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: finishing the requests in flight");
    phase.send_replace(Phase::Stopping);
}

/// Prints a line to standard error, where it is visible even if no telemetry is exported.
#[expect(clippy::print_stderr, reason = "operators look for a process's final errors on standard error")]
fn print_error(service: Service, message: &str) {
    eprintln!("{}: {message}", service.name);
}
