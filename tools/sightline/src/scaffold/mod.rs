//! New services from the template crates in `templates/`.
//!
//! [`create`] copies a template to `services/NAME` and adds the service to each file that lists services. It checks
//! everything that it can before it writes the first file, and restores all files if a later step fails.

mod cargo;
mod changes;
mod entries;
mod error;
mod manifest;
mod name;
mod ports;
mod taken;
mod template;
mod values;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use self::changes::Changes;
use self::entries::Entry;
use self::template::{File, Replacements};
use crate::stack::StackSpec;
use crate::stack::spec::{FILE_NAME, Protocol};

pub use self::error::ScaffoldError;
pub use self::name::Name;

const MANIFEST: &str = "Cargo.toml";
const LOCK: &str = "Cargo.lock";
const VALUES: &str = "helm/sightline/values.yaml";
const IMAGES: &str = "deploy/images/images";

/// The service to create.
#[derive(Debug, Clone)]
pub struct NewService {
    /// The name.
    pub name: String,
    /// The protocol, which selects the template.
    pub protocol: Protocol,
    /// The port of the server. By default, the next free number.
    pub port: Option<u16>,
    /// The admin port. By default, the next free number.
    pub admin_port: Option<u16>,
}

/// A service that was created.
#[derive(Debug, Clone)]
pub struct Created {
    /// The name.
    pub name: Name,
    /// The port of the server. `None` for a worker.
    pub port: Option<u16>,
    /// The admin port.
    pub admin_port: u16,
    /// The path of a GET request that the service serves, if it serves HTTP.
    pub try_path: Option<String>,
    /// The directory of the crate, relative to the root of the checkout.
    pub directory: PathBuf,
    /// The files of the crate, relative to its directory.
    pub files: Vec<PathBuf>,
    /// The other files that were changed, relative to the root of the checkout.
    pub changed: Vec<&'static str>,
}

impl NewService {
    /// Returns a service whose ports are the next free numbers.
    #[must_use]
    pub fn new(name: impl Into<String>, protocol: Protocol) -> Self {
        Self { name: name.into(), protocol, port: None, admin_port: None }
    }
}

/// The texts of the files that list services.
#[derive(Debug)]
struct Sources {
    manifest: String,
    lock: String,
    services: String,
    values: String,
    /// `None` in a checkout that builds no images.
    images: Option<String>,
}

impl Sources {
    fn read(root: &Path) -> Result<Self, ScaffoldError> {
        let read = |name: &str| {
            let path = root.join(name);
            fs::read_to_string(&path).map_err(|source| ScaffoldError::Read { path, source })
        };
        let images = match read(IMAGES) {
            Err(ScaffoldError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            images => Some(images?),
        };
        Ok(Self {
            manifest: read(MANIFEST)?,
            lock: read(LOCK)?,
            services: read(FILE_NAME)?,
            values: read(VALUES)?,
            images,
        })
    }
}

/// Everything that is written for a new service.
#[derive(Debug)]
struct Plan {
    directory: PathBuf,
    files: Vec<File>,
    /// The files that change, with their new text.
    changed: Vec<(&'static str, String)>,
}

/// Creates a service in the checkout at `root`. If this fails, the checkout is as it was before.
pub fn create(root: &Path, service: &NewService) -> Result<Created, ScaffoldError> {
    let name = Name::parse(&service.name)?;
    if service.protocol == Protocol::Grpc {
        name.check_grpc()?;
    }
    let sources = Sources::read(root)?;
    let spec = StackSpec::parse(&sources.services, &root.join(FILE_NAME))?;
    let form = |(file, problem): (&str, String)| ScaffoldError::Form { path: root.join(file), problem };
    if let Some(problem) = taken::problem(&name, root, &sources, &spec).map_err(form)? {
        return Err(ScaffoldError::Name { name: service.name.clone(), problem });
    }
    let (port, admin_port) = ports::choose(&spec, service)?;
    let entry = Entry { name: &name, protocol: service.protocol, port, admin_port };
    let plan = plan(root, &sources, &entry)?;
    let mut written = Changes::default();
    if let Err(error) = write(root, &name, &plan, &mut written) {
        return Err(written.undo(error));
    }
    let mut changed: Vec<_> = plan.changed.iter().map(|(file, _)| *file).collect();
    changed.push(LOCK);
    let try_path = entry.try_path();
    let files = plan.files.into_iter().map(|file| file.path).collect();
    Ok(Created { name, port, admin_port, try_path, directory: plan.directory, files, changed })
}

/// Reads the template and computes the new texts, without writing anything.
fn plan(root: &Path, sources: &Sources, entry: &Entry<'_>) -> Result<Plan, ScaffoldError> {
    let form = |file: &str, problem| ScaffoldError::Form { path: root.join(file), problem };
    let label = entry.name.label();
    let directory = Path::new("services").join(label);
    let replacements = Replacements::new(entry.protocol, entry.name, entry.port)?;
    let files = template::copy(&template::directory(root, entry.protocol), &replacements)?;

    let member = format!("services/{label}");
    let manifest =
        manifest::add_member(&sources.manifest, &member).map_err(|problem| form(MANIFEST, problem))?;
    let services = entries::append(&sources.services, &entry.table());
    // The new table can conflict with the others, for example through the names of the variables for its ports.
    StackSpec::parse(&services, &root.join(FILE_NAME))?;
    let values = values::add_service(&sources.values, label, &entry.values())
        .map_err(|problem| form(VALUES, problem))?;
    let changed = vec![(MANIFEST, manifest), (FILE_NAME, services), (VALUES, values)];
    Ok(Plan { directory, files, changed })
}

fn write(root: &Path, name: &Name, plan: &Plan, changes: &mut Changes) -> Result<(), ScaffoldError> {
    let directory = root.join(&plan.directory);
    changes.create_directory(&directory)?;
    for file in &plan.files {
        changes::write(&directory.join(&file.path), &file.text)?;
    }
    for (file, text) in &plan.changed {
        changes.replace(&root.join(file), text)?;
    }
    changes.keep(&root.join(LOCK))?;
    cargo::update_lock(root)?;
    cargo::format(root, name)
}

#[cfg(test)]
mod tests;
