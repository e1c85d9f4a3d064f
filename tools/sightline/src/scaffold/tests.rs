//! Tests with a copy of this checkout.

use std::collections::BTreeMap;
use std::process::Command;

use super::*;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The files and directories of this checkout that a new service needs.
const NEEDED: [&str; 9] = [
    MANIFEST,
    LOCK,
    "rust-toolchain.toml",
    "rustfmt.toml",
    "clippy.toml",
    IMAGES,
    "services/telemetry",
    "services/common",
    "templates",
];

/// The members of the copy's workspace.
const MEMBERS: &str = r#"members = [
    "services/telemetry",
    "services/common",
    "templates/http",
    "templates/grpc",
    "templates/worker",
]
"#;

/// The services of the copy. They are not those of this checkout, because a user changes these.
const SERVICES: &str = r#"# Comment
[services.first-service]
program = "first"
protocol = "http"
port = 8081
admin-port = 2114

[services.second-service]
program = "second"
protocol = "grpc"
port = 8082
"#;

/// The chart's values of the copy.
const CHART: &str = "\
# -- The services.
services:
  first-service:
    service:
      port: 8081
  second-service:
    protocol: grpc

# -- Values for all services.
service: {}
";

struct Checkout {
    path: PathBuf,
    /// Removes the copy at the end of the test. `None` for a copy that stays.
    _directory: Option<tempfile::TempDir>,
}

