//! The errors of the additions.

use thiserror::Error;

/// An addition that cannot be used, or a base file that has no list to add to. The message says what to change.
#[derive(Debug, Error)]
pub enum AdditionsError {
    /// A required value is empty or missing.
    #[error("{path} is empty: set it, or remove the entry")]
    Empty {
        /// The path of the value, such as `gateway.sampling.policies[0].name`.
        path: String,
    },
    /// The entry is already in the list, in `gateway.yaml` or among the additions.
    #[error("{path}: {value:?} is {place}: {remedy}")]
    Duplicate {
        /// The path of the value.
        path: String,
        /// The value.
        value: String,
        /// Where else the value is.
        place: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The Collector's `tail_sampling` processor has no policies of this type.
    #[error("{path}: there is no policy type {kind:?}. The types are {}", known.join(", "))]
    UnknownType {
        /// The path of the value.
        path: String,
        /// The type.
        kind: String,
        /// The types that exist.
        known: &'static [&'static str],
    },
    /// A policy has settings that do not belong to its type.
    #[error("{path}: a policy of the type {kind:?} has no key {key:?}: put its settings under {kind:?}")]
    UnknownSetting {
        /// The path of the policy.
        path: String,
        /// The type of the policy.
        kind: String,
        /// The key.
        key: String,
    },
    /// The expression cannot be used.
    #[error("{path}: {value:?} {problem}")]
    Expression {
        /// The path of the value.
        path: String,
        /// The expression.
        value: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The base file is not YAML.
    #[error("gateway.yaml is not valid YAML")]
    Base(#[source] serde_yaml::Error),
    /// The base file has no list at the expected place.
    #[error(
        "gateway.yaml has no list {0}, so nothing can be added to it: restore the list, or remove the additions"
    )]
    NoList(&'static str),
    /// The overlay cannot be written as YAML.
    #[error("the overlay cannot be written as YAML")]
    Overlay(#[source] serde_yaml::Error),
}
