//! Tests of the crate's detectors and of the corrections. The tests run the detectors in child processes, because the
//! detectors read the environment and files of their process.

mod child;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use opentelemetry_sdk::Resource;

use super::*;
use child::{Child, SECRET};
use corrections::Correction;

/// The ID of a container, and of the node's container in which it runs.
const CONTAINER: &str = "4f1d2c3b4a5968778695a4b3c2d1e0f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const NODE: &str = "9a8b7c6d5e4f30211203f4e5d6c7b8a99a8b7c6d5e4f30211203f4e5d6c7b8a9";

#[derive(Debug)]
enum Expected {
    Nothing,
    Text(String),
    /// A UUID of this version.
    Uuid(usize),
}

impl Expected {
    fn matches(&self, value: Option<&String>) -> bool {
        match (self, value) {
            (Self::Nothing, None) => true,
            (Self::Text(text), Some(value)) => text == value,
            (Self::Uuid(version), Some(value)) => {
                uuid::Uuid::parse_str(value).is_ok_and(|uuid| uuid.get_version_num() == *version)
            }
            _ => false,
        }
    }
}

fn text(text: impl Into<String>) -> Expected {
    Expected::Text(text.into())
}

/// An attribute with the value of the crate and the value of this library.
type Case = (&'static str, Expected, Expected);

/// Checks `cases` in a child process. Returns their attributes.
fn check<const N: usize>(child: &Child, cases: [Case; N]) -> BTreeSet<&'static str> {
    let Some(report) = child.run() else { return cases.into_iter().map(|(name, ..)| name).collect() };
    for (name, of_crate, ours) in &cases {
        let found = report.of_crate.get(*name);
        assert!(
            of_crate.matches(found),
            "opentelemetry-resource-detectors reports {name} as {found:?}, expected {of_crate:?}. If the crate is \
             right now, remove the row of {name} from CORRECTIONS, and the detector that replaces the value"
        );
        let found = report.ours.get(*name);
        assert!(ours.matches(found), "{name} is {found:?}, expected {ours:?}");
    }
    cases.into_iter().map(|(name, ..)| name).collect()
}

fn outside_a_cluster() -> BTreeSet<&'static str> {
    let child = Child::default().env("HOSTNAME", "a-laptop").env("NODE_NAME", "queue@a-laptop");
    let exe = std::env::current_exe().unwrap();
    let args: Vec<_> = std::iter::once(exe.to_str().unwrap().to_owned()).chain(child::arguments()).collect();
    assert!(args.iter().any(|arg| arg == SECRET));
    let args =
        Value::Array(args.into_iter().map(opentelemetry::StringValue::from).collect::<Vec<_>>().into());
    let arch = std::env::consts::ARCH;
    assert!(["x86_64", "aarch64"].contains(&arch), "extend this test to {arch}");
    let name_of_arch = if arch == "x86_64" { "amd64" } else { "arm64" };
    check(
        &child,
        [
            (attribute::HOST_ARCH, text(arch), text(name_of_arch)),
            (attribute::K8S_NODE_NAME, text("queue@a-laptop"), Expected::Nothing),
            (attribute::K8S_POD_NAME, text("a-laptop"), Expected::Nothing),
            (attribute::PROCESS_COMMAND_ARGS, text(args.to_string()), Expected::Nothing),
            (attribute::SERVICE_INSTANCE_ID, Expected::Uuid(7), Expected::Uuid(4)),
        ],
    )
}

fn without_the_program_hostname() -> BTreeSet<&'static str> {
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    check(
        &Child::default().env("PATH", "/nonexistent"),
        [(attribute::HOST_NAME, Expected::Nothing, text(host_name.trim()))],
    )
}

fn in_a_pod_of_kind() -> BTreeSet<&'static str> {
    let cgroup = format!(
        "9:misc:/docker/{NODE}\n\
         8:pids:/docker/{NODE}/kubelet/kubepods/burstable/pod0a1b2c3d-0000-1111-2222-333344445555/{CONTAINER}\n\
         0::/docker/{NODE}\n"
    );
    check(
        &Child::default().machine_id("uninitialized\n").cgroup(cgroup),
        [
            (attribute::CONTAINER_ID, text(NODE), text(CONTAINER)),
            (attribute::HOST_ID, text("uninitialized"), Expected::Nothing),
        ],
    )
}

