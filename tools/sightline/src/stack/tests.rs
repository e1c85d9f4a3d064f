//! Tests of the stack with shell scripts in place of the real programs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A services file with services of each kind.
const EXAMPLE: &str = r#"
[services.front-service]
program = "front-service"
arguments = ["--listen", "${address}"]
protocol = "http"
port = 9080
health = "/healthz"
calls = ["back-end"]
try = "/orders"

[services.front-service.env]
BACK_END = "${back-end.url}"
DATA = "${state}/front?price=5$$&root=${root}"
PORT = "${port}"

[services.back-end]
package = "back-end"
protocol = "grpc"
port = 9081
admin-port = 9082

[services.back-end.env]
OTEL_TRACES_SAMPLER = "always_off"

[services.job]
package = "job"
protocol = "worker"
admin-port = 9083
calls = ["front-service"]
"#;

/// Services without a health check.
const MORE: &str = r#"
[services.plain]
program = "plain"
protocol = "grpc"
port = 9084

[services.idle]
program = "idle"
protocol = "worker"
"#;

/// Returns the description of a stack with these services: job calls front-service, which calls back-end.
pub(super) fn example() -> StackSpec {
    StackSpec::parse(EXAMPLE, Path::new("/other/sightline.toml")).unwrap()
}

/// Returns [`example`] with two services that have no health check.
pub(super) fn larger_example() -> StackSpec {
    StackSpec::parse(&format!("{EXAMPLE}{MORE}"), Path::new("/other/sightline.toml")).unwrap()
}

/// Returns the configuration of a stack in which every program is this shell script.
fn config(dir: &Path, script: &str) -> StackConfig {
    let pipeline = dir.join("collector-config");
    fs::create_dir_all(&pipeline).unwrap();
    fs::write(pipeline.join("agent.yaml"), "").unwrap();
    for name in [
        "otelcol",
        "jaeger",
        "victoria-metrics",
        "victoria-logs",
        "vmauth",
        "vmalert",
        "front-service",
        "back-end",
        "job",
    ] {
        let path = dir.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let spec = StackSpec::parse(EXAMPLE, &dir.join("sightline.toml")).unwrap();
    let mut config = StackConfig::new(spec, dir, dir.join("state"), dir);
    config.binaries =
        Binaries { bin: dir.to_owned(), tools: BTreeMap::new(), services: dir.to_owned(), sightline: None };
    config.jaeger_ui = JaegerUi::Embedded;
    config.ports = config.ports.free().unwrap();
    config
}

#[tokio::test]
async fn reports_an_unexpected_exit_and_quotes_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    let broken = dir.path().join("broken");
    fs::write(&broken, "#!/bin/sh\necho 'SIGHTLINE_X=y: use z'\nexit 64\n").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    config.binaries.tools.insert("jaeger".to_owned(), broken);
    let error = Stack::start(config).await.unwrap_err().to_string();
    assert!(error.starts_with("jaeger ended unexpectedly: exit code 64. The end of its log "), "{error}");
    assert!(error.contains("\n  | SIGHTLINE_X=y: use z\nA setting has an invalid value"), "{error}");
}

#[test]
fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let lock = prepare::lock(dir.path()).unwrap();
    // As in a child between `fork` and `exec`.
    let copy = lock.0.try_clone().unwrap();
    assert!(matches!(prepare::lock(dir.path()), Err(StackError::InUse { .. })));
    drop(lock);
    prepare::lock(dir.path()).unwrap();
    drop(copy);
}

#[tokio::test]
async fn reports_a_port_in_use_before_it_starts_a_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    config.ports.set("back-end", "grpc", listener.local_addr().unwrap().port()).unwrap();
    let error = Stack::spawn(config.clone()).unwrap_err();
    assert!(matches!(&error, StackError::UnusablePorts(ports) if ports.len() == 1), "{error}");
    assert!(!dir.path().join("state/logs/jaeger.log").exists());
    // The stack does not check the ports of processes that it does not run.
    config.processes = vec!["jaeger".into()];
    Stack::spawn(config).unwrap();
}

#[tokio::test]
async fn reports_how_to_build_a_missing_program() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "");
    fs::remove_file(dir.path().join("otelcol")).unwrap();
    let error = Stack::spawn(config.clone()).unwrap_err().to_string();
    assert!(error.contains("gateway is missing") && error.contains("`make bin/otelcol`"), "{error}");
    config.processes = vec!["back-end".into()];
    fs::remove_file(dir.path().join("back-end")).unwrap();
    let error = Stack::spawn(config.clone()).unwrap_err().to_string();
    assert!(error.contains("`make build`"), "{error}");
    config.processes = vec!["front-service".into()];
    fs::remove_file(dir.path().join("front-service")).unwrap();
    let error = Stack::spawn(config).unwrap_err().to_string();
    assert!(error.contains("correct the path in") && error.contains("sightline.toml:3"), "{error}");
}

