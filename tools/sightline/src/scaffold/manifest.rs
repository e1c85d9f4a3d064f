//! The workspace's `Cargo.toml`.

use toml_edit::{Array, DocumentMut, Value};

/// Adds a member to the workspace, after the other members in the same directory. The rest of the text stays as it is.
/// Returns an error that says what is wrong if the file has no list of members.
pub(super) fn add_member(text: &str, member: &str) -> Result<String, String> {
    let mut manifest: DocumentMut = text.parse().map_err(|error| format!("it is not valid TOML: {error}"))?;
    let members = manifest.get_mut("workspace").and_then(|workspace| workspace.get_mut("members"));
    let members = members
        .and_then(|members| members.as_array_mut())
        .ok_or("it has no list `workspace.members`: add the list, such as members = []")?;
    let directory = member.split_once('/').map_or("", |(directory, _)| directory);
    let names = |value: &Value, name: &str| value.as_str().is_some_and(|text| text == name);
    if members.iter().any(|each| names(each, member) || names(each, &format!("{directory}/*"))) {
        return Ok(text.to_owned());
    }
    let is_neighbour = |value: &Value| {
        value.as_str().is_some_and(|text| text.split_once('/').is_some_and(|(parent, _)| parent == directory))
    };
    let neighbours = members.iter().enumerate().filter(|(_, value)| is_neighbour(value));
    let index = neighbours.last().map_or(members.len(), |(neighbour, _)| neighbour + 1);
    insert(members, index, member);
    Ok(manifest.to_string())
}

/// Inserts an element with the white space of its neighbour.
fn insert(array: &mut Array, index: usize, text: &str) {
    let previous = index.checked_sub(1).and_then(|index| array.get(index));
    let spacing = match previous.map(|value| spacing(prefix(value))) {
        Some("") => " ",
        Some(spacing) => spacing,
        None => "",
    }
    .to_owned();
    // The text between the previous element and the next one, or the end of the list. It begins with the comment on the
    // line of the previous element.
    let is_last = index == array.len();
    let following = if !is_last {
        array.get(index).map(prefix)
    } else if array.trailing_comma() {
        array.trailing().as_str()
    } else {
        previous.and_then(|value| value.decor().suffix()).and_then(|suffix| suffix.as_str())
    };
    let following = following.unwrap_or_default();
    let (comment, rest) = following.split_at(following.find('\n').unwrap_or(0));
    let (comment, rest) = (comment.to_owned(), rest.to_owned());

    let mut value = Value::from(text);
    value.decor_mut().set_prefix(format!("{comment}{spacing}"));
    if is_last && array.trailing_comma() {
        array.set_trailing(rest);
    } else if is_last {
        if let Some(previous) = index.checked_sub(1).and_then(|index| array.get_mut(index)) {
            previous.decor_mut().set_suffix("");
        }
        value.decor_mut().set_suffix(rest);
    } else if let Some(next) = array.get_mut(index) {
        next.decor_mut().set_prefix(rest);
    }
    array.insert_formatted(index, value);
}

fn prefix(value: &Value) -> &str {
    value.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()
}

/// Returns the white space before an element, without the comments above it.
fn spacing(prefix: &str) -> &str {
    prefix.rfind('\n').map_or(prefix, |line| &prefix[line..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str) {
        assert_eq!(add_member(before, "services/new").unwrap(), after);
    }

    #[test]
    fn adds_a_line_and_keeps_the_others() {
        check(
            "# top\n[workspace] # w\nmembers = [\n    \"services/a\", # a\n    # about b\n    \"services/b\", # b\n    \
             # tools\n    \"tools/x\",\n    # end\n]\n\n[workspace.dependencies]\nx  = '1'   # x\n",
            "# top\n[workspace] # w\nmembers = [\n    \"services/a\", # a\n    # about b\n    \"services/b\", # b\n    \
             \"services/new\",\n    # tools\n    \"tools/x\",\n    # end\n]\n\n[workspace.dependencies]\nx  = '1'   # x\n",
        );
        check(
            "[workspace]\nmembers = [\n  \"services/a\", # a\n  # end\n]\n",
            "[workspace]\nmembers = [\n  \"services/a\", # a\n  \"services/new\",\n  # end\n]\n",
        );
        check(
            "[workspace]\nmembers = [\n  \"services/a\"\n]\n",
            "[workspace]\nmembers = [\n  \"services/a\",\n  \"services/new\"\n]\n",
        );
        check(
            "[workspace]\nmembers = [\n  \"services/a\" # a\n]\n",
            "[workspace]\nmembers = [\n  \"services/a\", # a\n  \"services/new\"\n]\n",
        );
    }

    #[test]
    fn knows_other_forms_of_the_list() {
        check("[workspace]\nmembers = []\n", "[workspace]\nmembers = [\"services/new\"]\n");
        check("[workspace]\nmembers = [\"a\"]\n", "[workspace]\nmembers = [\"a\", \"services/new\"]\n");
        check(
            "[workspace]\nmembers = [\"services/a\", \"tools/x\"]\n",
            "[workspace]\nmembers = [\"services/a\", \"services/new\", \"tools/x\"]\n",
        );
        check("workspace.members = ['tools/*']\n", "workspace.members = ['tools/*', \"services/new\"]\n");
        for complete in
            ["[workspace]\nmembers = [\"services/*\"]\n", "[workspace]\nmembers = [\"services/new\"]\n"]
        {
            check(complete, complete);
        }
        assert!(add_member("[package]\n", "services/new").unwrap_err().contains("workspace.members"));
        assert!(add_member("[workspace", "services/new").unwrap_err().contains("not valid TOML"));
    }
}
