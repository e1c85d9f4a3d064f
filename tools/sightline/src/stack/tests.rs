//! Tests of the stack with shell scripts in place of the real programs.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// Returns the configuration of a stack in which every program is this shell script.
fn config(dir: &Path, script: &str) -> StackConfig {
    let pipeline = dir.join("collector-config");
    fs::create_dir_all(&pipeline).unwrap();
    fs::write(pipeline.join("agent.yaml"), "").unwrap();
    for name in ["otelcol", "jaeger", "user-service", "order-service", "inventory-service"] {
        let path = dir.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut config = StackConfig::for_checkout(dir, dir.join("state"), dir);
    config.binaries = Binaries {
        otelcol: dir.join("otelcol"),
        jaeger: dir.join("jaeger"),
        services: dir.to_owned(),
        sightline: None,
    };
    config.ports = Ports::free().unwrap();
    config
}

#[tokio::test]
async fn reports_an_unexpected_exit_and_quotes_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    let broken = dir.path().join("broken");
    fs::write(&broken, "#!/bin/sh\necho 'SIGHTLINE_X=y: use z'\nexit 64\n").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    config.binaries.jaeger = broken;
    let error = Stack::start(config).await.unwrap_err().to_string();
    assert!(error.starts_with("jaeger ended unexpectedly: exit code 64. The end of its log "), "{error}");
    assert!(error.contains("\n  | SIGHTLINE_X=y: use z\nA setting has an invalid value"), "{error}");
}

#[tokio::test]
async fn reports_a_port_in_use_before_it_starts_a_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    config.ports.user_http = listener.local_addr().unwrap().port();
    let error = Stack::spawn(config.clone()).unwrap_err();
    assert!(matches!(&error, StackError::UnusablePorts(ports) if ports.len() == 1), "{error}");
    assert!(!dir.path().join("state/logs/jaeger.log").exists());
    // The stack does not check the ports of processes that it does not run.
    config.processes = vec![Process::Jaeger];
    Stack::spawn(config).unwrap();
}

#[tokio::test]
async fn reports_how_to_build_a_missing_program() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "");
    fs::remove_file(dir.path().join("otelcol")).unwrap();
    let error = Stack::spawn(config.clone()).unwrap_err().to_string();
    assert!(error.contains("gateway is missing") && error.contains("`make bin/otelcol`"), "{error}");
    config.processes = vec![Process::UserService];
    fs::remove_file(dir.path().join("user-service")).unwrap();
    let error = Stack::spawn(config).unwrap_err().to_string();
    assert!(error.contains("`make build`"), "{error}");
}

#[tokio::test]
async fn rejects_a_state_directory_that_another_stack_uses() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    config.processes = vec![Process::Jaeger];
    let first = Stack::spawn(config.clone()).unwrap();
    config.ports = Ports::free().unwrap();
    let error = Stack::spawn(config.clone()).unwrap_err().to_string();
    assert!(error.contains(&format!("another stack (pid {})", std::process::id())), "{error}");
    drop(first);
    Stack::spawn(config).unwrap();
}

#[tokio::test]
async fn reports_a_process_that_does_not_become_healthy() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "echo starting; exec sleep 600");
    config.processes = vec![Process::Agent];
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
    let pids: Vec<_> = Process::ALL.map(|process| stack.pid(process).unwrap()).to_vec();
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
    config.processes = vec![Process::Agent];
    let mut stack = Stack::spawn(config).unwrap();
    while fs::read_to_string(stack.log_path(Process::Agent)).unwrap_or_default().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(stack.stop_process(Process::Agent).await.unwrap().is_clean());
    assert!(matches!(stack.stop_process(Process::Agent).await, Err(StackError::NotRunning(_))));
    stack.start_process(Process::Agent).unwrap();
    assert!(!stack.kill_process(Process::Agent).await.unwrap().unwrap().success());
    assert!(stack.stop().await.is_empty());
}