#[tokio::test]
async fn reports_a_missing_ui_before_it_starts_a_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    config.jaeger_ui = JaegerUi::Directory(dir.path().join("ui"));
    let error = Stack::spawn(config.clone()).unwrap_err().to_string();
    assert!(error.contains("there is no Jaeger UI in") && error.contains("`make bin/jaeger-ui`"), "{error}");
    assert!(!dir.path().join("state/logs/jaeger.log").exists());
    // A stack without Jaeger needs no UI.
    config.processes = vec!["agent".into()];
    Stack::spawn(config).unwrap();
}

#[tokio::test]
async fn reports_a_jaeger_without_a_ui() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    config.processes = vec!["jaeger".into()];
    let stack = Stack::spawn(config).unwrap();
    for port in ["health", "ui"] {
        serve(
            stack.ports().number("jaeger", port).unwrap(),
            "This is not the Jaeger UI you are looking for!",
        );
    }
    let error = stack.wait_until_ready(|_| {}).await.unwrap_err().to_string();
    assert!(error.contains("contains no UI") && error.contains(&stack.jaeger_url()), "{error}");
}

/// Serves the same page for each request to this port.
fn serve(port: u16, page: &'static str) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A short request arrives at once. Its content does not matter.
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let length = page.len();
            write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{page}")
                .unwrap();
        }
    });
}

#[tokio::test]
async fn rejects_a_state_directory_that_another_stack_uses() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    config.processes = vec!["jaeger".into()];
    let first = Stack::spawn(config.clone()).unwrap();
    config.ports = config.ports.free().unwrap();
    let error = Stack::spawn(config.clone()).unwrap_err().to_string();
    assert!(error.contains(&format!("another stack (pid {})", std::process::id())), "{error}");
    drop(first);
    Stack::spawn(config).unwrap();
}

#[tokio::test]
async fn reports_a_process_that_does_not_become_healthy() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "echo starting; exec sleep 600");
    config.processes = vec!["agent".into()];
    config.ready_timeout = Duration::from_millis(200);
    let error = Stack::start(config).await.unwrap_err().to_string();
    assert!(error.starts_with("agent is not healthy after"), "{error}");
    assert!(error.contains("nothing listens on this port yet") && error.contains("| starting"), "{error}");
}

#[tokio::test]
async fn dropping_a_stack_kills_its_processes() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), "trap '' TERM; echo up; while :; do sleep 1; done");
    let stack = Stack::spawn(config).unwrap();
    let processes = &stack.config().processes;
    let pids: Vec<_> = processes.iter().map(|process| stack.pid(process).unwrap()).collect();
    drop(stack);
    for pid in pids {
        // For each child, a thread waits for its exit. The wait removes the child from the process table.
        while Path::new(&format!("/proc/{pid}")).exists() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn stops_starts_and_kills_single_processes() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done");
    config.processes = vec!["agent".into()];
    let mut stack = Stack::spawn(config).unwrap();
    while fs::read_to_string(stack.log_path("agent")).unwrap_or_default().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(stack.stop_process("agent").await.unwrap().is_clean());
    assert!(matches!(stack.stop_process("agent").await, Err(StackError::NotRunning(_))));
    stack.start_process("agent").unwrap();
    assert!(!stack.kill_process("agent").await.unwrap().unwrap().success());
    assert!(stack.stop().await.is_empty());
}

#[tokio::test]
async fn rejects_unknown_names() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), "exec sleep 600");
    let error = Stack::spawn(config.clone().with("order", "A", "b")).unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no process \"order\" in this stack; there are: victoria-metrics, victoria-logs, jaeger, vmauth, \
         vmalert, gateway, agent, front-service, back-end, job"
    );
    let mut stack = Stack::spawn(StackConfig { processes: Vec::new(), ..config }).unwrap();
    assert!(matches!(stack.start_process("order"), Err(StackError::UnknownProcess { .. })));
    assert!(matches!(stack.url("job"), Err(PortError::NoServer(_))));
    assert!(stack.url("front-service").unwrap().starts_with("http://127.0.0.1:"));
}

#[tokio::test]
async fn a_service_started_by_hand_has_a_certificate_and_an_environment() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    config.spec.add_manual("local").unwrap();
    config.processes = Vec::new();
    let mut stack = Stack::spawn(config).unwrap();
    let environment = stack.environment("local").unwrap();
    assert_eq!(environment["OTEL_SERVICE_NAME"], "local");
    assert!(Path::new(&environment["OTEL_EXPORTER_OTLP_CLIENT_KEY"]).is_file());
    assert!(matches!(stack.start_process("local"), Err(StackError::NoProgram(_))));
}
