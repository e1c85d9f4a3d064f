//! Checks of the additions. The Collector detects some of these mistakes only when it starts, and others never.

use regex::Regex;

use super::error::AdditionsError;
use super::input::{Dimension, Policy};

/// The policy types of the `tail_sampling` processor. The Collector's `validate` command does not check the type.
pub(super) const POLICY_TYPES: &[&str] = &[
    "always_sample",
    "and",
    "boolean_attribute",
    "bytes_limiting",
    "composite",
    "drop",
    "latency",
    "not",
    "numeric_attribute",
    "ottl_condition",
    "probabilistic",
    "rate_limiting",
    "span_count",
    "status_code",
    "string_attribute",
    "trace_flags",
    "trace_state",
];

/// The labels that the `span_metrics` connector always sets.
const FIXED_DIMENSIONS: &[&str] =
    &["service.name", "span.name", "span.kind", "status.code", "otel.status_code", "collector.instance.id"];

const IN_BASE: &str = "already in gateway.yaml";
const TWICE: &str = "in the list twice";

/// Checks the added policies. `ours` contains the names of the policies in the base file.
pub(super) fn policies(added: &[Policy], ours: &[&str]) -> Result<(), AdditionsError> {
    for (index, policy) in added.iter().enumerate() {
        let path = format!("gateway.sampling.policies[{index}]");
        not_empty(&policy.name, || format!("{path}.name"))?;
        not_empty(&policy.kind, || format!("{path}.type"))?;
        let before = added[..index].iter().map(|other| other.name.as_str());
        let place = place(&policy.name.as_str(), ours.iter().copied(), before);
        if let Some(place) = place {
            let remedy = "choose another name";
            return Err(duplicate(format!("{path}.name"), &policy.name, place, remedy));
        }
        if !POLICY_TYPES.contains(&policy.kind.as_str()) {
            let kind = policy.kind.clone();
            return Err(AdditionsError::UnknownType {
                path: format!("{path}.type"),
                kind,
                known: POLICY_TYPES,
            });
        }
        if let Some(key) = policy.settings.keys().find(|key| **key != policy.kind) {
            let (kind, key) = (policy.kind.clone(), key.clone());
            return Err(AdditionsError::UnknownSetting { path, kind, key });
        }
    }
    Ok(())
}

/// Checks added regular expressions. `ours` contains the expressions in the base file.
pub(super) fn expressions(path: &str, added: &[String], ours: &[&str]) -> Result<(), AdditionsError> {
    for (index, value) in added.iter().enumerate() {
        let path = format!("{path}[{index}]");
        not_empty(value, || path.clone())?;
        let place = place(&value.as_str(), ours.iter().copied(), added[..index].iter().map(String::as_str));
        if let Some(place) = place {
            return Err(duplicate(path, value, place, "remove it here"));
        }
        if let Some(problem) = problem(value) {
            return Err(AdditionsError::Expression { path, value: value.clone(), problem });
        }
    }
    Ok(())
}

/// Returns what is wrong with a regular expression. The Collector uses Go's syntax. The crate `regex` rejects almost the
/// same expressions; the Collector rejects the others when it starts.
fn problem(value: &str) -> Option<String> {
    // Only Go has these two escapes.
    if value.contains(r"\Q") || value.contains(r"\C") {
        return None;
    }
    match Regex::new(value) {
        Err(error) => Some(format!(
            "is not a regular expression in Go's syntax, which has no look-around and no back-references: {error}"
        )),
        Ok(expression) if expression.is_match("") => Some(
            "matches an empty text, so it would mask everything: require at least one character".to_owned(),
        ),
        Ok(_) => None,
    }
}

/// Checks the added dimensions. `ours` contains the names of the dimensions in the base file.
pub(super) fn dimensions(added: &[Dimension], ours: &[&str]) -> Result<(), AdditionsError> {
    for (index, dimension) in added.iter().enumerate() {
        let path = format!("gateway.span-metrics.dimensions[{index}].name");
        not_empty(&dimension.name, || path.clone())?;
        let label = label(&dimension.name);
        let ours = ours.iter().chain(FIXED_DIMENSIONS).map(|name| self::label(name));
        let place = place(&label, ours, added[..index].iter().map(|other| self::label(&other.name)));
        if let Some(place) = place {
            return Err(duplicate(path, &dimension.name, place, "remove it here"));
        }
    }
    Ok(())
}

/// Returns the name of the Prometheus label for an attribute. Two attributes with the same label cannot both be
/// dimensions.
fn label(attribute: &str) -> String {
    attribute.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// Returns where a value already is, if it is in one of the two lists.
fn place<T: PartialEq>(
    value: &T,
    mut ours: impl Iterator<Item = T>,
    mut before: impl Iterator<Item = T>,
) -> Option<&'static str> {
    if ours.any(|other| other == *value) {
        Some(IN_BASE)
    } else {
        before.any(|other| other == *value).then_some(TWICE)
    }
}

fn not_empty(value: &str, path: impl FnOnce() -> String) -> Result<(), AdditionsError> {
    if value.trim().is_empty() { Err(AdditionsError::Empty { path: path() }) } else { Ok(()) }
}

fn duplicate(path: String, value: &str, place: &'static str, remedy: &'static str) -> AdditionsError {
    AdditionsError::Duplicate { path, value: value.to_owned(), place, remedy }
}
