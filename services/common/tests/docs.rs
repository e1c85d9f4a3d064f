//! `docs/settings.md` lists every setting as it is.

use std::fs;
use std::path::Path;

use telemetry::settings::names::{self, Variable};

/// The page with the table under `heading` replaced by that of `variables`, if it has one there.
fn with_table(page: &str, heading: &str, variables: &[Variable]) -> Option<String> {
    let section = page.find(heading)?;
    let start = section + page[section..].find("| variable |")?;
    let end = page[start..].find("\n\n").map_or(page.len(), |length| start + length + 1);
    Some(format!("{}{}{}", &page[..start], names::table(variables), &page[end..]))
}

#[test]
fn every_setting_is_documented_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let page = fs::read_to_string(&path).unwrap();
    let made = with_table(&page, "## The library", names::VARIABLES).unwrap();
    let made = with_table(&made, "## The example services", service_common::settings::VARIABLES).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, made).unwrap();
    } else {
        assert!(page == made, "docs/settings.md is old: UPDATE_DOCS=1 cargo test -p service-common");
    }
}
