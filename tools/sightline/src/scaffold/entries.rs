//! What a new service adds to the files that list the services.

use super::name::Name;
use crate::stack::spec::Protocol;

/// A new service with its ports.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a Name,
    pub(super) protocol: Protocol,
    /// The port of the server. `None` for a worker.
    pub(super) port: Option<u16>,
    pub(super) admin_port: u16,
}

impl Entry<'_> {
    /// Returns the path of a GET request that the service serves, if it serves HTTP.
    pub(super) fn try_path(&self) -> Option<String> {
        (self.protocol == Protocol::Http).then(|| format!("/{}/7", self.name.label()))
    }

    /// Returns the table for `sightline.toml`.
    pub(super) fn table(&self) -> String {
        let name = self.name.label();
        let mut lines = vec![
            format!("[services.{name}]"),
            format!("package = \"{name}\""),
            format!("protocol = \"{}\"", self.protocol.name()),
        ];
        lines.extend(self.port.map(|port| format!("port = {port}")));
        lines.push(format!("admin-port = {}", self.admin_port));
        lines.push("calls = []".to_owned());
        lines.extend(self.try_path().map(|path| format!("try = \"{path}\"")));
        if self.port.is_some() {
            lines.extend([
                String::new(),
                format!("[services.{name}.env]"),
                "# The service calls itself. To call another service, add it to `calls`, and use ${NAME.url}.".to_owned(),
                format!("{}_DETAILS_URL = \"${{url}}\"", self.name.variable()),
            ]);
        } else {
            lines.extend([
                String::new(),
                "# To call a service for each message, add it to `calls`, and set this variable to ${NAME.url} and a path:"
                    .to_owned(),
                format!("# env = {{ {}_UPSTREAM_URL = \"${{NAME.url}}/PATH\" }}", self.name.variable()),
            ]);
        }
        lines.join("\n") + "\n"
    }

    /// Returns the value of the entry in `services` of the chart's `values.yaml`.
    pub(super) fn values(&self) -> String {
        let mut lines = vec!["image:".to_owned(), format!("  repository: sightline/{}", self.name.label())];
        if self.protocol != Protocol::Http {
            lines.push(format!("protocol: {}", self.protocol.name()));
        }
        if let Some(port) = self.port {
            lines.extend([
                "service:".to_owned(),
                format!("  port: {port}"),
                "env:".to_owned(),
                "  # The service calls itself. To call another service, add it to `calls`, and use service.url.".to_owned(),
                format!(
                    "  {}_DETAILS_URL: 'http://localhost:{{{{ .Values.service.port }}}}'",
                    self.name.variable()
                ),
            ]);
        }
        lines.join("\n") + "\n"
    }
}

/// Appends a paragraph to a text file. The rest of the text stays as it is.
pub(super) fn append(text: &str, paragraph: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}\n{paragraph}")
}
