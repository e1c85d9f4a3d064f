//! The stack's promises, with small programs in the place of the real ones.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A stack whose processes are this shell script.
fn config(dir: &Path, script: &str) -> StackConfig {
    let pipeline = dir.join("collector-config");
    fs::create_dir_all(&pipeline).unwrap();
    fs::write(pipeline.join("agent.yaml"), "").unwrap();
    for name in ["otelcol", "jaeger", "user-service", "order-service", "inventory-service"] {
        let path = dir.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut config = StackConfig::of_checkout(dir, dir.join("state"), dir);
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
async fn a_child_that_dies_is_named_with_its_last_words_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    let broken = dir.path().join("broken");
    fs::write(&broken, "#!/bin/sh\necho 'SIGHTLINE_X=y: use z'\nexit 64\n").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    config.binaries.jaeger = broken;
    let error = Stack::start(config).await.unwrap_err().to_string();
    assert!(error.starts_with("jaeger ended by itself: exit code 64. Its log "), "{error}");
    assert!(error.contains("\n  | SIGHTLINE_X=y: use z\nA setting cannot be used"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_found_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "exec sleep 600");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    config.ports.user_http = listener.local_addr().unwrap().port();
    let error = Stack::spawn(config.clone()).unwrap_err();
    assert!(matches!(&error, StackError::PortsInUse(ports) if ports.len() == 1), "{error}");
    assert!(!dir.path().join("state/logs/jaeger.log").exists());
    // A port of a process that is not to run does not matter.
    config.processes = vec![Process::Jaeger];
    Stack::spawn(config).unwrap();
}

#[tokio::test]
async fn a_missing_program_says_what_builds_it() {
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
async fn two_stacks_do_not_share_their_state() {
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
async fn one_that_never_gets_healthy_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), "echo starting; exec sleep 600");
    config.processes = vec![Process::Agent];
    config.ready_within = Duration::from_millis(200);
    let error = Stack::start(config).await.unwrap_err().to_string();
    assert!(error.starts_with("agent is not healthy after"), "{error}");
    assert!(error.contains("nothing listens there yet") && error.contains("| starting"), "{error}");
}

#[tokio::test]
async fn a_dropped_stack_leaves_nothing_running() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), "trap '' TERM; echo up; while :; do sleep 1; done");
    let stack = Stack::spawn(config).unwrap();
    let pids: Vec<_> = Process::ALL.map(|process| stack.pid(process).unwrap()).to_vec();
    drop(stack);
    for pid in pids {
        // The threads that wait for them take them off the table.
        while Path::new(&format!("/proc/{pid}")).exists() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_process_is_stopped_and_started_again() {
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
