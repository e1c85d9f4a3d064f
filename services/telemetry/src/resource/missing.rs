//! The attributes that could not be detected, and the log line about them.

use std::collections::BTreeSet;

/// Attributes that could not be detected, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The names of the attributes, for example `k8s.node.uid`.
    pub(super) attributes: &'static str,
    /// Why the detection failed.
    pub(super) reason: String,
    /// What the operator can do, if anything.
    pub(super) remedy: Option<String>,
}

/// All attributes that could not be detected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing(pub(super) Vec<Gap>);

impl Missing {
    /// Adds gaps of another detector.
    pub(super) fn extend(&mut self, gaps: impl IntoIterator<Item = Gap>) {
        self.0.extend(gaps);
    }

    /// Logs one line about all gaps, or nothing if there are no gaps.
    ///
    /// The level is `WARN` if the operator can do something about a gap. Otherwise it is `INFO`, for example if the API
    /// server reported the attributes too late.
    pub(crate) fn log(&self) {
        if self.0.is_empty() {
            return;
        }
        let attributes = joined(self.0.iter().map(|gap| gap.attributes));
        let error = joined(self.0.iter().map(|gap| gap.reason.as_str()));
        let remedy = joined(self.0.iter().filter_map(|gap| gap.remedy.as_deref()));
        if remedy.is_empty() {
            tracing::info!(
                attributes,
                error,
                "some resource attributes could not be detected and are left out"
            );
        } else {
            tracing::warn!(
                attributes,
                error,
                remedy,
                "some resource attributes could not be detected and are left out"
            );
        }
    }
}

/// Joins `parts` without duplicates. When the API server does not respond, all lookups fail for the same reason.
fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut seen = BTreeSet::new();
    parts.filter(|part| seen.insert(*part)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn logged(gaps: &[Gap]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let subscriber =
            tracing_subscriber::fmt().with_writer(Arc::new(file.reopen().unwrap())).with_ansi(false);
        tracing::subscriber::with_default(subscriber.finish(), || Missing(gaps.to_vec()).log());
        std::fs::read_to_string(file.path()).unwrap()
    }

    fn gap(attributes: &'static str, reason: &str, remedy: Option<&str>) -> Gap {
        Gap { attributes, reason: reason.to_owned(), remedy: remedy.map(str::to_owned) }
    }

    #[test]
    fn logs_everything_that_is_missing_on_one_line() {
        let line = logged(&[
            gap("k8s.node.uid", "no response", Some("allow the connection")),
            gap("k8s.cluster.uid", "no response", Some("allow the connection")),
            gap("container.id", "not yet", None),
        ]);
        assert_eq!(line.lines().count(), 1, "{line}");
        for (text, times) in [
            ("WARN", 1),
            ("k8s.node.uid; k8s.cluster.uid; container.id", 1),
            ("no response; not yet", 1),
            ("allow the connection", 1),
        ] {
            assert_eq!(line.matches(text).count(), times, "{text} in {line}");
        }
    }

    #[test]
    fn warns_only_if_there_is_a_remedy() {
        let line = logged(&[gap("container.id", "not yet", None)]);
        assert!(line.contains("INFO") && !line.contains("remedy"), "{line}");
        assert_eq!(logged(&[]), "");
    }
}
