//! A parser for `/metrics` pages in the Prometheus text format.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};

/// The samples of one page.
#[derive(Debug, Clone)]
pub struct Samples(Vec<Sample>);

/// One line of a page: a series and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Metric name, with suffixes such as `_count`.
    pub name: String,
    /// Label names and values.
    pub labels: BTreeMap<String, String>,
    /// The value of the series.
    pub value: f64,
}

impl Samples {
    /// Parses a page. Fails at the first line that is not empty and is neither a comment nor a sample.
    pub fn parse(page: &str) -> Result<Self> {
        let lines = page.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let samples = lines.map(|line| sample(line).with_context(|| format!("not a sample: {line}")));
        Ok(Self(samples.collect::<Result<_>>()?))
    }

    /// Returns the samples that have this name and all these labels.
    pub fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| {
            let has =
                |(key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|found| found == value);
            sample.name == name && labels.iter().all(has)
        })
    }

    /// Returns the sum of the [`matching`](Self::matching) samples, or `None` if no sample matches.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values: Vec<_> = self.matching(name, labels).map(|sample| sample.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?} {}", self.name, self.labels, self.value)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    // A timestamp or an exemplar can follow the value.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Parses labels up to the closing brace. Returns the labels and the rest of the line.
fn labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, rest) = text.split_once("=\"")?;
        let (value, rest) = quoted(rest)?;
        labels.insert(key.trim().to_owned(), value);
        text = rest;
    }
}

/// Parses a label value up to its closing quote. Returns the value and the rest of the line.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_page() {
        let page = "# HELP x help\n# TYPE x counter\nx 1\n\
            x{a=\"1\",b=\"}, \\\"q\\\"\\n\\\\\"} 2.5 1700000000\ny_bucket{le=\"+Inf\",} 7 # {trace_id=\"1\"} 1\n# EOF\n";
        let samples = Samples::parse(page).unwrap();
        assert_eq!(samples.sum("x", &[]), Some(3.5));
        assert_eq!(samples.sum("x", &[("b", "}, \"q\"\n\\")]), Some(2.5));
        assert_eq!(samples.sum("y_bucket", &[("le", "+Inf")]), Some(7.0));
        assert_eq!(samples.sum("z", &[]), None);
    }

    #[test]
    fn rejects_an_invalid_page() {
        for page in ["<html>", "x", "x{a=\"1\" 2", "x{a=1} 2", "x y"] {
            assert!(Samples::parse(page).is_err(), "{page}");
        }
    }
}
