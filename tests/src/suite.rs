//! The list of tests, and what they share.
//!
//! The standard harness ends its process without dropping what is static, and what tests share would live on. Here one
//! function holds it: it ends after the tests, whatever became of them.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::lab::Lab;

/// Tests wait more than they work, so more of them run at a time than there are processors.
const AT_A_TIME: usize = 6;

/// Tests under way to be run.
#[derive(Debug)]
pub struct Suite {
    runtime: Arc<Runtime>,
    lab: Arc<OnceCell<Lab>>,
    tests: Vec<Trial>,
}

impl Suite {
    /// An empty list. Fails where there can be no runtime.
    pub fn new() -> Result<Self> {
        // Whoever was first has installed the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self { runtime: Arc::new(Runtime::new()?), lab: Arc::default(), tests: Vec::new() })
    }

    /// Adds a test on the stack that all such tests share. It leaves the stack as it is.
    pub fn shared(&mut self, name: &str, test: impl AsyncFnOnce(&Lab) -> Result<()> + Send + 'static) {
        let lab = Arc::clone(&self.lab);
        self.alone(name, async move || {
            test(lab.get_or_try_init(|| Lab::start(|config| config)).await?).await
        });
    }

    /// Adds a test that sees to everything itself.
    pub fn alone(&mut self, name: &str, test: impl AsyncFnOnce() -> Result<()> + Send + 'static) {
        let runtime = Arc::clone(&self.runtime);
        // Without the backtrace, which leads into the runtime.
        let run = move || runtime.block_on(test()).map_err(|error| Failed::from(format!("{error:#}")));
        self.tests.push(Trial::test(name, run));
    }

    /// Runs those that the command line asks for. The shared stack has to stop cleanly too, so that no test leaves a
    /// loss behind unseen.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a test's result goes where the harness' goes")]
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(AT_A_TIME);
        let conclusion = libtest_mimic::run(&arguments, self.tests);
        let lab = Arc::try_unwrap(self.lab).ok().and_then(OnceCell::into_inner);
        let stopped = lab.map_or(Ok(()), |lab| self.runtime.block_on(lab.stop()));
        if let Err(error) = &stopped {
            eprintln!("the shared stack did not stop cleanly: {error:#}");
        }
        if conclusion.has_failed() || stopped.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
