//! The additions as a user writes them, in TOML or YAML. Unknown keys are errors.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The entries to add to the lists of the gateway, for example in TOML.
///
/// ```toml
/// [[gateway.sampling.policies]]
/// name = "checkout"
/// type = "string_attribute"
/// string_attribute = { key = "http.route", values = ["/checkout"] }
///
/// [gateway.redaction]
/// keys = ['^customer\.iban$']
/// patterns = ['DE\d{20}']
///
/// [[gateway.span-metrics.dimensions]]
/// name = "tenant.id"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Additions {
    /// Additions to tail sampling.
    pub sampling: Sampling,
    /// Additions to the redaction of personal data and secrets.
    pub redaction: Redaction,
    /// Additions to the metrics that the gateway derives from spans.
    pub span_metrics: SpanMetrics,
}

/// The table `[gateway.sampling]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Policies that are applied after the policies of `gateway.yaml`. A policy keeps traces that the policies before it
    /// do not keep. Only a policy of the type `drop` removes traces.
    pub policies: Vec<Policy>,
}

/// A policy of the Collector's `tail_sampling` processor.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The name, which is unique among all policies.
    pub name: String,
    /// The type, such as `string_attribute` or `drop`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The settings of the policy, under the key that the processor documents for the type. The Collector expands
    /// `${env:NAME}` in them, and reads `$$` as `$`.
    #[serde(flatten)]
    pub settings: Map<String, Value>,
}

/// The table `[gateway.redaction]`. All strings are regular expressions in the syntax of Go (RE2).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redaction {
    /// If one of these expressions matches the key of an attribute, the whole value is masked.
    pub keys: Vec<String>,
    /// Text that matches one of these expressions is masked in every attribute, span name, event name, status message
    /// and log body.
    pub patterns: Vec<String>,
}

/// The table `[gateway.span-metrics]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpanMetrics {
    /// Attributes that become labels of the span metrics.
    pub dimensions: Vec<Dimension>,
}

/// A dimension of the Collector's `span_metrics` connector.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dimension {
    /// The key of a span attribute or a resource attribute. The attribute needs few possible values, because each
    /// combination of values is a series of its own.
    pub name: String,
    /// The value for a span without this attribute. By default, the series of such a span has no label.
    pub default: Option<String>,
}
