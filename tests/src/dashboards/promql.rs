//! The metrics and labels in a query in `PromQL`.
//!
//! This is not a parser of the whole language. It finds the selectors, and the labels by which series are grouped and
//! joined, in the queries of this repository. It fails if it does not understand a query.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};

/// What a query names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The selectors without a time range, such as `up{job="jaeger"}`.
    pub selectors: BTreeSet<String>,
    /// The labels in `by`, `on` and the like.
    pub labels: BTreeSet<String>,
}

/// Words that take a list of labels.
const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that are neither metrics nor functions.
const WORDS: [&str; 7] = ["and", "or", "unless", "bool", "offset", "inf", "nan"];

/// Returns the names in a query. Fails if a bracket or a quote is not closed.
pub fn names(query: &str) -> Result<Names> {
    let mut names = Names::default();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = if first.is_ascii_alphabetic() || first == '_' || first == ':' {
            word(rest, &mut names).with_context(|| query.to_owned())?
        } else if first == '[' {
            &rest[rest.find(']').with_context(|| format!("no ] in {query}"))? + 1..]
        } else if first.is_ascii_digit() {
            rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.')
        } else if "()+-*/%^,<>=!".contains(first) {
            &rest[1..]
        } else {
            bail!("{first:?} is not expected in {query}");
        };
        rest = after.trim_start();
    }
    Ok(names)
}

/// Reads the word at the start of `text`, and what belongs to it. Returns the rest.
fn word<'a>(text: &'a str, names: &mut Names) -> Result<&'a str> {
    let end = text.find(|c| !is_part_of_a_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let next = rest.trim_start();
    if LISTS.contains(&word) {
        let Some(list) = next.strip_prefix('(') else { return Ok(rest) };
        let (list, after) = list.split_once(')').context("a list of labels is not closed")?;
        for label in list.split(',').map(str::trim).filter(|label| !label.is_empty()) {
            ensure!(label.chars().all(is_part_of_a_word), "{label:?} is not a label");
            names.labels.insert(label.to_owned());
        }
        return Ok(after);
    }
    // Such as `rate(` and `sum by (`.
    let is_function = next.starts_with('(') || next.starts_with("by ") || next.starts_with("without ");
    if is_function || WORDS.contains(&word) {
        return Ok(rest);
    }
    let matchers = if next.starts_with('{') { matchers(next)? } else { "" };
    names.selectors.insert(format!("{word}{matchers}"));
    Ok(if matchers.is_empty() { rest } else { &next[matchers.len()..] })
}

fn is_part_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Returns the matchers at the start of a text, with their braces.
fn matchers(text: &str) -> Result<&str> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Ok(&text[..=at]),
            _ => {}
        }
    }
    bail!("the matchers are not closed in {text}")
}

/// Returns the labels that the legend of a series uses as `{{label}}`.
pub fn legend_labels(legend: &str) -> Result<Vec<&str>> {
    let mut labels = Vec::new();
    let mut rest = legend;
    while let Some((_, after)) = rest.split_once("{{") {
        let (label, after) = after.split_once("}}").with_context(|| format!("no }}}} in {legend}"))?;
        ensure!(!label.contains(' '), "vmui does not accept spaces in {{{{{label}}}}}");
        labels.push(label);
        rest = after;
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str) -> (Vec<String>, Vec<String>) {
        let Names { selectors, labels } = names(query).unwrap();
        (selectors.into_iter().collect(), labels.into_iter().collect())
    }

    #[test]
    fn finds_selectors_and_labels() {
        let (selectors, labels) = found(
            "histogram_quantile(0.95, sum by (le, service_name) (rate(a_bucket{x=~\"}.\\\"\", y!=\"1\"}[5m]))) > 0\n\
             and on (z) (b * 1e3 / ignoring(q) group_left c) offset 5m or time() - d{} < bool 0.5",
        );
        assert_eq!(selectors, ["a_bucket{x=~\"}.\\\"\", y!=\"1\"}", "b", "c", "d{}"]);
        assert_eq!(labels, ["le", "q", "service_name", "z"]);
        assert_eq!(found("absent(up{job=\"a\"})").0, ["up{job=\"a\"}"]);
    }

    #[test]
    fn fails_if_it_does_not_understand_a_query() {
        for query in ["a{", "sum(rate(a[5m)", "sum by (a (b)", "a{x=\"}", "$a"] {
            names(query).unwrap_err();
        }
    }

    #[test]
    fn finds_the_labels_of_a_legend() {
        assert_eq!(legend_labels("{{a}} p95 {{b_c}}").unwrap(), ["a", "b_c"]);
        legend_labels("{{a").unwrap_err();
        legend_labels("{{ a }}").unwrap_err();
    }
}
