//! A service's life from its settings to its exit code.

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{self, Phase};
use crate::error::chain;
use crate::guard::{self, Telemetry};
use crate::settings::{Env, ProcessEnv, Settings, SettingsError};
use crate::{Service, StartError};

/// Requests in flight may take this long after the signal to stop: longer than the five seconds that a call to another
/// service may take, and short enough to leave time to flush.
const DRAIN: Duration = Duration::from_secs(7);

/// After the signal to stop, all is over within this: ten seconds less a margin.
const STOP: Duration = Duration::from_millis(9_500);

/// For everything that is not a setting.
const FAILED: u8 = 1;

/// Runs a service: reads its settings with `read`, starts telemetry, serves the admin port, runs `app` until it is
/// told to stop, lets it finish what is in flight, flushes and says what was lost.
///
/// Exit codes: 0 when all went well; 64 when a setting cannot be used; 1 when the app failed, did not finish in time
/// or telemetry was lost. SIGTERM and SIGINT stop it, in under ten seconds.
///
/// ```no_run
/// # async fn serve(settings: (), running: telemetry::Running) -> Result<(), std::io::Error> { Ok(()) }
/// fn main() -> std::process::ExitCode {
///     telemetry::run(telemetry::service!(), |_env| Ok(()), serve)
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
    match try_run(service, read, app) {
        Ok(code) => code,
        Err(error) => {
            // Telemetry is not there yet to carry this.
            say(service, &chain(&error));
            ExitCode::from(if error.is_of_settings() { SettingsError::EXIT_CODE } else { FAILED })
        }
    }
}

fn try_run<S, F, Fut, E>(
    service: Service,
    read: impl FnOnce(&dyn Env) -> Result<S, SettingsError>,
    app: F,
) -> Result<ExitCode, StartError>
where
    F: FnOnce(S, Running) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let settings = Settings::read(&ProcessEnv)?;
    let app_settings = read(&ProcessEnv)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StartError::Thread)?;
    let telemetry = guard::start(&service, &settings)?;

    let (outcome, stopped_at) = runtime.block_on(live(&settings, &telemetry, app_settings, app));
    if let Err(error) = &outcome {
        tracing::error!(error = chain(&**error), "{} failed", service.name);
    }
    // Tasks that did not end by themselves must not go on making spans that nobody will flush.
    runtime.shutdown_timeout(Duration::from_millis(100));

    let spent = stopped_at.map_or(Duration::ZERO, |at| at.elapsed());
    let flushed = telemetry.shutdown(STOP.saturating_sub(spent));
    if let Err(error) = &outcome {
        say(service, &chain(&**error));
    }
    if let Err(lost) = &flushed {
        say(service, &lost.to_string());
    }
    Ok(if outcome.is_ok() && flushed.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Serves the admin port and the app until both are over; also tells when the stop began.
async fn live<S, F, Fut, E>(
    settings: &Settings,
    telemetry: &Telemetry,
    app_settings: S,
    app: F,
) -> (Outcome, Option<Instant>)
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
    let outcome = tokio::select! {
        outcome = app => outcome.map_err(Into::into),
        () = overdue(&running, &mut stopped_at) => {
            Err(format!("requests were still in flight {} s after the signal to stop", DRAIN.as_secs()).into())
        }
    };
    // The app may have ended before `overdue` was polled again.
    (outcome, stopped_at.or_else(|| running.is_stopping().then(Instant::now)))
}

/// Resolves when the app has had its time to drain.
async fn overdue(running: &Running, stopped_at: &mut Option<Instant>) {
    running.stopping().await;
    *stopped_at = Some(Instant::now());
    tokio::time::sleep(DRAIN).await;
}

/// A running service's view of its own life.
#[derive(Clone, Debug)]
pub struct Running {
    phase: Arc<watch::Sender<Phase>>,
}

impl Running {
    async fn start(settings: &Settings, telemetry: &Telemetry) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (phase, seen) = watch::channel(Phase::Starting);
        let phase = Arc::new(phase);
        let admin = &settings.admin;
        let listener = admin::bind(admin).await.map_err(|error| {
            format!(
                "the admin port {}:{} cannot be used: {error}; set OTEL_EXPORTER_PROMETHEUS_PORT",
                admin.host, admin.port
            )
        })?;
        tracing::info!(server.address = %listener.local_addr()?, "admin port listening");
        tokio::spawn(axum::serve(listener, admin::router(telemetry.registry().clone(), seen)).into_future());
        tokio::spawn(stop_on_signal(
            Arc::clone(&phase),
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        ));
        Ok(Self { phase })
    }

    /// Says that the service takes requests: `/readyz` answers 200 from now on, unless it is stopping already.
    pub fn ready(&self) {
        self.phase.send_if_modified(|phase| {
            let starting = *phase == Phase::Starting;
            if starting {
                *phase = Phase::Ready;
            }
            starting
        });
    }

    /// Resolves when the service is told to stop, at once if it was already.
    pub async fn stopping(&self) {
        let mut seen = self.phase.subscribe();
        // It fails only without a sender, and `self` is one.
        let _ = seen.wait_for(|phase| *phase == Phase::Stopping).await;
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
    tracing::info!("stopping: no longer ready, finishing what is in flight");
    phase.send_replace(Phase::Stopping);
}

/// A line on standard error, for what must be seen even when nothing is exported.
#[expect(clippy::print_stderr, reason = "the last word of a process goes where its supervisor looks")]
fn say(service: Service, message: &str) {
    eprintln!("{}: {message}", service.name);
}
