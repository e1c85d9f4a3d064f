//! The graph of calls: cycles, and the order in which processes are stopped.

use super::super::process::Process;
use super::{AGENT, ProcessSpec};

/// Returns the names in one cycle of calls, such as `[a, b, a]`, or `None` if there is no cycle.
pub(super) fn find_cycle(processes: &[ProcessSpec]) -> Option<Vec<Process>> {
    let mut done = Vec::new();
    processes.iter().find_map(|process| visit(process, processes, &mut Vec::new(), &mut done))
}

fn visit(
    process: &ProcessSpec,
    all: &[ProcessSpec],
    path: &mut Vec<Process>,
    done: &mut Vec<Process>,
) -> Option<Vec<Process>> {
    if let Some(start) = path.iter().position(|name| *name == process.name) {
        let mut cycle = path.split_off(start);
        cycle.push(process.name.clone());
        return Some(cycle);
    }
    if done.contains(&process.name) {
        return None;
    }
    path.push(process.name.clone());
    let found = callees(process, all).find_map(|callee| visit(callee, all, path, done));
    if found.is_none() {
        path.pop();
        done.push(process.name.clone());
    }
    found
}

/// Returns the processes that this process sends requests or telemetry to.
fn callees<'a>(process: &'a ProcessSpec, all: &'a [ProcessSpec]) -> impl Iterator<Item = &'a ProcessSpec> {
    all.iter()
        .filter(|other| process.calls.contains(&other.name) || (process.is_service() && other.name == AGENT))
}

/// Returns the stages of the shutdown: see [`StackSpec::stages`](super::StackSpec::stages). There must be no cycle.
pub(super) fn stages(processes: &[ProcessSpec]) -> Vec<Vec<Process>> {
    let mut left: Vec<&ProcessSpec> = processes.iter().collect();
    let mut stages = Vec::new();
    while !left.is_empty() {
        let is_called = |process: &ProcessSpec| {
            left.iter().any(|caller| callees(caller, processes).any(|callee| callee.name == process.name))
        };
        let (later, now): (Vec<&ProcessSpec>, Vec<&ProcessSpec>) =
            left.iter().copied().partition(|process| is_called(process));
        if now.is_empty() {
            // There is a cycle, which the parser rejects. Stop the processes of the cycle together.
            stages.push(later.iter().map(|process| process.name.clone()).collect());
            break;
        }
        stages.push(now.iter().map(|process| process.name.clone()).collect());
        left = later;
    }
    stages
}
