//! Checks that the tables in `docs/settings.md` match the settings in the code.

use std::fs;
use std::path::Path;

use telemetry::settings::names::{self, Variable};

/// Replaces the table under `heading` with the table of `variables`. Returns `None` if the page has no such table.
fn replace_table(page: &str, heading: &str, variables: &[Variable]) -> Option<String> {
    let section = page.find(heading)?;
    let start = section + page[section..].find("| variable |")?;
    let end = page[start..].find("\n\n").map_or(page.len(), |length| start + length + 1);
    Some(format!("{}{}{}", &page[..start], names::table(variables), &page[end..]))
}

#[test]
fn settings_page_matches_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let page = fs::read_to_string(&path).unwrap();
    let updated = replace_table(&page, "## The library", names::VARIABLES).unwrap();
    let updated =
        replace_table(&updated, "## The example services", &service_common::settings::variables()).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, updated).unwrap();
    } else {
        assert!(
            page == updated,
            "docs/settings.md is outdated; run UPDATE_DOCS=1 cargo test -p service-common"
        );
    }
}
