//! Dashboards for Grafana. They use only panels that Grafana contains, and a variable for the data source.

use serde_json::{Value, json};

use super::{Dashboard, Panel};

/// The width of a page in Grafana's units. [`Panel::width`] is in twelfths.
const COLUMNS: u32 = 24;
const HEIGHT: u32 = 8;

pub(super) fn render(dashboard: &Dashboard) -> Value {
    let mut panels = Vec::new();
    let mut y = 0;
    for row in &dashboard.rows {
        panels.push(json!({
            "id": panels.len() + 1,
            "type": "row",
            "title": row.title,
            "collapsed": false,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        }));
        y += 1;
        let mut x = 0;
        for each in &row.panels {
            let width = each.width * COLUMNS / 12;
            if x + width > COLUMNS {
                (x, y) = (0, y + HEIGHT);
            }
            panels.push(panel(panels.len() + 1, each, x, y, width));
            x += width;
        }
        y += HEIGHT;
    }
    let name = dashboard.name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    json!({
        "uid": format!("sightline-{name}"),
        "title": format!("Sightline: {}", dashboard.title),
        "description": dashboard.description.trim(),
        "tags": ["sightline"],
        "schemaVersion": 39,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "current": {},
        }]},
        "panels": panels,
    })
}

fn panel(id: usize, panel: &Panel, x: u32, y: u32, width: u32) -> Value {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let targets = panel.queries.iter().zip('A'..='Z').map(|(query, id)| {
        json!({
            "refId": id.to_string(),
            "datasource": source,
            "expr": query.expr.trim(),
            "legendFormat": query.legend,
        })
    });
    json!({
        "id": id,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description.as_deref().unwrap_or_default(),
        "datasource": source,
        "gridPos": {"x": x, "y": y, "w": width, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit.grafana(), "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": targets.collect::<Vec<_>>(),
    })
}
