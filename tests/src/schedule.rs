//! The order of the cases: groups run one after another, the lanes of a group run side by side, and the cases of a lane
//! run one after another.
//!
//! Use it for cases that mostly wait and that share an installation, where some cases must not run at the same time.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

/// The outcome of a case. The error is the complete message.
pub type Outcome = Result<(), String>;

/// The code of a case.
type Run = Box<dyn FnOnce() -> Outcome + Send>;

thread_local! {
    /// The name of the case that runs on this thread.
    static CASE: RefCell<Option<&'static str>> = const { RefCell::new(None) };
}

/// Prints the current step, because a case can take minutes. The line starts with the name of the case, because the
/// lines of several cases can be mixed.
#[expect(clippy::print_stderr, reason = "the test harness prints its progress to stderr too")]
pub fn progress(step: impl std::fmt::Display) {
    let case = CASE.with_borrow(|case| *case);
    match case {
        Some(case) => eprintln!("    … {case}: {step}"),
        None => eprintln!("    … {step}"),
    }
}

struct Case {
    name: &'static str,
    run: Run,
    outcome: mpsc::Sender<Outcome>,
}

/// The cases of one lane, in order.
#[derive(Default)]
pub struct Lane(Vec<(&'static str, Run)>);

impl Lane {
    /// Adds a case to the end of the lane.
    #[must_use]
    pub fn case(mut self, name: &'static str, run: impl FnOnce() -> Outcome + Send + 'static) -> Self {
        self.0.push((name, Box::new(run)));
        self
    }
}

/// The times and the outcome of a case that has run.
struct Report {
    group: &'static str,
    name: &'static str,
    start: Duration,
    duration: Duration,
    outcome: Outcome,
}

/// The groups of cases, in order.
pub struct Schedule {
    before: (&'static str, Box<dyn FnOnce() + Send>),
    groups: Vec<(&'static str, Vec<Lane>)>,
}

/// The reports of the cases that have run.
pub struct Reports(Arc<Mutex<Vec<Report>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Schedule {
    /// Creates a schedule that runs `before` before the first case. `name` is its name in the table of times.
    #[must_use]
    pub fn new(name: &'static str, before: impl FnOnce() + Send + 'static) -> Self {
        Self { before: (name, Box::new(before)), groups: Vec::new() }
    }

    /// Adds a group. Its lanes run side by side, after all cases of the previous group have finished.
    pub fn group(&mut self, name: &'static str, lanes: impl IntoIterator<Item = Lane>) {
        self.groups.push((name, lanes.into_iter().collect()));
    }

    /// Returns one trial for each case, and the reports of the cases.
    ///
    /// The trials must run on one thread: each trial only waits for the outcome of its case, and the first trial starts
    /// the cases that `arguments` selects. The harness then prints the results in the order of this schedule, although
    /// cases run side by side.
    #[must_use]
    pub fn into_trials(self, arguments: &Arguments) -> (Vec<Trial>, Reports) {
        let reports = Arc::<Mutex<Vec<Report>>>::default();
        let started = Arc::new(Mutex::new(None));
        let (mut trials, mut groups) = (Vec::new(), Vec::new());
        for (group, lanes) in self.groups {
            let mut selected_lanes = Vec::new();
            for lane in lanes {
                let mut selected = Vec::new();
                for (name, run) in lane.0 {
                    let (sender, outcome) = mpsc::channel();
                    let started = Arc::clone(&started);
                    let trial = Trial::test(name, move || wait(&started, &outcome)).with_ignored_flag(true);
                    if !arguments.is_filtered_out(&trial) {
                        selected.push(Case { name, run, outcome: sender });
                    }
                    trials.push(trial);
                }
                selected_lanes.push(selected);
            }
            groups.push((group, selected_lanes));
        }
        *lock(&started) = Some(Start { before: self.before, groups, reports: Arc::clone(&reports) });
        (trials, Reports(reports))
    }
}

/// The selected cases before the first of them starts.
struct Start {
    before: (&'static str, Box<dyn FnOnce() + Send>),
    groups: Vec<(&'static str, Vec<Vec<Case>>)>,
    reports: Arc<Mutex<Vec<Report>>>,
}

/// Starts all selected cases if they have not been started yet, and waits for the outcome of one case.
fn wait(started: &Mutex<Option<Start>>, outcome: &mpsc::Receiver<Outcome>) -> Result<(), Failed> {
    if let Some(start) = lock(started).take() {
        thread::spawn(move || run_groups(start));
    }
    let outcome = outcome.recv().unwrap_or_else(|_| Err("the case did not run".to_owned()));
    outcome.map_err(Failed::from)
}

fn run_groups(Start { before: (name, before), groups, reports }: Start) {
    let began = Instant::now();
    before();
    let duration = began.elapsed();
    lock(&reports).push(Report { group: "", name, start: Duration::ZERO, duration, outcome: Ok(()) });
    for (group, lanes) in groups {
        thread::scope(|scope| {
            for lane in lanes {
                let reports = &reports;
                scope.spawn(move || {
                    for case in lane {
                        let start = began.elapsed();
                        CASE.set(Some(case.name));
                        // After a panic, the other cases still run.
                        let outcome = catch_unwind(AssertUnwindSafe(case.run));
                        let outcome = outcome.unwrap_or_else(|_| Err("the case panicked".to_owned()));
                        let duration = began.elapsed().saturating_sub(start);
                        // The harness reports failures only after the last case, so this prints each failure
                        // immediately.
                        match &outcome {
                            Ok(()) => progress(format!("passed in {:.0} s", duration.as_secs_f64())),
                            Err(error) => {
                                progress(format!("failed after {:.0} s: {error}", duration.as_secs_f64()));
                            }
                        }
                        let report =
                            Report { group, name: case.name, start, duration, outcome: outcome.clone() };
                        lock(reports).push(report);
                        // The receiver is gone only if the harness has stopped.
                        let _ = case.outcome.send(outcome);
                    }
                });
            }
        });
    }
}

impl Reports {
    /// Returns a table with one line for each case that has run, in the order in which the cases started.
    #[must_use]
    pub fn table(&self) -> Option<String> {
        let mut reports = lock(&self.0);
        reports.sort_by_key(|report| report.start);
        let width = reports.iter().map(|report| report.name.len()).max()?;
        let mut text = format!("{:<width$} {:>7} {:>8}  {:<6}  group", "case", "start", "seconds", "result");
        for Report { group, name, start, duration, outcome } in reports.iter() {
            let (start, seconds) = (start.as_secs_f64(), duration.as_secs_f64());
            let result = if outcome.is_ok() { "passed" } else { "failed" };
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{name:<width$} {start:>7.0} {seconds:>8.1}  {result}  {group}");
        }
        Some(text)
    }

    /// Returns the names and errors of the cases that failed, for the end of the output. A log that is cut in the middle
    /// still has the end.
    #[must_use]
    pub fn failures(&self) -> Option<String> {
        let reports = lock(&self.0);
        let failures =
            reports.iter().filter_map(|report| Some((report.name, report.outcome.as_ref().err()?)));
        let failures: Vec<_> = failures.map(|(name, error)| format!("{name}: {error}")).collect();
        (!failures.is_empty()).then(|| format!("failed cases: {}\n{}", failures.len(), failures.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Log = Arc<Mutex<Vec<&'static str>>>;

    fn append(log: &Log, text: &'static str) -> impl FnOnce() -> Outcome + Send + 'static {
        let log = Arc::clone(log);
        move || {
            lock(&log).push(text);
            Ok(())
        }
    }

    fn run(schedule: Schedule, arguments: &[&str]) -> (libtest_mimic::Conclusion, Reports) {
        // Without a log file, the harness would print failures that are expected here to the output of the real tests.
        let options = ["test", "--ignored", "--logfile=/dev/null", "--test-threads=1"];
        let arguments = options.iter().chain(arguments);
        let arguments = Arguments::from_iter(arguments);
        let (trials, reports) = schedule.into_trials(&arguments);
        (libtest_mimic::run(&arguments, trials), reports)
    }

    #[test]
    fn groups_and_the_cases_of_a_lane_run_in_order() {
        let log = Log::default();
        let before = append(&log, "before");
        let mut schedule = Schedule::new("before", move || before().unwrap_or_default());
        let lane = Lane::default().case("a::one", append(&log, "one")).case("a::two", append(&log, "two"));
        schedule.group("first", [lane]);
        schedule.group("second", [Lane::default().case("b::three", append(&log, "three"))]);
        let (conclusion, reports) = run(schedule, &[]);
        assert_eq!(conclusion.num_passed, 3);
        assert_eq!(*lock(&log), ["before", "one", "two", "three"]);
        let table = reports.table().unwrap_or_default();
        let names: Vec<_> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["case", "before", "a::one", "a::two", "b::three"]);
    }

    #[test]
    fn lanes_of_a_group_run_side_by_side() {
        // Each case waits for a message from the other one.
        let (to_one, from_two) = mpsc::channel();
        let (to_two, from_one) = mpsc::channel();
        let exchange = |to: mpsc::Sender<()>, from: mpsc::Receiver<()>| {
            move || {
                to.send(()).map_err(|error| error.to_string())?;
                from.recv_timeout(Duration::from_secs(30)).map_err(|error| error.to_string())
            }
        };
        let mut schedule = Schedule::new("before", || {});
        let lanes = [
            Lane::default().case("one", exchange(to_two, from_two)),
            Lane::default().case("two", exchange(to_one, from_one)),
        ];
        schedule.group("group", lanes);
        assert_eq!(run(schedule, &[]).0.num_passed, 2);
    }

    #[test]
    fn only_selected_cases_run() {
        let log = Log::default();
        let mut schedule = Schedule::new("before", || {});
        let lane = Lane::default().case("one", append(&log, "one")).case("two", append(&log, "two"));
        schedule.group("group", [lane]);
        assert_eq!(run(schedule, &["two"]).0.num_passed, 1);
        assert_eq!(*lock(&log), ["two"]);
    }

    #[test]
    fn cases_run_after_a_failure_and_after_a_panic() {
        let mut schedule = Schedule::new("before", || {});
        let lane = Lane::default()
            .case("fails", || Err("wrong".to_owned()))
            .case("panics", || panic!("broken"))
            .case("passes", || Ok(()));
        schedule.group("group", [lane]);
        let (conclusion, reports) = run(schedule, &[]);
        assert_eq!((conclusion.num_failed, conclusion.num_passed), (2, 1));
        let failures = "failed cases: 2\nfails: wrong\npanics: the case panicked";
        assert_eq!(reports.failures().as_deref(), Some(failures));
        let table = reports.table().unwrap_or_default();
        let results: Vec<_> =
            table.lines().skip(2).filter_map(|line| line.split_whitespace().nth(3)).collect();
        assert_eq!(results, ["failed", "failed", "passed"]);
    }
}
