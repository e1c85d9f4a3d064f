//! Stopping in order, so that what was sent is stored.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::child::Child;
use super::error::describe;
use super::process::Process;

/// Time kept back for each later stage, so that a service that hangs does not cost the pipeline its data.
const RESERVE: Duration = Duration::from_secs(1);

/// How one process ended.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Which.
    pub process: Process,
    /// Its status; `None` where that cannot be known.
    pub status: Option<ExitStatus>,
    /// It did not end in time and was killed.
    pub killed: bool,
    /// From the request to its end.
    pub took: Duration,
}

impl Exit {
    /// It ended when asked, with exit code 0: whatever it had is delivered.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.killed && self.status.is_some_and(|status| status.success())
    }

    /// How it ended, in words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.status {
            _ if self.killed => format!("killed, as it had not ended after {:.1} s", self.took.as_secs_f64()),
            Some(status) => describe(status),
            None => "status unknown".to_owned(),
        }
    }
}

/// Stops these children, stage by stage, all within this time.
pub(super) async fn stop(mut children: Vec<Child>, within: Duration) -> Vec<Exit> {
    let end = Instant::now() + within;
    let mut exits = Vec::new();
    for stage in 0..Process::STAGES {
        let (now, later) = children.into_iter().partition(|child| child.process.stage() == stage);
        children = later;
        // Only for those who are there: a service that is stopped by itself has all the time. With little time in all,
        // each stage still gets its share.
        let stages = (stage + 1..Process::STAGES)
            .filter(|&stage| children.iter().any(|child| child.process.stage() == stage));
        let later = u32::try_from(stages.count()).unwrap_or(Process::STAGES);
        let reserve = RESERVE.min(within / (Process::STAGES + 1)) * later;
        exits.extend(stop_together(now, end - reserve).await);
    }
    exits
}

async fn stop_together(children: Vec<Child>, deadline: Instant) -> Vec<Exit> {
    let began = Instant::now();
    for child in &children {
        child.terminate();
    }
    let mut exits = Vec::new();
    for child in children {
        let in_time = timeout_at(deadline, child.wait()).await;
        let status = if let Ok(status) = in_time {
            status
        } else {
            child.kill();
            child.wait().await
        };
        exits.push(Exit { process: child.process, status, killed: in_time.is_err(), took: began.elapsed() });
    }
    exits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    /// A shell that says "up" and ends as the script says.
    async fn child(dir: &Path, process: Process, script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{script}; echo up; while :; do sleep 0.01; done")]);
        let child = Child::spawn(process, command, dir.join(format!("{process}.log"))).unwrap();
        while child.tail().is_empty() {
            tokio::task::yield_now().await;
        }
        child
    }

    #[tokio::test]
    async fn senders_stop_before_receivers() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("order");
        let mut children = Vec::new();
        for process in Process::ALL {
            let script = format!("trap 'echo {process} >> {}; exit 0' TERM", note.display());
            children.push(child(dir.path(), process, &script).await);
        }
        let exits = stop(children, Duration::from_secs(10)).await;
        assert!(exits.iter().all(Exit::is_clean), "{exits:?}");
        let order = std::fs::read_to_string(note).unwrap();
        let order: Vec<_> = order.lines().collect();
        assert_eq!((order[0], &order[3..]), ("order-service", &["agent", "gateway", "jaeger"][..]));
    }

    #[tokio::test]
    async fn one_by_itself_has_all_the_time() {
        let dir = tempfile::tempdir().unwrap();
        // Two thirds of the time: with a reserve for stages that are not there it would be killed.
        let slow = child(dir.path(), Process::UserService, "trap 'sleep 2; exit 0' TERM").await;
        let exits = stop(vec![slow], Duration::from_secs(3)).await;
        assert!(exits[0].is_clean(), "{}", exits[0].describe());
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_and_costs_the_others_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let children = vec![
            child(dir.path(), Process::OrderService, "trap '' TERM").await,
            child(dir.path(), Process::Gateway, "trap 'exit 3' TERM").await,
            child(dir.path(), Process::Jaeger, "trap 'exit 0' TERM").await,
        ];
        let began = Instant::now();
        let exits = stop(children, Duration::from_secs(2)).await;
        assert!(began.elapsed() < Duration::from_secs(4));
        let words: Vec<_> = exits.iter().map(Exit::describe).collect();
        assert!(exits[0].killed && words[0].starts_with("killed, as it had not ended"), "{words:?}");
        assert_eq!(
            (words[1].as_str(), exits[1].is_clean(), exits[2].is_clean()),
            ("exit code 3", false, true)
        );
    }
}
