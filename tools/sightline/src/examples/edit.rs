//! Removes the examples from the text of a file. The rest of the text keeps its format and its comments.
//!
//! The text of TOML and YAML is changed line by line, because a parser would drop comments. So each function parses the
//! result, and fails if anything else has changed.

use serde_yaml::{Mapping, Value as Yaml};
use toml_edit::{DocumentMut, RawString, Value};

use super::EXAMPLES;

/// The key of the services, in `sightline.toml` and in `values.yaml`.
const SERVICES: &str = "services";

fn is_example(name: &str) -> bool {
    EXAMPLES.contains(&name)
}

/// Removes the examples from the workspace in `Cargo.toml`.
pub(super) fn cargo_toml(text: &str) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("it is not valid TOML: {error}"))?;
    let Some(workspace) = document.get_mut("workspace").and_then(|item| item.as_table_like_mut()) else {
        return Ok(text.to_owned());
    };
    if let Some(members) = workspace.get_mut("members").and_then(|members| members.as_array_mut()) {
        let is_removed =
            |member: &Value| EXAMPLES.iter().any(|name| member.as_str() == Some(&super::directory(name)));
        // A comment at the end of a line belongs to the next member, so it moves to the member after that.
        let mut comment = String::new();
        for member in members.iter_mut() {
            let prefix = member.decor().prefix().and_then(RawString::as_str).unwrap_or_default().to_owned();
            if is_removed(member) {
                comment.push_str(prefix.split('\n').next().unwrap_or_default());
            } else if !comment.is_empty() {
                member.decor_mut().set_prefix(std::mem::take(&mut comment) + &prefix);
            }
        }
        if !comment.is_empty() {
            let trailing = members.trailing().as_str().unwrap_or_default().to_owned();
            members.set_trailing(comment + &trailing);
        }
        members.retain(|member| !is_removed(member));
    }
    if let Some(dependencies) =
        workspace.get_mut("dependencies").and_then(|dependencies| dependencies.as_table_like_mut())
    {
        for name in EXAMPLES {
            dependencies.remove(name);
        }
    }
    Ok(document.to_string())
}

/// Returns the examples on which a package depends. `text` is its `Cargo.toml`.
pub(super) fn dependencies(text: &str) -> Result<Vec<&'static str>, String> {
    let document: DocumentMut = text.parse().map_err(|error| format!("it is not valid TOML: {error}"))?;
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = tables.iter().filter_map(|name| document.get(name)?.as_table_like()).collect::<Vec<_>>();
    Ok(EXAMPLES.into_iter().filter(|name| tables.iter().any(|table| table.contains_key(name))).collect())
}

/// Removes the tables of the examples from `sightline.toml`.
pub(super) fn services_file(text: &str) -> Result<String, String> {
    let parse = |text: &str| -> Result<toml::Table, String> {
        text.parse().map_err(|error| format!("it is not valid TOML: {error}"))
    };
    let mut expected = parse(text)?;
    if let Some(toml::Value::Table(services)) = expected.get_mut(SERVICES) {
        services.retain(|name, _| !is_example(name));
        if services.is_empty() {
            expected.remove(SERVICES);
        }
    }
    let result = without_blocks(text, |line| {
        let header = line.strip_prefix('[')?;
        let mut path =
            header.trim_start_matches('[').split([']', '.']).map(|key| key.trim().trim_matches('"'));
        Some(path.next() == Some(SERVICES) && path.next().is_some_and(is_example))
    });
    verified(result, parse, &expected)
}

/// Removes the entries of the examples from `services` and from `examples.services` of the chart's `values.yaml`.
pub(super) fn values(text: &str) -> Result<String, String> {
    let parse = |text: &str| -> Result<Yaml, String> {
        serde_yaml::from_str(text).map_err(|error| format!("it is not valid YAML: {error}"))
    };
    let mut expected = parse(text)?;
    if let Some(services) = expected.get_mut(SERVICES).and_then(Yaml::as_mapping_mut) {
        services.retain(|name, _| !name.as_str().is_some_and(is_example));
    }
    if let Some(Yaml::Sequence(names)) = expected.get_mut("examples").and_then(|map| map.get_mut(SERVICES)) {
        names.retain(|name| !name.as_str().is_some_and(is_example));
    }

    let mut key = "";
    let mut result = without_blocks(text, |line| {
        if !line.starts_with([' ', '#']) {
            key = line.split(':').next().unwrap_or_default();
            return Some(false);
        }
        let entry = line.strip_prefix("  ").filter(|entry| !entry.starts_with([' ', '#']))?;
        Some(
            key == SERVICES
                && is_example(entry.split(':').next().unwrap_or_default().trim_matches(['"', '\''])),
        )
    });
    let is_empty = |map: &Yaml| map.as_mapping().is_some_and(Mapping::is_empty);
    if expected.get(SERVICES).is_some_and(is_empty) {
        result = result.replacen("\nservices:\n", "\nservices: {}\n", 1);
    }
    let result: String = result.split_inclusive('\n').map(without_names).collect();
    verified(result, parse, &expected)
}

/// Removes the examples from a line `  services: [one, two]`.
fn without_names(line: &str) -> String {
    let list = line.strip_prefix("  services: [").and_then(|rest| rest.strip_suffix("]\n"));
    let Some(list) = list else { return line.to_owned() };
    let names: Vec<&str> = list.split(',').map(str::trim).filter(|name| !is_example(name)).collect();
    format!("  services: [{}]\n", names.join(", "))
}

