//! The overlay with whole lists.

use serde_json::{Map, Value, json};

use super::check;
use super::error::AdditionsError;
use super::input::Additions;

/// A list of `gateway.yaml` that has additions.
struct List {
    /// The keys that lead to the list.
    path: [&'static str; 3],
    /// The same keys, for messages.
    name: &'static str,
}

const POLICIES: List =
    List { path: ["processors", "tail_sampling", "policies"], name: "processors.tail_sampling.policies" };
const KEYS: List = List {
    path: ["processors", "redaction/secrets", "blocked_key_patterns"],
    name: "processors.redaction/secrets.blocked_key_patterns",
};
const PATTERNS: List = List {
    path: ["processors", "redaction/secrets", "blocked_values"],
    name: "processors.redaction/secrets.blocked_values",
};
const DIMENSIONS: List =
    List { path: ["connectors", "span_metrics", "dimensions"], name: "connectors.span_metrics.dimensions" };

impl Additions {
    /// Whether there is nothing to add.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns an overlay for the configuration in `base`, the text of `gateway.yaml`. For each list with additions, the
    /// overlay contains the entries of `base`, then the additions. Load it after all other files of the gateway.
    ///
    /// # Errors
    ///
    /// [`AdditionsError`] if an addition cannot be used, or if `base` has no such list.
    pub fn overlay(&self, base: &str) -> Result<String, AdditionsError> {
        let base: Value = serde_yaml::from_str(base).map_err(AdditionsError::Base)?;
        let mut overlay = Value::Object(Map::new());

        let policies = POLICIES.of(&base)?;
        check::policies(&self.sampling.policies, &names(policies))?;
        POLICIES.set(
            &mut overlay,
            policies,
            self.sampling.policies.iter().map(|policy| {
                let mut entry = Map::new();
                entry.insert("name".to_owned(), policy.name.clone().into());
                entry.insert("type".to_owned(), policy.kind.clone().into());
                entry.extend(policy.settings.clone());
                Value::Object(entry)
            }),
        );

        let keys = KEYS.of(&base)?;
        check::expressions("gateway.redaction.keys", &self.redaction.keys, &texts(keys))?;
        KEYS.set(&mut overlay, keys, self.redaction.keys.iter().map(|text| literal(text)));

        let patterns = PATTERNS.of(&base)?;
        check::expressions("gateway.redaction.patterns", &self.redaction.patterns, &texts(patterns))?;
        PATTERNS.set(&mut overlay, patterns, self.redaction.patterns.iter().map(|text| literal(text)));

        let dimensions = DIMENSIONS.of(&base)?;
        check::dimensions(&self.span_metrics.dimensions, &names(dimensions))?;
        DIMENSIONS.set(
            &mut overlay,
            dimensions,
            self.span_metrics.dimensions.iter().map(|dimension| {
                let mut entry = json!({ "name": literal(&dimension.name) });
                if let Some(default) = &dimension.default {
                    entry["default"] = literal(default);
                }
                entry
            }),
        );
        serde_yaml::to_string(&overlay).map_err(AdditionsError::Overlay)
    }
}

impl List {
    /// Returns the list in the base file.
    fn of<'a>(&self, base: &'a Value) -> Result<&'a [Value], AdditionsError> {
        let list = self.path.iter().try_fold(base, |value, key| value.get(key));
        list.and_then(Value::as_array).map(Vec::as_slice).ok_or(AdditionsError::NoList(self.name))
    }

    /// Puts the whole list into the overlay if there are additions.
    fn set(&self, overlay: &mut Value, ours: &[Value], added: impl ExactSizeIterator<Item = Value>) {
        if added.len() > 0 {
            let [section, component, key] = self.path;
            overlay[section][component][key] = ours.iter().cloned().chain(added).collect();
        }
    }
}

/// Writes a text so that the Collector reads it unchanged. In a configuration file, `$$` stands for one `$`.
fn literal(text: &str) -> Value {
    text.replace('$', "$$").into()
}

/// Returns the names of the entries of a list.
fn names(list: &[Value]) -> Vec<&str> {
    list.iter().filter_map(|entry| entry["name"].as_str()).collect()
}

/// Returns the entries of a list of strings.
fn texts(list: &[Value]) -> Vec<&str> {
    list.iter().filter_map(Value::as_str).collect()
}