#[test]
fn corrects_what_the_crate_reports() {
    let mut checked = outside_a_cluster();
    checked.append(&mut without_the_program_hostname());
    checked.append(&mut in_a_pod_of_kind());
    let corrections: BTreeSet<_> = CORRECTIONS.iter().map(|correction| correction.attribute).collect();
    assert_eq!(checked, corrections, "each row of CORRECTIONS needs a case in this test");
}

#[test]
fn reports_no_container_outside_a_container() {
    let cgroup = "0::/jobs/f0377f6b3405f74966d6425be8416579\n".to_owned();
    let crate_id = text("f0377f6b3405f74966d6425be8416579");
    check(&Child::default().cgroup(cgroup), [(attribute::CONTAINER_ID, crate_id, Expected::Nothing)]);
}

#[test]
fn trims_values_and_leaves_out_empty_ones() {
    check(
        &Child::default().machine_id("\n").namespace("shop\n"),
        [
            (attribute::HOST_ID, text(""), Expected::Nothing),
            (attribute::K8S_NAMESPACE_NAME, text("shop\n"), text("shop")),
        ],
    );
}

/// This test fails if a new version of the crate reports more attributes. Check that they are right and contain no
/// secrets before you add them here.
#[test]
fn reports_the_other_attributes_as_they_are() {
    let child = Child::default().machine_id("3d1219c7c4c5404aaa1f6d2a48adfda4\n").namespace("shop");
    let Some(report) = child.run() else { return };
    let corrections: Vec<_> = CORRECTIONS.iter().map(|correction| correction.attribute).collect();
    let mut others = report.of_crate.clone();
    others.retain(|name, _| name == attribute::HOST_ID || !corrections.contains(&name.as_str()));
    let expected = [
        attribute::HOST_ID,
        attribute::K8S_NAMESPACE_NAME,
        attribute::OS_TYPE,
        attribute::PROCESS_PID,
        attribute::PROCESS_RUNTIME_DESCRIPTION,
        attribute::PROCESS_RUNTIME_NAME,
        attribute::PROCESS_RUNTIME_VERSION,
    ];
    assert_eq!(others.keys().collect::<Vec<_>>(), expected);
    for (name, value) in others {
        assert_eq!(report.ours.get(&name), Some(&value), "{name}");
    }
}

#[test]
fn takes_the_namespace_from_the_service_account() {
    let Some(report) = Child::default().namespace("shop").in_cluster().run() else { return };
    assert_eq!(report.ours.get(attribute::K8S_NAMESPACE_NAME).map(String::as_str), Some("shop"));
    assert_eq!(report.ours.get(attribute::K8S_POD_NAME), None);
}

#[test]
fn does_not_wait_for_a_host_detector_that_hangs() {
    let (_hang, end) = mpsc::channel::<()>();
    let started_at = Instant::now();
    let detection = Detection::start_with(Duration::from_millis(50), move || {
        let _ = end.recv();
        Resource::builder_empty().build()
    });
    let (attributes, gap) = detection.finish();
    assert!(started_at.elapsed() < Duration::from_secs(1), "{:?}", started_at.elapsed());
    let reason = gap.unwrap().reason;
    assert!(reason.contains("did not finish within 50ms"), "{reason}");
    assert!(attributes.iter().any(|attribute| attribute.key.as_str() == attribute::PROCESS_PID));
}

/// The table of [`CORRECTIONS`] in Markdown.
fn table() -> String {
    let rows = CORRECTIONS.iter().map(|Correction { attribute, fault, instead, .. }| {
        format!("| `{attribute}` | {fault} | {instead} |\n")
    });
    let header = "| attribute | the crate reports | the library reports |\n| --- | --- | --- |\n".to_owned();
    std::iter::once(header).chain(rows).collect()
}

#[test]
fn telemetry_page_lists_the_corrections() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/telemetry.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let start = page
        .find("| attribute | the crate reports |")
        .expect("docs/telemetry.md has no table of corrections");
    let end = page[start..].find("\n\n").map_or(page.len(), |length| start + length + 1);
    let updated = format!("{}{}{}", &page[..start], table(), &page[end..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, updated).unwrap();
    } else {
        let package = env!("CARGO_PKG_NAME");
        assert!(page == updated, "docs/telemetry.md is outdated; run UPDATE_DOCS=1 cargo test -p {package}");
    }
}
