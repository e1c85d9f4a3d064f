//! The baggage that the service adds to a request. The baggage reaches every service that handles the request.
//!
//! See the [baggage API](https://opentelemetry.io/docs/specs/otel/baggage/api/).

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _};

const ENVIRONMENT: &str = "environment";
const VERSION: &str = "version";

/// Returns the current context with `environment` and `version` in its baggage.
///
/// The caller's baggage is kept, except for these two keys, which this service sets.
pub(crate) fn with_origin(environment: &str) -> Context {
    Context::map_current(|context| {
        // This service's entries come first: baggage has a size limit, which the caller's entries may already reach.
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
    fn keeps_the_callers_entries_except_for_this_services_keys() {
        let caller =
            Context::new().with_baggage([KeyValue::new("tenant", "blue"), KeyValue::new("version", "9")]);
        let _attached = caller.attach();
        let context = with_origin("staging");
        let baggage = context.baggage();
        let get = |key| baggage.get(key).map(ToString::to_string);
        assert_eq!(get("tenant").as_deref(), Some("blue"));
        assert_eq!(get("environment").as_deref(), Some("staging"));
        assert_eq!(get("version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    }
}
