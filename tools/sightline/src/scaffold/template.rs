//! Copies of the template crates.
//!
//! A template is a crate in `templates/` that is a member of the workspace. In its files and their paths, a copy
//! replaces the template's name in each spelling, and the template's port.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ScaffoldError;
use super::name::Name;
use crate::stack::spec::Protocol;

/// A file of a copy: its path in the crate, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// What to replace in a template, and by what. Longer texts come before texts that they contain.
#[derive(Debug)]
pub(super) struct Replacements(Vec<(String, String)>);

/// Returns the directory of a template.
pub(super) fn directory(root: &Path, protocol: Protocol) -> PathBuf {
    root.join("templates").join(protocol.name())
}

/// Returns the files of the template's copy, sorted by path. The target directory and hidden files are left out.
pub(super) fn copy(directory: &Path, replacements: &Replacements) -> Result<Vec<File>, ScaffoldError> {
    let mut files = Vec::new();
    read(directory, Path::new(""), &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in &mut files {
        file.path = PathBuf::from(replacements.apply(&file.path.to_string_lossy()));
        file.text = replacements.apply(&file.text);
    }
    Ok(files)
}

fn read(directory: &Path, inside: &Path, files: &mut Vec<File>) -> Result<(), ScaffoldError> {
    let failed = |path: &Path, source: io::Error| ScaffoldError::Read { path: path.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(|error| failed(directory, error))? {
        let entry = entry.map_err(|error| failed(directory, error))?;
        let (path, name) = (entry.path(), entry.file_name());
        let inside = inside.join(&name);
        if name.to_string_lossy().starts_with('.') || inside == Path::new("target") {
            continue;
        }
        if path.is_dir() {
            read(&path, &inside, files)?;
        } else {
            let text = fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            files.push(File { path: inside, text });
        }
    }
    Ok(())
}

impl Replacements {
    /// Returns the replacements that turn the template of this protocol into the service `name`. `port` is the port of
    /// its server.
    pub(super) fn new(protocol: Protocol, name: &Name, port: Option<u16>) -> Result<Self, ScaffoldError> {
        let template = Name::parse(&format!("template-{}", protocol.name()))?;
        let mut pairs = Vec::new();
        for suffix in ["_client", "_server"] {
            pairs.push((template.module() + suffix, name.module() + suffix));
        }
        pairs.push((template.label().to_owned(), name.label().to_owned()));
        pairs.push((template.ident(), name.ident()));
        pairs.push((template.variable(), name.variable()));
        pairs.push((template.type_name(), name.type_name()));
        if let (Some(default), Some(port)) = (default_port(protocol), port) {
            pairs.push((default.to_string(), port.to_string()));
        }
        Ok(Self(pairs))
    }

    /// Replaces in one pass, because the new name can contain the name of the template.
    fn apply(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some((old, new)) = self.0.iter().find(|(old, _)| rest.starts_with(old.as_str())) {
                result.push_str(new);
                rest = &rest[old.len()..];
            } else {
                result.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        result
    }
}

/// The default port in the settings of a template.
fn default_port(protocol: Protocol) -> Option<u16> {
    match protocol {
        Protocol::Http => Some(8990),
        Protocol::Grpc => Some(8991),
        Protocol::Worker => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

    fn copy_of(protocol: Protocol, name: &str) -> Vec<File> {
        let replacements = Replacements::new(protocol, &Name::parse(name).unwrap(), Some(12345)).unwrap();
        copy(&directory(Path::new(ROOT), protocol), &replacements).unwrap()
    }

    #[test]
    fn a_copy_does_not_mention_the_template() {
        for protocol in Protocol::ALL {
            let files = copy_of(protocol, "shop-2");
            let paths: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
            for path in ["Cargo.toml", "src/main.rs", "src/lib.rs", "src/settings.rs", "tests/spans.rs"] {
                assert!(paths.iter().any(|each| each == path), "{path}: {paths:?}");
            }
            let all = files.iter().map(|file| format!("{}\n{}", file.path.display(), file.text));
            let all = all.collect::<String>().to_lowercase().replace(['-', '_'], "");
            let name = format!("template{}", protocol.name());
            assert!(!all.contains(&name), "{name}");
            if let Some(port) = default_port(protocol) {
                assert!(!all.contains(&port.to_string()) && all.contains("const port: u16 = 12345;"));
            }
        }
    }

    #[test]
    fn replaces_every_spelling_once() {
        let name = Name::parse("my-template-grpc-2").unwrap();
        let replacements = Replacements::new(Protocol::Grpc, &name, Some(1)).unwrap();
        assert_eq!(
            replacements.apply("é template-grpc template_grpc TEMPLATE_GRPC_X TemplateGrpcServer 8991"),
            "é my-template-grpc-2 my_template_grpc_2 MY_TEMPLATE_GRPC_2_X MyTemplateGrpc2Server 1"
        );
        assert_eq!(
            replacements.apply("template_grpc_client::X, template_grpc_server; template_grpc::client"),
            "my_template_grpc2_client::X, my_template_grpc2_server; my_template_grpc_2::client"
        );
        let files = copy_of(Protocol::Grpc, "shop-2");
        assert!(files.iter().any(|file| file.path == Path::new("proto/shop_2/v1/shop_2.proto")), "{files:?}");
    }
}
