//! What could not be looked up, said on one line at the start.

use std::collections::BTreeSet;

/// Attributes that could not be looked up, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// For example `k8s.node.uid`.
    pub(super) attributes: &'static str,
    /// What stood in the way.
    pub(super) why: String,
    /// What a person can do, if anything.
    pub(super) remedy: Option<String>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing(pub(super) Vec<Gap>);

impl Missing {
    /// One line at most. It is a warning where a person can do something, and information where only time would help.
    pub(crate) fn log(&self) {
        if self.0.is_empty() {
            return;
        }
        let attributes = joined(self.0.iter().map(|gap| gap.attributes));
        let error = joined(self.0.iter().map(|gap| gap.why.as_str()));
        let remedy = joined(self.0.iter().filter_map(|gap| gap.remedy.as_deref()));
        if remedy.is_empty() {
            tracing::info!(
                attributes,
                error,
                "Kubernetes attributes are left out that could not be looked up"
            );
        } else {
            tracing::warn!(
                attributes,
                error,
                remedy,
                "Kubernetes attributes are left out that could not be looked up"
            );
        }
    }
}

/// Each once: a server that does not answer one question does not answer the others either.
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

    fn gap(attributes: &'static str, why: &str, remedy: Option<&str>) -> Gap {
        Gap { attributes, why: why.to_owned(), remedy: remedy.map(str::to_owned) }
    }

    #[test]
    fn all_that_is_missing_is_said_on_one_line() {
        let line = logged(&[
            gap("k8s.node.uid", "no answer", Some("open the door")),
            gap("k8s.cluster.uid", "no answer", Some("open the door")),
            gap("container.id", "not yet", None),
        ]);
        assert_eq!(line.lines().count(), 1, "{line}");
        for (text, times) in [
            ("WARN", 1),
            ("k8s.node.uid; k8s.cluster.uid; container.id", 1),
            ("no answer; not yet", 1),
            ("open the door", 1),
        ] {
            assert_eq!(line.matches(text).count(), times, "{text} in {line}");
        }
    }

    #[test]
    fn what_nobody_can_mend_is_no_warning_and_nothing_missing_is_no_line() {
        let line = logged(&[gap("container.id", "not yet", None)]);
        assert!(line.contains("INFO") && !line.contains("remedy"), "{line}");
        assert_eq!(logged(&[]), "");
    }
}
