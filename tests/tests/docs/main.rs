//! Checks that each command block in the documents is run by a test, or is marked with the reason why no test runs it.

mod make;

use std::fs;

use anyhow::{Context as _, Result, ensure};
use sightline_tests::documents::{self, Mark, Runner};
use sightline_tests::test_stack::root;

use crate::make::{CiTargets, check};

/// The expected number of blocks that are marked `no-run`. Increase this number only for commands that no test can run.
const NOT_RUN: usize = 8;

/// The pages with blocks that a test runs, and the source file of each test.
const PAGES: [(Runner, &str, &str); 8] = [
    (Runner::E2e, "README.md", "tests/tests/e2e/examples/docs.rs"),
    (Runner::E2e, "docs/adopt.md", "tests/tests/e2e/examples/docs.rs"),
    (Runner::E2e, "docs/services-file.md", "tests/tests/e2e/docs.rs"),
    (Runner::E2e, "docs/terminal.md", "tests/tests/e2e/examples/docs.rs"),
    (Runner::E2e, "docs/tour.md", "tests/tests/e2e/examples/docs.rs"),
    (Runner::E2e, "docs/troubleshoot.md", "tests/tests/e2e/examples/docs.rs"),
    (Runner::KindE2e, "README.md", "tests/tests/kubernetes/docs.rs"),
    (Runner::KindE2e, "docs/troubleshoot.md", "tests/tests/kubernetes/docs.rs"),
];

#[test]
fn every_block_is_run_or_counted() -> Result<()> {
    let blocks = documents::all()?;
    for runner in Runner::ALL {
        let count = blocks.iter().filter(|block| block.is_for(runner)).count();
        println!("test={}: {count} blocks", runner.name());
    }
    let mut not_run = Vec::new();
    for block in &blocks {
        if let Some(Mark::NoRun(reason)) = block.mark() {
            not_run.push(format!("{block}: {reason}"));
        }
    }
    let (count, list) = (not_run.len(), not_run.join("\n  "));
    println!("no-run: {count} blocks\n  {list}");
    ensure!(
        count == NOT_RUN,
        "{count} blocks are marked `no-run`, but NOT_RUN in {} is {NOT_RUN}. Change this number only if no test can \
         run a new block:\n  {list}",
        file!()
    );
    Ok(())
}

#[test]
fn ci_runs_every_block_marked_ci() -> Result<()> {
    let targets = CiTargets::read(&root())?;
    let mut problems = Vec::new();
    for block in documents::all()?.iter().filter(|block| block.is_for(Runner::Ci)) {
        problems.extend(check(&block.text, &targets).iter().map(|problem| format!("{block}: {problem}")));
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

#[test]
fn every_page_with_blocks_for_a_test_is_run() -> Result<()> {
    for block in documents::all()? {
        let Some(&Mark::Test(runner)) = block.mark() else { continue };
        let known = PAGES.iter().any(|(each, page, _)| *each == runner && *page == block.page);
        ensure!(
            known || runner == Runner::Ci,
            "{block}: no test runs the blocks of this page that are marked `test={}`; add a test and list it in {}",
            runner.name(),
            file!()
        );
    }
    let targets = CiTargets::read(&root())?;
    for (runner, page, file) in PAGES {
        documents::of(page, runner)?;
        let source =
            fs::read_to_string(root().join(file)).with_context(|| format!("reading {file} failed"))?;
        let (path, variant) = (format!("\"{page}\""), format!("Runner::{runner:?}"));
        ensure!(
            source.contains(&path) && source.contains(&variant),
            "{file} does not run {page} with {variant}"
        );
        ensure!(targets.contains(runner.name()), "CI does not run `make {}`", runner.name());
    }
    Ok(())
}
