//! A list of tests, and the stacks that the tests share.
//!
//! The standard test harness does not drop statics when its process exits, so a shared stack in a static would keep
//! running after the tests. [`Suite`] owns the stack instead, and stops the stack after the tests, whether the tests
//! pass or fail.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::examples;
use crate::test_stack::TestStack;

/// The default maximum number of tests that run at the same time. The default does not depend on the number of
/// processors, because the tests spend most of their time waiting.
const TEST_THREADS: usize = 6;

/// A list of tests to run.
#[derive(Debug)]
pub struct Suite {
    runtime: Arc<Runtime>,
    stack: Arc<OnceCell<TestStack>>,
    checkout: Arc<OnceCell<TestStack>>,
    tests: Vec<Trial>,
}

impl Suite {
    /// Creates an empty list. Fails if the Tokio runtime cannot be created.
    pub fn new() -> Result<Self> {
        // An error means that a cryptography provider is already installed. The error is ignored, because all code in
        // this process installs the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            runtime: Arc::new(Runtime::new()?),
            stack: Arc::default(),
            checkout: Arc::default(),
            tests: Vec::new(),
        })
    }

    /// Adds a test that uses the shared stack. The test must not stop the processes of the stack or change their state.
    pub fn add_shared(
        &mut self,
        name: &str,
        test: impl AsyncFnOnce(&TestStack) -> Result<()> + Send + 'static,
    ) {
        let stack = Arc::clone(&self.stack);
        self.add_standalone(name, async move || {
            test(stack.get_or_try_init(|| TestStack::start(|config| config)).await?).await
        });
    }

    /// Adds a test that uses the shared stack of the services in `sightline.toml`. As with
    /// [`add_shared`](Self::add_shared), the test must not change the state of the stack.
    pub fn add_checkout(
        &mut self,
        name: &str,
        test: impl AsyncFnOnce(&TestStack) -> Result<()> + Send + 'static,
    ) {
        let stack = Arc::clone(&self.checkout);
        self.add_standalone(name, async move || {
            test(stack.get_or_try_init(TestStack::start_checkout).await?).await
        });
    }

    /// Adds the tests of the examples. If `sightline.toml` does not have the examples, the tests are ignored, and the
    /// reason is printed.
    pub fn add_examples(&mut self, add: impl FnOnce(&mut Self)) -> Result<()> {
        self.add_unless(examples::skip_reason()?, add);
        Ok(())
    }

    /// Adds tests that cannot run here if there is a reason. Then the tests are ignored, and the reason is printed.
    #[expect(clippy::print_stderr, reason = "the test harness prints its results to stderr too")]
    pub fn add_unless(&mut self, reason: Option<String>, add: impl FnOnce(&mut Self)) {
        let before = self.tests.len();
        add(self);
        if let Some(reason) = reason {
            let skipped = self.tests.split_off(before);
            for test in &skipped {
                eprintln!("skipped: {}: {reason}", test.name());
            }
            self.tests.extend(skipped.into_iter().map(|test| test.with_ignored_flag(true)));
        }
    }

    /// Adds a test that does not use a shared stack.
    pub fn add_standalone(&mut self, name: &str, test: impl AsyncFnOnce() -> Result<()> + Send + 'static) {
        let runtime = Arc::clone(&self.runtime);
        // The message has no backtrace, because a backtrace would show only frames of the runtime.
        let run = move || runtime.block_on(test()).map_err(|error| Failed::from(format!("{error:#}")));
        self.tests.push(Trial::test(name, run));
    }

    /// Runs the tests that the command line selects. Returns a failure if a test fails. Also returns a failure if the
    /// shared stack does not stop cleanly, because this means that telemetry was lost.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "the test harness prints its results to stderr too")]
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(TEST_THREADS);
        let conclusion = libtest_mimic::run(&arguments, self.tests);
        let mut failed = conclusion.has_failed();
        for stack in [self.stack, self.checkout] {
            let Some(stack) = Arc::try_unwrap(stack).ok().and_then(OnceCell::into_inner) else { continue };
            if let Err(error) = self.runtime.block_on(stack.stop()) {
                eprintln!("a shared stack did not stop cleanly: {error:#}");
                failed = true;
            }
        }
        if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