impl Checkout {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let checkout = Self::at(directory.path().to_owned());
        Self { _directory: Some(directory), ..checkout }
    }

    /// Replaces the copy in a directory that always has the same path.
    fn at(path: PathBuf) -> Self {
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        for each in NEEDED {
            copy(&Path::new(ROOT).join(each), &path.join(each));
        }
        let checkout = Self { path, _directory: None };
        let manifest = checkout.read(MANIFEST);
        let (before, rest) = manifest.split_once("members = [\n").unwrap();
        let (_, after) = rest.split_once("]\n").unwrap();
        for (file, text) in
            [(FILE_NAME, SERVICES), (VALUES, CHART), (MANIFEST, &format!("{before}{MEMBERS}{after}"))]
        {
            let path = checkout.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        // This removes the other services of this checkout from Cargo.lock, so that no test depends on their names.
        checkout.cargo(&["update", "--workspace", "--offline", "--quiet"]);
        checkout
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    fn replace(&self, file: &str, old: &str, new: &str) {
        let text = self.read(file);
        assert!(text.contains(old), "{file}: {old}");
        fs::write(self.path().join(file), text.replace(old, new)).unwrap();
    }

    fn create(&self, name: &str, protocol: Protocol) -> Result<Created, ScaffoldError> {
        create(self.path(), &NewService::new(name, protocol))
    }

    fn rejected(&self, name: &str) -> String {
        self.create(name, Protocol::Http).unwrap_err().to_string()
    }

    /// The content of all files.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.path(), &mut files);
        files
    }

    /// Runs cargo, and returns its output. Panics if cargo fails.
    fn cargo(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(self.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

fn collect(directory: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

/// Returns the lines that `after` adds. Panics if `after` is not `before` with added lines.
fn added<'a>(before: &str, after: &'a str) -> Vec<&'a str> {
    let mut before = before.split_inclusive('\n').peekable();
    let mut added = Vec::new();
    for line in after.split_inclusive('\n') {
        if before.next_if_eq(&line).is_none() {
            added.push(line.trim_end());
        }
    }
    assert_eq!(before.next(), None, "a line was changed or removed");
    added
}

#[test]
fn creates_several_services_one_after_the_other() {
    let checkout = Checkout::new();
    let before: BTreeMap<_, _> = [MANIFEST, FILE_NAME, VALUES].map(|file| (file, checkout.read(file))).into();

    let created = checkout.create("payments", Protocol::Http).unwrap();
    assert_eq!((created.port, created.admin_port), (Some(8083), 2115));
    assert_eq!(created.directory, Path::new("services/payments"));
    assert_eq!(created.changed, [MANIFEST, FILE_NAME, VALUES, LOCK]);
    let texts = |file: &str| (before[file].clone(), checkout.read(file));
    let lines = |file: &str| {
        let (before, after) = texts(file);
        added(&before, &after).join("\n")
    };
    assert_eq!(lines(MANIFEST), "    \"services/payments\",");
    assert_eq!(
        lines(FILE_NAME),
        "\n[services.payments]\npackage = \"payments\"\nprotocol = \"http\"\nport = 8083\nadmin-port = 2115\n\
         calls = []\ntry = \"/payments/7\"\n\n[services.payments.env]\n\
         # The service calls itself. To call another service, add it to `calls`, and use ${NAME.url}.\n\
         PAYMENTS_DETAILS_URL = \"${url}\""
    );
    assert_eq!(
        lines(VALUES),
        "  payments:\n    image:\n      repository: sightline/payments\n    service:\n      port: 8083\n    env:\n      \
         # The service calls itself. To call another service, add it to `calls`, and use service.url.\n      \
         PAYMENTS_DETAILS_URL: 'http://localhost:{{ .Values.service.port }}'"
    );

    // Names of other lengths than the template's change where rustfmt breaks lines.
    let stock = checkout.create("a-stock-with-the-longest-name-in-the-chart", Protocol::Grpc).unwrap();
    assert_eq!((stock.port, stock.admin_port), (Some(8084), 2116));
    let worker = checkout.create("mail", Protocol::Worker).unwrap();
    assert_eq!((worker.port, worker.admin_port), (None, 2117));
    for file in [MANIFEST, FILE_NAME, VALUES] {
        let (before, after) = texts(file);
        added(&before, &after);
    }

    let spec = StackSpec::load(&checkout.path().join(FILE_NAME)).unwrap();
    let names: Vec<_> = spec.services().map(|service| service.name.name()).collect();
    assert_eq!(names[2..], ["payments", "a-stock-with-the-longest-name-in-the-chart", "mail"]);
    // `--locked` fails if Cargo.lock is not complete.
    let metadata = checkout.cargo(&["metadata", "--no-deps", "--format-version=1", "--offline", "--locked"]);
    assert!(metadata.contains("\"a_stock_with_the_longest_name_in_the_chart\""), "{metadata}");
    checkout.cargo(&["tree", "--offline", "--locked", "--depth=0", "--package=mail"]);
    for name in &names[2..] {
        checkout.cargo(&["fmt", "--check", "--package", name]);
    }
}

#[test]
fn rejects_a_name_that_is_taken_and_writes_nothing() {
    let checkout = Checkout::new();
    checkout.replace(
        VALUES,
        "\n# -- Values for all services",
        "  only-in-chart: {}\n\n# -- Values for all services",
    );
    fs::create_dir(checkout.path().join("services/leftover")).unwrap();
    let before = checkout.files();
    for (name, reason) in [
        ("first-service", "sightline.toml has a service"),
        ("jaeger", "the pipeline"),
        ("leftover", "services/leftover exists"),
        ("telemetry", "services/telemetry exists"),
        ("only-in-chart", "values.yaml has a service"),
        ("template-grpc", "a package of the workspace"),
        ("service-common", "a package of the workspace"),
        ("serde", "a dependency, serde,"),
        ("tokio-macros", "a dependency, tokio-macros,"),
        ("proc-macro2", "a dependency, proc-macro2,"),
        ("serde-yaml", "[workspace.dependencies]"),
        ("cli", "deploy/images/images has an image"),
    ] {
        let error = checkout.rejected(name);
        assert!(error.contains(reason) && error.contains("use another name"), "{name}: {error}");
    }
    // The variables for the ports would be the same.
    let error = checkout.rejected("first");
    assert!(error.contains("SIGHTLINE_FIRST_HTTP_PORT would change both"), "{error}");
    assert_eq!(checkout.files(), before);
}

#[test]
fn rejects_files_that_it_cannot_change_and_writes_nothing() {
    let checkout = Checkout::new();
    checkout.replace(VALUES, "\nservices:\n", "\nservices: # the services\n");
    checkout.replace(MANIFEST, "members = [", "default-members = [");
    let before = checkout.files();
    assert!(checkout.rejected("payments").contains("Cargo.toml: it has no list `workspace.members`"));
    assert_eq!(checkout.files(), before);
    checkout.replace(MANIFEST, "default-members = [", "members = [");
    checkout.replace(FILE_NAME, "protocol = \"grpc\"", "protocol = \"grcp\"");
    assert!(checkout.rejected("payments").contains("did you mean \"grpc\"?"));
    checkout.replace(FILE_NAME, "protocol = \"grcp\"", "protocol = \"grpc\"");
    let (template, moved) = (checkout.path().join("templates/http"), checkout.path().join("moved"));
    fs::rename(&template, &moved).unwrap();
    assert!(checkout.rejected("payments").contains("is this directory a whole checkout"));
    fs::rename(&moved, &template).unwrap();
    // A checkout without images is complete.
    fs::remove_file(checkout.path().join(IMAGES)).unwrap();
    checkout.create("payments", Protocol::Worker).unwrap();
}

#[test]
fn undoes_everything_if_cargo_fails() {
    let checkout = Checkout::new();
    // Cargo rejects the workspace only after the files are written.
    checkout.replace(
        "templates/worker/Cargo.toml",
        "anyhow.workspace = true",
        "missing-crate.workspace = true",
    );
    let before = checkout.files();
    let error = checkout.create("payments", Protocol::Worker).unwrap_err().to_string();
    assert!(
        error.contains("`cargo update --workspace --quiet` failed, and all changes were undone"),
        "{error}"
    );
    assert!(error.contains("missing-crate"), "{error}");
    assert_eq!(checkout.files(), before);
}

#[test]
#[ignore = "compiles the services, which takes two minutes: make scaffold runs it"]
fn created_services_pass_clippy_and_their_tests() {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(ROOT).canonicalize().unwrap().join("target"), PathBuf::from);
    // The path is always the same, so Cargo uses the result of the previous run.
    let checkout = Checkout::at(target.join("new-service"));
    let target = target.to_str().unwrap();
    let services = [
        ("payments", Protocol::Http),
        ("stock-2-of-the-northern-shop", Protocol::Grpc),
        ("mail", Protocol::Worker),
    ];
    let packages: Vec<String> = services.iter().map(|(name, _)| format!("--package={name}")).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    for (name, protocol) in services {
        checkout.create(name, protocol).unwrap();
    }
    let common = ["--offline", "--locked", "--target-dir", target];
    let lints = ["--all-targets", "--", "--deny=warnings"];
    checkout.cargo(&[&["clippy"][..], &common, &packages, &lints].concat());
    checkout.cargo(&[&["test"][..], &common, &packages].concat());
}
