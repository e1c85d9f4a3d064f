//! A table of faults: what each fault costs a caller, and what becomes of every span that was made.
//!
//! Each row starts its own stack, requests orders at a steady rate, breaks a part of the stack, mends it, and compares the
//! spans that were made with those that are stored and those that a process counted as lost. The rows run one after the
//! other, because they measure times. The long rows are ignored unless `--include-ignored` is given.

mod load;
mod rows;
mod run;
mod stored;
mod table;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

use self::table::Table;

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let runtime = Arc::new(Runtime::new()?);
    let table = Arc::<Mutex<Table>>::default();
    let trials = rows::all().into_iter().map(|row| {
        let (runtime, table) = (Arc::clone(&runtime), Arc::clone(&table));
        let (name, ignored) = (row.name(), row.long);
        let test = move || {
            let outcome = runtime.block_on(run::run(&row)).and_then(|measured| {
                let judged = row.judge(&measured);
                table.lock().unwrap_or_else(PoisonError::into_inner).add(&row, &measured);
                judged
            });
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        };
        Trial::test(name, test).with_ignored_flag(ignored)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    table.lock().unwrap_or_else(PoisonError::into_inner).report()?;
    Ok(conclusion.exit_code())
}
