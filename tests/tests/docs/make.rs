//! The `make` targets that continuous integration runs.
//!
//! `.ci/run` and the workflows start some targets. For each target that runs, `make` also runs its prerequisites and
//! the targets that its recipe starts. The tests on a cluster start further targets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The target that runs the tests on a cluster, and the directory that contains the source files of these tests.
const CLUSTER_TESTS: (&str, &str) = ("kind-e2e", "tests/tests/kubernetes");

/// The names of the targets that continuous integration runs.
pub(crate) struct CiTargets(BTreeSet<String>);

impl CiTargets {
    /// Reads the targets from the files below `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("reading {} failed", path.display()))
        };
        let mut started = targets_of_script(&read(&root.join(".ci/run"))?);
        for workflow in files(&root.join(".github/workflows"))? {
            started.extend(targets_of_workflow(&read(&workflow)?));
        }
        ensure!(!started.is_empty(), "no `make` target was found in .ci/run or the workflows");

        let makefile = read(&root.join("Makefile"))?;
        let mut rules = rules(&makefile);
        let (target, directory) = CLUSTER_TESTS;
        for source in files(&root.join(directory))? {
            rules.entry(target.to_owned()).or_default().extend(targets_of_test(&read(&source)?));
        }
        let mut targets = closure(started, &rules);
        if targets.contains("demo") && differs_only_in(&makefile, ("up", "demo"), " --demo") {
            targets.insert("up".to_owned());
        }
        Ok(Self(targets))
    }

    pub(crate) fn contains(&self, target: &str) -> bool {
        self.0.contains(target)
    }
}

/// Returns a message for each line of `commands` that CI does not run.
pub(crate) fn check(commands: &str, targets: &CiTargets) -> Vec<String> {
    let lines = commands.lines().map(without_comment).filter(|line| !line.is_empty());
    lines.filter_map(|line| check_line(line, targets).err()).collect()
}

fn check_line(line: &str, targets: &CiTargets) -> Result<(), String> {
    let mut words = line.split_whitespace();
    if words.next() != Some("make") {
        return Err(format!("`{line}` is not a `make` command, so it cannot have the mark `test=ci`"));
    }
    match words.find(|word| !targets.contains(word)) {
        Some(word) => Err(format!("CI does not run `{word}` in `{line}`")),
        None if line == "make" => Err("`make` alone runs no target".to_owned()),
        None => Ok(()),
    }
}

fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default().trim() }
}

/// Returns the targets in `started` and all targets that their rules lead to, directly or indirectly.
fn closure(started: BTreeSet<String>, rules: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut pending: Vec<String> = started.into_iter().collect();
    while let Some(target) = pending.pop() {
        pending.extend(rules.get(&target).into_iter().flatten().cloned());
        reached.insert(target.clone());
        pending.retain(|next| !reached.contains(next));
    }
    reached
}

/// Returns the targets that `.ci/run` starts through its `run` function: `run TARGET`.
fn targets_of_script(script: &str) -> BTreeSet<String> {
    let lines = script.lines().map(without_comment).filter(|line| line.starts_with("run "));
    lines.flat_map(|line| after(line, "run")).collect()
}

/// Returns the targets that the steps of a workflow start: `make TARGET`.
fn targets_of_workflow(workflow: &str) -> BTreeSet<String> {
    let lines = workflow.lines().map(without_comment).filter(|line| !line.contains("name:"));
    lines.flat_map(|line| after(line, "make")).collect()
}

/// Returns the targets that a recipe starts through `tools/test.sh` or another `make`.
fn targets_of_recipe(line: &str) -> impl Iterator<Item = String> {
    after(line, "tools/test.sh").chain(after(line, "$(MAKE)"))
}

/// Returns the targets in the words after `command`, up to the next `&&`, `||`, `|` or `;`.
fn after(line: &str, command: &str) -> impl Iterator<Item = String> {
    let words = line.split_whitespace().skip_while(move |word| *word != command).skip(1);
    let arguments = words.take_while(|word| !["&&", "||", "|", ";"].contains(word));
    arguments.filter(|word| is_target(word)).map(str::to_owned)
}

fn is_target(word: &str) -> bool {
    let is_part = |each: char| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '-';
    word.starts_with(|first: char| first.is_ascii_lowercase()) && word.chars().all(is_part)
}

/// For each target, returns its prerequisites and the targets that its recipe starts. Variables such as `$(pipeline)`
/// are left out.
fn rules(makefile: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut rules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current: Vec<String> = Vec::new();
    for line in makefile.lines() {
        let found: Vec<String> = if line.starts_with('\t') {
            targets_of_recipe(line).collect()
        } else if let Some((targets, prerequisites)) = rule(line) {
            current = targets.split_whitespace().map(str::to_owned).collect();
            prerequisites.split_whitespace().filter(|word| is_target(word)).map(str::to_owned).collect()
        } else {
            continue;
        };
        for target in &current {
            rules.entry(target.clone()).or_default().extend(found.iter().cloned());
        }
    }
    rules
}

/// Splits a rule into its targets and prerequisites. An assignment is not a rule, even if it applies to a single
/// target.
fn rule(line: &str) -> Option<(&str, &str)> {
    let line = line.split("##").next()?;
    let (targets, prerequisites) = line.split_once(':')?;
    (!targets.starts_with(['#', '.']) && !line.contains('=')).then_some((targets, prerequisites))
}

