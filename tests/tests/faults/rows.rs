//! The rows of the table.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use sightline::stack::{AGENT, GATEWAY, JAEGER, Storage, VICTORIA_LOGS, VICTORIA_METRICS};
use sightline_tests::test_stack::{ORDERS, SERVICES, STOCK, USERS};

use crate::run::Measured;

/// A fault, and what may become of requests and spans.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) process: &'static str,
    pub(crate) fault: Fault,
    /// How long the fault lasts.
    pub(crate) lasts: Duration,
    pub(crate) storage: Storage,
    pub(crate) loss: Loss,
    /// Whether the row takes minutes, so that only `make test-faults` runs it.
    pub(crate) long: bool,
}

/// What is done to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing. This row shows what the measurement itself costs.
    None,
    /// SIGKILL, and a new process at the end.
    Killed,
    /// SIGTERM, and a new process at the end.
    Stopped,
    /// SIGSTOP, and SIGCONT at the end.
    Hung,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "nothing",
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Hung => "hung",
        })
    }
}

/// What may become of spans. In each case, a span is stored or counted as lost, except for those of a killed process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Every span is stored.
    None,
    /// The queue in a service overflows, and the service counts what it drops.
    Counted,
    /// A process is killed that holds at most the spans of this time in its memory. Nobody can count them.
    InMemory(Duration),
}

impl Row {
    /// Returns the name of the row, such as `agent killed for 5 s`.
    pub(crate) fn name(&self) -> String {
        match self.fault {
            Fault::None => self.fault.to_string(),
            fault => format!("{} {fault} for {} s", self.process, self.lasts.as_secs()),
        }
    }

    /// Whether requests cannot be served during the fault.
    pub(crate) fn stops_requests(&self) -> bool {
        self.fault != Fault::None && SERVICES.contains(&self.process)
    }

    /// Fails if the row is not as it should be.
    pub(crate) fn judge(&self, measured: &Measured) -> Result<()> {
        let failed = measured.failed;
        ensure!(self.stops_requests() || failed == 0, "{failed} of {} requests failed", measured.requests);
        let unaccounted = measured.unaccounted();
        let rate = measured.made / measured.load.as_secs().max(1);
        let (uncounted, counted) = match self.loss {
            Loss::None => (0, 0),
            Loss::Counted => (0, measured.made),
            Loss::InMemory(time) => (rate * time.as_secs(), 0),
        };
        ensure!(
            (0..=i64::try_from(uncounted)?).contains(&unaccounted),
            "{unaccounted} spans are unaccounted for, at most {uncounted} are expected: {measured:?}"
        );
        ensure!(
            measured.lost <= counted,
            "{} spans were lost, at most {counted} are expected",
            measured.lost
        );
        Ok(())
    }
}

/// The time until the gateway of the tests decides on a trace, and one second for what is on its way.
const DECISION: Duration = Duration::from_secs(3);

/// All rows, in the order of the way that a span takes.
pub(crate) fn all() -> Vec<Row> {
    let row = |process, fault, seconds, loss| Row {
        process,
        fault,
        lasts: Duration::from_secs(seconds),
        storage: Storage::Memory,
        loss,
        long: false,
    };
    let long = |row: Row| Row { long: true, ..row };
    let badger = |row: Row| Row { storage: Storage::Badger, ..row };
    let batch = Loss::InMemory(Duration::from_secs(1));
    vec![
        row("", Fault::None, 5, Loss::None),
        row(ORDERS, Fault::Stopped, 2, Loss::None),
        row(STOCK, Fault::Killed, 2, batch),
        long(row(USERS, Fault::Hung, 8, Loss::None)),
        row(AGENT, Fault::Killed, 5, Loss::Counted),
        // Shorter than the timeout of an export, so that no span is stored and also counted as lost.
        row(AGENT, Fault::Hung, 8, Loss::Counted),
        row(AGENT, Fault::Stopped, 2, Loss::Counted),
        long(row(AGENT, Fault::Killed, 300, Loss::Counted)),
        row(GATEWAY, Fault::Killed, 5, Loss::InMemory(DECISION)),
        row(GATEWAY, Fault::Hung, 10, Loss::None),
        row(GATEWAY, Fault::Stopped, 5, Loss::None),
        long(row(GATEWAY, Fault::Hung, 120, Loss::None)),
        badger(row(JAEGER, Fault::Killed, 5, Loss::None)),
        row(JAEGER, Fault::Hung, 10, Loss::None),
        long(badger(row(JAEGER, Fault::Hung, 190, Loss::None))),
        long(row(VICTORIA_METRICS, Fault::Killed, 10, Loss::None)),
        long(row(VICTORIA_LOGS, Fault::Hung, 30, Loss::None)),
    ]
}
