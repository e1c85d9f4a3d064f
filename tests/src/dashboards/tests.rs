use std::collections::BTreeSet;

use super::*;

const UPDATE: &str = "UPDATE_RENDERED";

#[test]
fn the_generated_files_are_up_to_date() {
    let update = std::env::var_os(UPDATE).is_some_and(|value| !value.is_empty());
    let dashboards = dashboards().unwrap();
    assert!(!dashboards.is_empty());
    let mut expected = BTreeSet::new();
    for dashboard in &dashboards {
        for (format, value) in render(dashboard) {
            let path = directory().join(format).join(format!("{}.json", dashboard.name));
            let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
            if update {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &text).unwrap();
            }
            assert!(
                fs::read_to_string(&path).unwrap_or_default() == text,
                "{} is not up to date: run `make dashboards` and commit the change",
                path.display()
            );
            expected.insert(path);
        }
    }
    let formats: BTreeSet<_> = expected.iter().map(|path| path.parent().unwrap()).collect();
    for entry in formats.into_iter().flat_map(|format| fs::read_dir(format).unwrap()) {
        let path = entry.unwrap().path();
        assert!(expected.contains(&path), "{} has no source: delete it", path.display());
    }
}

/// A label that the query does not keep would be empty.
#[test]
fn legends_use_only_labels_that_the_query_keeps() {
    for dashboard in dashboards().unwrap() {
        for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
            for query in &panel.queries {
                let names = promql::names(&query.expr).unwrap();
                for label in promql::legend_labels(&query.legend).unwrap() {
                    // A query that does not group keeps all labels.
                    let kept = names.labels.is_empty() || names.labels.contains(label);
                    assert!(kept, "{}, {}: no {label} in {}", dashboard.name, panel.title, query.expr);
                }
            }
        }
    }
}

/// In vmui, a panel that is wider than its row is narrow on the next line.
#[test]
fn panels_fit_into_the_page() {
    for dashboard in dashboards().unwrap() {
        for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
            assert!((1..=12).contains(&panel.width), "{}: {}", dashboard.name, panel.title);
            assert!((1..=26).contains(&panel.queries.len()), "{}: {}", dashboard.name, panel.title);
        }
    }
}

/// A person who gets an alert follows its link.
#[test]
fn each_alert_has_a_runbook() {
    let page = fs::read_to_string(root().join("docs/alerts.md")).unwrap();
    let (_, alerts_of_page) = page.split_once("\n## Alerts\n").unwrap();
    let sections: BTreeSet<_> =
        alerts_of_page.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let mut names = BTreeSet::new();
    for (file, alert) in alerts().unwrap() {
        let url = format!("docs/alerts.md#{}", alert.alert.to_lowercase());
        assert_eq!(alert.annotations["runbook_url"], url, "{file}: {}", alert.alert);
        assert!(alert.annotations["summary"].is_string(), "{file}: {}", alert.alert);
        let severity = alert.labels["severity"].as_str();
        assert!(matches!(severity, Some("warning" | "critical")), "{file}: {}: {severity:?}", alert.alert);
        assert!(names.insert(alert.alert), "{file}: two alerts have the same name");
    }
    assert_eq!(names, sections, "the alerts, and the sections of docs/alerts.md");
}

#[test]
fn each_alert_has_a_test() {
    let tests = root().join("deploy/alerts/tests");
    for (file, alert) in alerts().unwrap() {
        let text = fs::read_to_string(tests.join(format!("{file}.yaml"))).unwrap();
        let expected = format!("/alerts.md#{}\n", alert.alert.to_lowercase());
        assert!(text.contains(&expected), "deploy/alerts/tests/{file}.yaml expects no {}", alert.alert);
    }
}