/// Removes the section of each example from `docs/settings.md`.
pub(super) fn settings_page(text: &str) -> String {
    let mut removing = false;
    let kept: Vec<&str> = text
        .split_inclusive('\n')
        .filter(|line| {
            if let Some(heading) = line.strip_prefix("## ") {
                removing = is_example(heading.trim());
            }
            !removing
        })
        .collect();
    format!("{}\n", kept.concat().trim_end())
}

/// Removes blocks of lines. `starts` returns `Some` for the first line of a block: whether to remove the block.
///
/// A comment directly above the first line of a block, with the same indentation, belongs to the block, unless it is the
/// comment at the top of the file.
fn without_blocks<'a>(text: &'a str, mut starts: impl FnMut(&'a str) -> Option<bool>) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_comment_of =
        |comment: &str, line: &str| comment.trim_start().starts_with('#') && indent(comment) == indent(line);
    let mut kept: Vec<&str> = Vec::new();
    let mut removed: Vec<&str> = Vec::new();
    let mut removing = false;
    for line in text.lines() {
        if let Some(remove) = starts(line).filter(|_| !line.trim().is_empty()) {
            let above = if removing { &mut removed } else { &mut kept };
            let start =
                above.iter().rposition(|comment| !is_comment_of(comment, line)).map_or(0, |last| last + 1);
            let comment = if start == 0 && !removing { Vec::new() } else { above.split_off(start) };
            if !remove {
                if removing && above.last().is_some_and(|line| line.trim().is_empty()) {
                    kept.push("");
                }
                kept.extend(comment);
            }
            removing = remove;
        }
        if removing { &mut removed } else { &mut kept }.push(line);
    }
    // The blank lines above and below a removed block become one blank line.
    kept.dedup_by(|line, above| line.trim().is_empty() && above.trim().is_empty());
    format!("{}\n", kept.join("\n").trim_end())
}

/// Returns `result` if it has the expected values.
fn verified<T: PartialEq>(
    result: String,
    parse: impl Fn(&str) -> Result<T, String>,
    expected: &T,
) -> Result<String, String> {
    match parse(&result) {
        Ok(values) if values == *expected => Ok(result),
        Ok(_) | Err(_) => {
            Err("other values would change too: remove the examples from this file by hand".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_members_and_dependencies_of_the_workspace() {
        let before = "# top\n[workspace]\nmembers = [\n    \"services/common\",\n    \"services/user-service\",\n    \
                      \"services/shop\", # ours\n    \"services/order-service\",\n]\n\n[workspace.dependencies]\n# a comment\n\
                      one = \"1\"\nuser-service = { path = \"services/user-service\" }\n# more\ntwo = \"2\"\n";
        let after = "# top\n[workspace]\nmembers = [\n    \"services/common\",\n    \"services/shop\", # ours\n]\n\n\
                     [workspace.dependencies]\n# a comment\none = \"1\"\n# more\ntwo = \"2\"\n";
        assert_eq!(cargo_toml(before).unwrap(), after);
        assert_eq!(cargo_toml(after).unwrap(), after);
        assert_eq!(
            dependencies("[dev-dependencies]\nuser-service.workspace = true\n").unwrap(),
            ["user-service"]
        );
    }

    #[test]
    fn removes_the_tables_of_services() {
        let before = "# top\n\n# users\n[services.user-service]\nport = 1\n\n[services.user-service.env]\nA = \"b\"\n\n\
                      # The shop.\n[services.shop] # ours\nport = 2\n\n[services.\"order-service\"]\nport = 3\n\n# more\n\n\
                      [gateway.redaction]\nkeys = []\n";
        let after =
            "# top\n\n# The shop.\n[services.shop] # ours\nport = 2\n\n[gateway.redaction]\nkeys = []\n";
        assert_eq!(services_file(before).unwrap(), after);
        assert_eq!(services_file(after).unwrap(), after);
        assert_eq!(services_file("# top\n\n[services.user-service]\nport = 1\n").unwrap(), "# top\n");
        let inline = "services.user-service = { port = 1 }\n";
        assert!(services_file(inline).unwrap_err().contains("by hand"));
    }

    #[test]
    fn removes_the_entries_of_values() {
        let before = "# top\na: 1\nexamples:\n  # -- Names.\n  services: [user-service, other]\n\n# -- The services.\nservices:\n  \
                      user-service:\n    port: 1\n    # inside\n  # ours\n  shop:\n    user-service:\n      port: 2\n  \
                      order-service: {}\n\n# -- More.\nservice: {}\n";
        let after = "# top\na: 1\nexamples:\n  # -- Names.\n  services: [other]\n\n# -- The services.\nservices:\n  \
                     # ours\n  shop:\n    user-service:\n      port: 2\n\n# -- More.\nservice: {}\n";
        assert_eq!(values(before).unwrap(), after);
        assert_eq!(values(after).unwrap(), after);
        let last = "a: 1\nservices:\n  user-service:\n    port: 1\n\n# -- More.\nservice: {}\n";
        assert_eq!(values(last).unwrap(), "a: 1\nservices: {}\n\n# -- More.\nservice: {}\n");
        assert!(values("services: {user-service: {}}\n").unwrap_err().contains("by hand"));
    }

    #[test]
    fn removes_the_sections_of_settings() {
        let before = "# Settings\n\n## The library\n\nx\n\n## user-service\n\ny\n\n## shop\n\nz\n\n## order-service\n\nw\n";
        assert_eq!(settings_page(before), "# Settings\n\n## The library\n\nx\n\n## shop\n\nz\n");
    }
}
