//! Stops the processes in an order in which all telemetry reaches Jaeger.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::child::Child;
use super::error::describe;
use super::process::Process;

/// The time that is reserved for each stage of the shutdown that has not started yet. Without this time, a service that
/// hangs could use up the whole timeout. The pipeline would then have no time to drain, and would lose data.
const RESERVE: Duration = Duration::from_secs(1);

/// How one process ended.
#[derive(Debug, Clone)]
pub struct Exit {
    /// The process.
    pub process: Process,
    /// Its exit status; `None` if it could not be determined.
    pub status: Option<ExitStatus>,
    /// Whether the process was killed because it did not exit in time.
    pub killed: bool,
    /// The time from SIGTERM until the stack noticed the exit. The stack waits for the processes of a stage one after
    /// the other, so this time can be longer than the process needed.
    pub took: Duration,
}

impl Exit {
    /// Whether the process exited in time with exit code 0. This means that it has delivered all its telemetry.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.killed && self.status.is_some_and(|status| status.success())
    }

    /// Describes how the process ended, such as "exit code 1".
    #[must_use]
    pub fn describe(&self) -> String {
        match self.status {
            _ if self.killed => {
                format!("killed, because it did not exit within {:.1} s", self.took.as_secs_f64())
            }
            Some(status) => describe(status),
            None => "status unknown".to_owned(),
        }
    }
}

/// Stops the children stage by stage, all of them within `timeout`. Each process is in one of the stages.
pub(super) async fn stop(mut children: Vec<Child>, stages: &[Vec<Process>], timeout: Duration) -> Vec<Exit> {
    let end = Instant::now() + timeout;
    // If the timeout is short, reserve an equal share of it for each stage.
    let share = u32::try_from(stages.len() + 1).map_or(Duration::ZERO, |shares| timeout / shares);
    let mut exits = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        let (now, later) = children.into_iter().partition(|child| stage.contains(&child.process));
        children = later;
        // Reserve time only for stages that have processes. A process that is stopped alone can then use the whole
        // timeout.
        let has_children =
            |stage: &&Vec<Process>| children.iter().any(|child| stage.contains(&child.process));
        let reserve: Duration =
            stages[index + 1..].iter().filter(has_children).map(|_| RESERVE.min(share)).sum();
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
        let process = child.process.clone();
        exits.push(Exit { process, status, killed: in_time.is_err(), took: began.elapsed() });
    }
    exits
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::super::tests::example;
    use super::*;

    /// Starts a shell that runs the script and prints "up". The shell then waits for a signal.
    async fn child(dir: &Path, process: &str, script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{script}; echo up; while :; do sleep 0.01; done")]);
        let child = Child::spawn(process.into(), command, dir.join(format!("{process}.log"))).unwrap();
        while child.log_end().lines.is_empty() {
            tokio::task::yield_now().await;
        }
        child
    }

    #[tokio::test]
    async fn senders_stop_before_receivers() {
        let dir = tempfile::tempdir().unwrap();
        let order_file = dir.path().join("order");
        let mut children = Vec::new();
        for process in example().processes() {
            let name = &process.name;
            let script = format!("trap 'echo {name} >> {}; exit 0' TERM", order_file.display());
            children.push(child(dir.path(), name, &script).await);
        }
        let exits = stop(children, &example().stages(), Duration::from_secs(10)).await;
        assert!(exits.iter().all(Exit::is_clean), "{exits:?}");
        let order = std::fs::read_to_string(order_file).unwrap();
        let order: Vec<_> = order.lines().collect();
        // The processes of one stage stop in any order.
        let is_ordered =
            |names: &[&str]| names.is_sorted_by_key(|name| order.iter().position(|process| process == name));
        assert!(is_ordered(&["job", "front-service", "back-end", "agent", "gateway", "jaeger"]), "{order:?}");
        assert!(is_ordered(&["vmalert", "victoria-metrics"]), "{order:?}");
        for name in ["jaeger", "vmauth"] {
            for store in ["victoria-metrics", "victoria-logs"] {
                assert!(is_ordered(&[name, store]), "{order:?}");
            }
        }
        assert_eq!(order.len(), example().processes().len());
    }

    #[tokio::test]
    async fn a_process_stopped_alone_can_use_the_whole_timeout() {
        let dir = tempfile::tempdir().unwrap();
        // The process needs two thirds of the timeout. If time were reserved for other stages, the process
        // would be killed.
        let slow = child(dir.path(), "back-end", "trap 'sleep 2; exit 0' TERM").await;
        let exits = stop(vec![slow], &example().stages(), Duration::from_secs(3)).await;
        assert!(exits[0].is_clean(), "{}", exits[0].describe());
    }

    #[tokio::test]
    async fn a_process_that_hangs_is_killed_and_does_not_affect_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let children = vec![
            child(dir.path(), "front-service", "trap '' TERM").await,
            child(dir.path(), "gateway", "trap 'exit 3' TERM").await,
            child(dir.path(), "jaeger", "trap 'exit 0' TERM").await,
        ];
        let began = Instant::now();
        let exits = stop(children, &example().stages(), Duration::from_secs(2)).await;
        assert!(began.elapsed() < Duration::from_secs(4));
        let descriptions: Vec<_> = exits.iter().map(Exit::describe).collect();
        assert!(exits[0].killed && descriptions[0].starts_with("killed, because"), "{descriptions:?}");
        assert_eq!(
            (descriptions[1].as_str(), exits[1].is_clean(), exits[2].is_clean()),
            ("exit code 3", false, true)
        );
    }
}
