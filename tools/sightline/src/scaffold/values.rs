//! The chart's `values.yaml`.

use serde_yaml::{Mapping, Value};

const SERVICES: &str = "services";

/// Returns the names of the entries in `services`, and of the example services.
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    let values = parse(text)?;
    let services = values.get(SERVICES).and_then(Value::as_mapping).into_iter().flat_map(Mapping::keys);
    let examples = values.get("examples").and_then(|examples| examples.get(SERVICES));
    let examples = examples.and_then(Value::as_sequence).into_iter().flatten();
    Ok(services.chain(examples).filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Adds an entry at the end of the map `services`. `entry` is the YAML of its value, indented by two spaces for each
/// level. The text around the entry stays as it is.
///
/// The text is changed and not the parsed values, because `serde_yaml` would drop comments. So this function parses the
/// result, and fails if anything else has changed.
pub(super) fn add_service(text: &str, name: &str, entry: &str) -> Result<String, String> {
    let before = parse(text)?;
    let added: Value = serde_yaml::from_str(entry).map_err(|error| error.to_string())?;
    let result = insert(text, name, entry)?;
    let mut expected = before;
    if let Some(services) = expected.get_mut(SERVICES) {
        if services.is_null() {
            *services = Value::Mapping(Mapping::new());
        }
        if let Some(services) = services.as_mapping_mut() {
            services.insert(Value::from(name), added);
        }
    }
    match parse(&result) {
        Ok(after) if after == expected => Ok(result),
        Ok(_) | Err(_) => Err(format!(
            "an entry at the end of `{SERVICES}` would change other values: write the map in block style, with each \
             service on a line of its own"
        )),
    }
}

fn parse(text: &str) -> Result<Value, String> {
    serde_yaml::from_str(text).map_err(|error| format!("it is not valid YAML: {error}"))
}

fn insert(text: &str, name: &str, entry: &str) -> Result<String, String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let start = lines.iter().position(|line| head(line).is_some()).ok_or_else(|| {
        format!("it has no map `{SERVICES}` in block style: add `{SERVICES}:` on a line of its own")
    })?;
    let is_inside = |line: &&&str| line.trim().is_empty() || line.starts_with(' ');
    let inside: Vec<&str> = lines[start + 1..].iter().take_while(is_inside).copied().collect();
    let indent = inside
        .iter()
        .find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map_or("  ", |line| &line[..line.len() - line.trim_start().len()]);
    // Empty lines after the map separate it from what follows.
    let entries = inside.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);

    let mut result = lines[..start].concat();
    result.push_str(&head(lines[start]).unwrap_or_default());
    result.push_str(&inside[..entries].concat());
    if !result.ends_with('\n') {
        result.push('\n');
    }
    let entry = entry.lines().map(|line| format!("{indent}{indent}{line}\n"));
    result.extend(std::iter::once(format!("{indent}{name}:\n")).chain(entry));
    result.push_str(&lines[start + 1 + entries..].concat());
    Ok(result)
}

/// Returns the line of the key `services` without an empty value such as `{}`. Returns `None` for any other line.
fn head(line: &str) -> Option<String> {
    let value = line.strip_prefix(SERVICES)?.strip_prefix(':')?.split('#').next()?.trim();
    matches!(value, "" | "{}" | "null" | "~").then(|| match value {
        "" => line.to_owned(),
        value => line.replacen(&format!(" {value}"), "", 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "image:\n  repository: sightline/new\n# why\nprotocol: worker\n";

    fn check(before: &str, after: &str) {
        assert_eq!(add_service(before, "new", ENTRY).unwrap(), after);
    }

    #[test]
    fn adds_the_entry_at_the_end_of_the_map() {
        check(
            "# top\na: 1\n\n# -- The services.\nservices:\n  one: # 1\n    port: 1\n    # end of one\n\n# -- More.\nb: {}\n",
            "# top\na: 1\n\n# -- The services.\nservices:\n  one: # 1\n    port: 1\n    # end of one\n  new:\n    image:\n      \
             repository: sightline/new\n    # why\n    protocol: worker\n\n# -- More.\nb: {}\n",
        );
        check(
            "services:\n    one:\n        port: 1",
            "services:\n    one:\n        port: 1\n    new:\n        image:\n          repository: sightline/new\n        \
             # why\n        protocol: worker\n",
        );
    }

    #[test]
    fn adds_the_first_entry() {
        let added = "  new:\n    image:\n      repository: sightline/new\n    # why\n    protocol: worker\n";
        check("services: {}\nb: 1\n", &format!("services:\n{added}b: 1\n"));
        check("services:\nb: 1\n", &format!("services:\n{added}b: 1\n"));
        check("services: {} # none\n", &format!("services: # none\n{added}"));
    }

    #[test]
    fn refuses_what_it_cannot_change_safely() {
        for (text, reason) in [
            ("a: 1\n", "no map `services`"),
            ("services: {one: {port: 1}}\n", "no map `services`"),
            ("services:\n  one:\n    text: |\n      a\n      b\nother: [\n", "not valid YAML"),
            ("services:\n  {one: {port: 1}}\n", "block style"),
            ("services:\n- one\n", "block style"),
        ] {
            let error = add_service(text, "new", ENTRY).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn names_services_and_examples() {
        let text = "examples: {services: [one, old]}\nservices:\n  one: {}\n  two: null\n";
        assert_eq!(names(text).unwrap(), ["one", "two", "one", "old"]);
    }
}
