//! The dashboards in `deploy/dashboards`, and the alerts in `deploy/alerts`.
//!
//! Each `deploy/dashboards/*.yaml` describes one dashboard. The files in `deploy/dashboards/vmui`, for the UI of
//! the metrics store, and in `deploy/dashboards/grafana` are generated from it, so that they cannot differ. A test fails if
//! a generated file is not up to date; with `UPDATE_RENDERED=1`, the test writes the files.

mod grafana;
pub mod promql;
mod vmui;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::test_stack::root;

/// The description of one dashboard.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// The name of the file without its extension. It starts with a digit, because vmui sorts dashboards by it.
    #[serde(skip)]
    pub name: String,
    /// The title, which vmui shows as a tab.
    pub title: String,
    /// What the dashboard shows.
    pub description: String,
    /// The groups of panels.
    pub rows: Vec<Row>,
}

/// A group of panels.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The title of the group.
    pub title: String,
    /// The panels, two in each line unless they have another width.
    pub panels: Vec<Panel>,
}

/// A graph.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// The title.
    pub title: String,
    /// What the graph shows, and what a value means.
    #[serde(default)]
    pub description: Option<String>,
    /// The unit of the values.
    pub unit: Unit,
    /// The width in twelfths of the page.
    #[serde(default = "half")]
    pub width: u32,
    /// The queries whose series the graph shows.
    pub queries: Vec<Query>,
}

fn half() -> u32 {
    6
}

/// A query in `PromQL`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The query.
    pub expr: String,
    /// The name of each series. `{{label}}` stands for the value of a label.
    pub legend: String,
}

/// The unit of the values of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Items per second.
    Rate,
    /// Seconds.
    Seconds,
    /// Per cent, from 0 to 100.
    Percent,
    /// Mebibytes.
    Mebibytes,
    /// Days.
    Days,
    /// A number without a unit.
    Count,
}

impl Unit {
    /// The text that vmui puts after a value.
    fn vmui(self) -> &'static str {
        match self {
            Self::Rate => "/s",
            Self::Seconds => "s",
            Self::Percent => "%",
            Self::Mebibytes => "MiB",
            Self::Days => "d",
            Self::Count => "",
        }
    }

    /// The name of the unit in Grafana.
    fn grafana(self) -> &'static str {
        match self {
            Self::Rate => "cps",
            Self::Seconds => "s",
            Self::Percent => "percent",
            Self::Mebibytes => "mbytes",
            Self::Days => "d",
            Self::Count => "short",
        }
    }
}

/// Returns the dashboards, sorted by the names of their files. Fails if a file is not valid.
pub fn dashboards() -> Result<Vec<Dashboard>> {
    let mut dashboards = Vec::new();
    for path in yaml_files(&directory())? {
        let mut dashboard: Dashboard = read(&path)?;
        dashboard.name = stem(&path);
        dashboards.push(dashboard);
    }
    Ok(dashboards)
}

/// Returns the dashboard in each format, with the name of the directory of its file.
#[must_use]
pub fn render(dashboard: &Dashboard) -> [(&'static str, Value); 2] {
    [("vmui", vmui::render(dashboard)), ("grafana", grafana::render(dashboard))]
}

fn directory() -> PathBuf {
    root().join("deploy/dashboards")
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file of rules in the format of Prometheus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// The groups of rules.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The alerts.
    pub rules: Vec<Alert>,
}

/// An alert.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// The name.
    pub alert: String,
    /// The query. Each series that it returns is an alert.
    pub expr: String,
    /// The time for which the query has to return the series.
    #[serde(rename = "for", default)]
    pub lasting: Option<String>,
    /// The labels of the alert.
    pub labels: serde_json::Map<String, Value>,
    /// The texts of the alert.
    pub annotations: serde_json::Map<String, Value>,
}

/// Returns the alerts of all files in `deploy/alerts`, each with the name of its file. Fails if a file is not valid.
pub fn alerts() -> Result<Vec<(String, Alert)>> {
    let mut alerts = Vec::new();
    for path in yaml_files(&root().join("deploy/alerts"))? {
        let file: RuleFile = read(&path)?;
        let name = stem(&path);
        let rules = file.groups.into_iter().flat_map(|group| group.rules);
        alerts.extend(rules.map(|alert| (name.clone(), alert)));
    }
    Ok(alerts)
}

/// Returns the names of the rules in a response of vmalert to `/api/v1/rules`. Fails if a rule has not been evaluated yet,
/// or if its evaluation failed.
pub fn evaluated_rules(response: &Value) -> Result<BTreeSet<String>> {
    let groups = response["data"]["groups"].as_array().with_context(|| response.to_string())?;
    let mut names = BTreeSet::new();
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten()) {
        let never = rule["lastEvaluation"].as_str().is_none_or(|time| time.starts_with("0001"));
        ensure!(!never && rule["health"] == "ok" && rule["lastError"] == "", "{rule:#}");
        names.insert(rule["name"].as_str().unwrap_or_default().to_owned());
    }
    Ok(names)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_yaml::from_str(&text).with_context(|| path.display().to_string())
}

fn yaml_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    let mut paths: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
