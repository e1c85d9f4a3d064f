//! Checks the directions in which the crate's modules depend on each other.
//!
//! A module uses only modules above it in [`MODULES`], so there are no cycles between folders.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules and folders of the crate. Each of them may use itself and the entries above it. For a file, the last
/// entry whose path is a prefix of the file's path counts.
const MODULES: &[&str] = &[
    "text",
    "service",
    "external",
    "settings",
    "error",
    "context",
    "delivery",
    "resource",
    "signals",
    "runtime_metrics",
    "instrument",
    "instrument/db",
    "instrument/http",
    "instrument/grpc",
    "lifecycle",
];

/// The position in [`MODULES`] of the module with this path, such as `instrument/http/server`.
fn position(path: &str) -> Option<usize> {
    MODULES.iter().rposition(|module| {
        path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The module paths behind each `crate::` in a line of code. Paths in comments do not count: a link in the
/// documentation can point in any direction.
fn used(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::")
        .filter(|(start, _)| !code[..*start].ends_with('$'))
        .map(|(start, text)| {
            let path: String = code[start + text.len()..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == ':')
                .collect();
            path.trim_end_matches(':').replace("::", "/")
        })
        .collect()
}

/// Adds all files below `folder` to `found`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn modules_depend_on_each_other_in_one_direction() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files).unwrap();
    assert!(files.len() > 40, "{files:?}");

    let mut wrong = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&root).unwrap().with_extension("").to_string_lossy().into_owned();
        // lib.rs joins the modules. Test code may use any module, such as the fake Collector.
        if name == "lib" || name.starts_with("testing/") || name.contains("/tests") {
            continue;
        }
        let own = position(&name).unwrap_or_else(|| panic!("{name}.rs is in no folder of MODULES"));
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let place = || format!("src/{name}.rs:{}: {}", number + 1, line.trim());
            if line.contains("super::super::") {
                wrong.push(format!("{} (use a path that begins with crate::)", place()));
            }
            for path in used(line) {
                match position(&path) {
                    Some(other) if other <= own => {}
                    Some(other) => {
                        wrong.push(format!("{} ({} is below {})", place(), MODULES[other], MODULES[own]));
                    }
                    None => wrong.push(format!("{} (name the module, not a re-export of lib.rs)", place())),
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these lines use a module that is below their own in MODULES:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn finds_the_modules_that_a_line_uses() {
    assert_eq!(used("use crate::instrument::http::Client;"), ["instrument/http/Client"]);
    assert_eq!(used("    crate::error::chain(&error) // crate::signals"), ["error/chain"]);
    assert_eq!(used("    /// [`Telemetry`](crate::Telemetry)"), Vec::<String>::new());
    assert_eq!(used("        $crate::Service { name }"), Vec::<String>::new());
    assert_eq!(position("instrument/grpc/client"), MODULES.iter().position(|m| *m == "instrument/grpc"));
    assert!(position("instrument/http/Client") > position("instrument/call/Call"));
    assert_eq!(position("instruments"), None);
}
