//! Empty: Cargo.toml needs a target.