/// Whether the rules of two targets are the same, except that the recipe of the second target also contains `argument`.
///
/// `make up` runs until Ctrl-C, so continuous integration runs `make demo` instead. If the rules of `up` and `demo`
/// differ only in `--demo`, `up` counts as run.
fn differs_only_in(makefile: &str, (first, second): (&str, &str), argument: &str) -> bool {
    let text = |target: &str| {
        let mut lines = makefile.lines().skip_while(|line| !line.starts_with(&format!("{target}:")));
        let prerequisites = rule(lines.next()?)?.1.trim();
        let recipe: Vec<_> = lines.take_while(|line| line.starts_with('\t')).collect();
        Some((prerequisites, recipe.join("\n")))
    };
    match (text(first), text(second)) {
        (Some(first), Some((prerequisites, recipe))) => {
            recipe.contains(argument) && first == (prerequisites, recipe.replacen(argument, "", 1))
        }
        _ => false,
    }
}

/// Returns the targets that a test on a cluster starts: the first argument of `make(…)` and `make_command(…)`.
fn targets_of_test(source: &str) -> BTreeSet<String> {
    let calls = ["make(\"", "make_command(\""].into_iter().flat_map(|call| source.split(call).skip(1));
    let names = calls.filter_map(|rest| rest.split('"').next());
    names.filter(|name| is_target(name)).map(str::to_owned).collect()
}

/// Returns the files in a directory, or no files if the directory does not exist.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let entries =
        fs::read_dir(directory).with_context(|| format!("reading {} failed", directory.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.into_iter().map(str::to_owned).collect()
    }

    const MAKEFILE: &str = "\
# comment: not a rule
.PHONY: test
pipeline := $(filter bin/otelcol,$(collector))
KIND ?= kind
test: need-cargo ## everything: all of it
\t@MAKE=\"$(MAKE)\" tools/test.sh lint unit
lint unit: export A = 0
lint unit: need-cargo $(pipeline)
\tcargo build
images: build
\t$(MAKE) --no-print-directory tools
";

    #[test]
    fn reads_prerequisites_and_recipes() {
        let rules = rules(MAKEFILE);
        assert_eq!(rules["test"], set(["need-cargo", "lint", "unit"]));
        assert_eq!(rules["unit"], set(["need-cargo"]));
        assert_eq!(rules["images"], set(["build", "tools"]));
        assert_eq!(rules.keys().cloned().collect::<BTreeSet<_>>(), set(["images", "lint", "test", "unit"]));
    }

    #[test]
    fn reads_scripts_workflows_and_tests() {
        let script = "#!/bin/sh\n# make nothing\nrun() {\n  make --no-print-directory \"$@\"\n}\n\
                      run test\n  run demo ARGS=--x\n\
                      summary=\"${summary}make kind-e2e: skipped\"\n";
        assert_eq!(targets_of_script(script), set(["demo", "test"]));
        let workflow = "steps:\n  - name: make test\n    run: make lint unit && echo done\n";
        assert_eq!(targets_of_workflow(workflow), set(["lint", "unit"]));
        let test =
            "cluster.make(\"kind-up\", &[]).await?;\nlet a = x.make_command(\"chart\", &[\"ARGS=a\"]);";
        assert_eq!(targets_of_test(test), set(["chart", "kind-up"]));
    }

    #[test]
    fn follows_rules_from_the_started_targets() {
        assert_eq!(closure(set(["test"]), &rules(MAKEFILE)), set(["lint", "need-cargo", "test", "unit"]));
    }

    #[test]
    fn compares_the_rules_of_two_targets() {
        let makefile =
            "up: build ## one\n\trun up\n\ndemo: build\n\trun up --demo\n\nother: test\n\trun up --demo\n";
        assert!(differs_only_in(makefile, ("up", "demo"), " --demo"));
        for (first, second) in [("up", "other"), ("up", "up"), ("demo", "up"), ("up", "none")] {
            assert!(!differs_only_in(makefile, (first, second), " --demo"), "{first} {second}");
        }
    }

    #[test]
    fn reports_each_line_that_ci_does_not_run() {
        let targets = CiTargets(set(["test", "up"]));
        let commands = "# comment\nmake test   # all of it\n\nmake up test\n";
        assert_eq!(check(commands, &targets), Vec::<String>::new());
        let commands = "make\nmake other\nmake test ARGS=one\nhelm install\n";
        assert_eq!(
            check(commands, &targets),
            [
                "`make` alone runs no target",
                "CI does not run `other` in `make other`",
                "CI does not run `ARGS=one` in `make test ARGS=one`",
                "`helm install` is not a `make` command, so it cannot have the mark `test=ci`",
            ]
        );
    }

    #[test]
    fn finds_the_targets_of_this_repository() -> Result<()> {
        let targets = CiTargets::read(&sightline_tests::test_stack::root())?;
        for target in ["test", "demo", "unit", "e2e", "kind-e2e", "kind-up", "port-forward", "build", "up"] {
            assert!(targets.contains(target), "{target}");
        }
        assert!(!targets.contains("clean"));
        Ok(())
    }
}
