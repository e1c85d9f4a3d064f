//! What goes with a request to every service it reaches.

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _};

const ENVIRONMENT: &str = "environment";
const VERSION: &str = "version";

/// The current context with `environment` and `version` in its baggage. What came with the request stays, but for
/// these two: they are ours to say.
pub(crate) fn with_origin(environment: &str) -> Context {
    Context::map_current(|context| {
        // Ours first: baggage has a limit, and what came may already fill it.
        let mut baggage = Baggage::new();
        baggage.insert(ENVIRONMENT, environment.to_owned());
        baggage.insert(VERSION, env!("CARGO_PKG_VERSION"));
        for (key, (value, metadata)) in context.baggage() {
            if ![ENVIRONMENT, VERSION].contains(&key.as_str()) {
                baggage.insert_with_metadata(key.clone(), value.clone(), metadata.clone());
            }
        }
        context.with_baggage(baggage)
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::*;

    #[test]
    fn what_came_stays_but_for_what_is_ours() {
        let came =
            Context::new().with_baggage([KeyValue::new("tenant", "blue"), KeyValue::new("version", "9")]);
        let _attached = came.attach();
        let context = with_origin("staging");
        let baggage = context.baggage();
        let get = |key| baggage.get(key).map(ToString::to_string);
        assert_eq!(get("tenant").as_deref(), Some("blue"));
        assert_eq!(get("environment").as_deref(), Some("staging"));
        assert_eq!(get("version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    }
}
