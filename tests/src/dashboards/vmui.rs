//! Dashboards for vmui, the UI of the metrics store. The format is that of the structs in its `app/vmselect/vmui.go`.

use serde_json::{Value, json};

use super::{Dashboard, Panel};

pub(super) fn render(dashboard: &Dashboard) -> Value {
    let rows = dashboard
        .rows
        .iter()
        .map(|row| json!({"title": row.title, "panels": row.panels.iter().map(panel).collect::<Vec<_>>()}));
    json!({"title": dashboard.title, "rows": rows.collect::<Vec<_>>()})
}

fn panel(panel: &Panel) -> Value {
    let queries = &panel.queries;
    json!({
        "title": panel.title,
        "description": panel.description.as_deref().unwrap_or_default(),
        "unit": panel.unit.vmui(),
        "width": panel.width,
        "expr": queries.iter().map(|query| query.expr.trim()).collect::<Vec<_>>(),
        "alias": queries.iter().map(|query| &query.legend).collect::<Vec<_>>(),
    })
}
