//! The structure of a services file, and the mistakes that its structure can have: syntax, unknown keys, wrong types.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::error::{Problems, nearest};
use super::read::Kind;
use crate::gateway::Additions;

/// A services file. Each value has its position in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct RawFile {
    pub(super) services: BTreeMap<Spanned<String>, RawService>,
    pub(super) service_env: BTreeMap<Spanned<String>, Spanned<String>>,
    pub(super) gateway: Additions,
}

/// One table of `[services]`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct RawService {
    pub(super) package: Option<Spanned<String>>,
    pub(super) program: Option<Spanned<String>>,
    pub(super) arguments: Vec<Spanned<String>>,
    pub(super) protocol: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<i64>>,
    pub(super) admin_port: Option<Spanned<i64>>,
    pub(super) ports: BTreeMap<Spanned<String>, RawPort>,
    pub(super) health: Option<Spanned<String>>,
    pub(super) optional: bool,
    pub(super) calls: Vec<Spanned<String>>,
    pub(super) r#try: Option<Spanned<String>>,
    pub(super) env: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// One port of a process of the pipeline.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPort {
    pub(super) port: Spanned<i64>,
    pub(super) description: String,
}

impl Kind {
    /// The keys at the top level of the file.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Pipeline => &["services", "service-env"],
            Self::Services => &["services", "gateway"],
        }
    }

    /// The keys of each table in `[services]`.
    fn service_keys(self) -> &'static [&'static str] {
        match self {
            Self::Pipeline => &["program", "arguments", "ports", "health", "optional", "calls", "env"],
            Self::Services => &[
                "package",
                "program",
                "arguments",
                "protocol",
                "port",
                "admin-port",
                "health",
                "calls",
                "try",
                "env",
            ],
        }
    }
}

/// Parses the file. Returns `None` if it has a mistake that prevents further checks.
pub(super) fn parse(source: &str, kind: Kind, problems: &mut Problems<'_>) -> Option<RawFile> {
    let table = match DeTable::parse(source) {
        Ok(table) => table,
        Err(error) => {
            add(problems, &error, "this is not valid TOML: ");
            return None;
        }
    };
    if !check_all_keys(table.get_ref(), kind, problems) {
        return None;
    }
    match RawFile::deserialize(Deserializer::from(table)) {
        Ok(file) => Some(file),
        Err(error) => {
            add(problems, &error, "");
            None
        }
    }
}

/// Records the unknown keys. Returns whether all keys are known.
fn check_all_keys(table: &DeTable<'_>, kind: Kind, problems: &mut Problems<'_>) -> bool {
    let mut known = check_keys(table, kind.keys(), "a services file", problems);
    if let Some(DeValue::Table(services)) = table.get("services").map(Spanned::get_ref) {
        for service in services.values() {
            if let DeValue::Table(service) = service.get_ref() {
                known &= check_keys(service, kind.service_keys(), "a service", problems);
            }
        }
    }
    known
}

fn check_keys(table: &DeTable<'_>, keys: &[&str], owner: &str, problems: &mut Problems<'_>) -> bool {
    let mut known = true;
    for key in table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref())) {
        known = false;
        let name = key.get_ref();
        let advice = nearest(name, keys.iter().copied()).map_or_else(
            || format!("use one of {}", keys.join(", ")),
            |nearest| format!("did you mean `{nearest}`?"),
        );
        problems.add(key.span(), format!("{owner} has no key `{name}`: {advice}"));
    }
    known
}

/// Records an error of the TOML parser, with its expectation in the terms of TOML instead of Rust.
fn add(problems: &mut Problems<'_>, error: &Error, prefix: &str) {
    let message = error
        .message()
        .replace("expected i64", "expected a number without quotes")
        .replace("expected a string", "expected a string in quotes")
        .replace("expected a sequence", "expected a list, such as [\"one\", \"two\"]")
        .replace("expected a map", "expected a table")
        .replace("expected struct RawService", "expected a table")
        .replace("expected struct RawFile", "expected a table")
        .replace("expected struct RawPort", "expected a table");
    problems.add(error.span().unwrap_or_default(), format!("{prefix}{message}: correct this value"));
}
