//! Finds the checkout of Sightline and the services file that a command uses.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sightline::stack::StackSpec;
use sightline::stack::spec::FILE_NAME;

/// Returns the root of the checkout that contains the working directory. If there is none, returns the checkout that
/// contains this program, so that `up --file` also works in another repository.
pub(super) fn checkout() -> Option<PathBuf> {
    let working_directory = std::env::current_dir().ok();
    let program = std::env::current_exe().ok().and_then(|program| program.canonicalize().ok());
    working_directory.iter().chain(&program).find_map(|path| find_checkout(path)).map(Path::to_owned)
}

/// Finds the root of the checkout that contains this path. The root is the directory in which
/// `collector-config/agent.yaml` exists.
fn find_checkout(path: &Path) -> Option<&Path> {
    path.ancestors().find(|root| root.join("collector-config/agent.yaml").is_file())
}

/// Reads the given services file, or by default `sightline.toml` of the checkout.
pub(super) fn load(file: Option<&Path>) -> anyhow::Result<StackSpec> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => checkout().map(|root| root.join(FILE_NAME)).with_context(|| {
            format!("there is no {FILE_NAME}: run this command in a checkout of Sightline, or set --file")
        })?,
    };
    Ok(StackSpec::load(&file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_checkout_from_a_subdirectory() {
        let dir = tempfile::tempdir().unwrap();
        let subdirectory = dir.path().join("tools/sightline");
        std::fs::create_dir_all(&subdirectory).unwrap();
        assert_eq!(find_checkout(&subdirectory), None);
        std::fs::create_dir(dir.path().join("collector-config")).unwrap();
        std::fs::write(dir.path().join("collector-config/agent.yaml"), "").unwrap();
        assert_eq!(find_checkout(&subdirectory), Some(dir.path()));
    }
}
