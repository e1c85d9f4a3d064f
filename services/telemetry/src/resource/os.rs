//! The detector of the `os.*` attributes that [`super::contrib`] does not detect.
//!
//! Sources: <https://opentelemetry.io/docs/specs/semconv/resource/os/> and
//! <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>.

use std::fs;

use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute;

/// Returns the name, version and description of the Linux distribution. If there is no description, for example in a
/// scratch image, the description is the kernel's release.
pub(super) fn detect() -> Vec<KeyValue> {
    let release =
        ["/etc/os-release", "/usr/lib/os-release"].into_iter().find_map(|path| fs::read_to_string(path).ok());
    let mut attributes = from_os_release(&release.unwrap_or_default());
    if !attributes.iter().any(|attribute| attribute.key.as_str() == attribute::OS_DESCRIPTION) {
        let kernel = rustix::system::uname();
        let release = kernel.release().to_string_lossy();
        attributes.push(KeyValue::new(attribute::OS_DESCRIPTION, format!("Linux {release}")));
    }
    attributes
}

fn from_os_release(release: &str) -> Vec<KeyValue> {
    [
        (attribute::OS_NAME, "NAME"),
        (attribute::OS_VERSION, "VERSION_ID"),
        (attribute::OS_DESCRIPTION, "PRETTY_NAME"),
    ]
    .into_iter()
    .filter_map(|(attribute, variable)| Some(KeyValue::new(attribute, value(release, variable)?)))
    .collect()
}

/// Returns the value of `variable`. If the variable is set twice, the last value counts, as in a shell.
fn value(release: &str, variable: &str) -> Option<String> {
    let value =
        release.lines().rev().find_map(|line| line.trim().strip_prefix(variable)?.strip_prefix('='))?;
    let value = unquoted(value);
    (!value.is_empty()).then_some(value)
}

/// Removes the quotes of a shell string. In double quotes and without quotes, a backslash quotes the next character.
fn unquoted(value: &str) -> String {
    if let Some(literal) = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        return literal.to_owned();
    }
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{attributes, expected};

    #[test]
    fn reads_the_name_the_version_and_the_description() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
                      VERSION=\"12 (bookworm)\"\nID=debian\n";
        assert_eq!(
            attributes(from_os_release(debian)),
            expected([
                ("os.name", "Debian GNU/Linux"),
                ("os.version", "12"),
                ("os.description", "Debian GNU/Linux 12 (bookworm)"),
            ])
        );
        // A rolling distribution has no version.
        let rolling = "NAME='Arch Linux'\nVERSION_ID=\nPRETTY_NAME=Arch\n";
        assert_eq!(
            attributes(from_os_release(rolling)),
            expected([("os.name", "Arch Linux"), ("os.description", "Arch")])
        );
        assert_eq!(from_os_release(""), vec![]);
    }

    #[test]
    fn removes_quotes() {
        for (quoted, text) in [
            (r#""a \"b\" \$c \\d""#, r#"a "b" $c \d"#),
            (r"'a \b'", r"a \b"),
            (r"a\ b", "a b"),
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(unquoted(quoted), text, "{quoted}");
        }
    }

    #[test]
    fn always_has_a_description() {
        assert!(attributes(detect()).contains_key("os.description"));
    }
}
