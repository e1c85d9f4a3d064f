//! `sightline remove-examples`: removes the example services from a checkout.

use std::path::PathBuf;

use anyhow::Context as _;
use sightline::examples::Removal;
use sightline::output;

use super::services_file;

/// Remove the example services from this checkout
///
/// Removes their packages in services/, and their entries in Cargo.toml, sightline.toml, the chart and the documents.
/// Commit your changes first: files that git cannot restore are only removed with --force.
///
/// Exits with 0 if the examples are removed or were already removed, and with 2 if they cannot be removed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Remove the examples even if some of their files are not committed, or if git is not used
    #[arg(long)]
    force: bool,
    /// Root of the checkout [default: the checkout that contains the working directory]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = args.root.clone().or_else(services_file::checkout);
    let root = root.context("there is no checkout of Sightline here: run this command in a checkout")?;
    let removal = Removal::plan(&root)?;
    if removal.is_empty() {
        output::println(format_args!("{} has no examples: nothing to remove.", root.display()));
        return Ok(());
    }
    if !args.force {
        let uncommitted = removal.uncommitted().context(
            "cannot check whether the files of the examples are committed: use --force to remove them anyway",
        )?;
        anyhow::ensure!(
            uncommitted.is_empty(),
            "these files of the examples are not committed: commit them, or use --force to remove them\n{}",
            uncommitted.join("\n")
        );
    }
    removal.apply().context(
        "the examples are not removed completely: run this command again after you have corrected this",
    )?;

    output::println("Removed:");
    for directory in removal.directories() {
        output::println(format_args!("  {directory}/"));
    }
    output::println("Removed the examples from:");
    for file in removal.files().chain(["Cargo.lock"]) {
        output::println(format_args!("  {file}"));
    }
    output::println(
        "\nThe tests of the examples are skipped from now on. Next:\n  \
         make test                        # the other tests do not need the examples\n  \
         git add --all && git commit\n  \
         bin/sightline new-service NAME   # creates your first service from a template",
    );
    Ok(())
}
