//! Tests of the description: what is derived from a file, and the message for each kind of mistake.

use std::path::Path;
use std::process::Command;

use super::super::tests::example;
use super::*;

/// A services file in which every test adds one mistake.
const TWO: &str = r#"[services.one]
package = "one"
protocol = "http"
port = 9000
admin-port = 9001
calls = ["two"]

[services.two]
program = "bin/two"
protocol = "grpc"
port = 9002
"#;

/// Parses [`TWO`] with the first occurrence of `old` replaced by `new`. Returns the message of the error.
fn error(old: &str, new: &str) -> String {
    assert!(TWO.contains(old), "{old}");
    error_of(&TWO.replacen(old, new, 1))
}

fn error_of(source: &str) -> String {
    StackSpec::parse(source, Path::new("dir/file.toml")).unwrap_err().to_string()
}

fn names(stage: &[Process]) -> Vec<&str> {
    stage.iter().map(Process::name).collect()
}

#[test]
fn a_file_without_mistakes_is_accepted() {
    let spec = StackSpec::parse(TWO, Path::new("dir/file.toml")).unwrap();
    assert_eq!(spec.identities(), ["jaeger", "gateway", "agent", "one", "two"]);
    assert_eq!(spec.packages(), ["one"]);
    assert_eq!(spec.root(), Some(Path::new("dir")));
    let two = spec.get("two").unwrap();
    assert_eq!(two.program, Some(Program::File { path: "dir/bin/two".into(), build: None }));
    assert_eq!((two.server_port(), two.has_admin_port()), (Some("grpc"), false));
    assert_eq!(spec.services().count(), 2);
}

#[test]
fn a_file_without_services_is_accepted() {
    assert_eq!(StackSpec::parse("", Path::new("file.toml")).unwrap().services().count(), 0);
    assert_eq!(StackSpec::pipeline_only().unwrap().pipeline().count(), 7);
}

#[test]
fn callers_stop_before_the_services_that_they_call() {
    let stages = example().stages();
    let stages: Vec<_> = stages.iter().map(|stage| names(stage)).collect();
    let expected: [&[&str]; 7] = [
        &["vmauth", "vmalert", "job"],
        &["front-service"],
        &["back-end"],
        &["agent"],
        &["gateway"],
        &["jaeger"],
        &["victoria-metrics", "victoria-logs"],
    ];
    assert_eq!(stages, expected);
}

#[test]
fn the_services_of_this_repository_are_described() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FILE_NAME);
    let spec = StackSpec::load(&file).unwrap();
    for service in spec.services() {
        assert!(spec.identities().contains(&service.name.to_string()));
    }
}

#[test]
fn the_script_for_the_build_prints_the_packages_of_this_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let spec = StackSpec::load(&root.join(FILE_NAME)).unwrap();
    let script = |arguments: &[&str]| {
        let output = Command::new(root.join("tools/services.sh")).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(script(&["packages"]).lines().collect::<Vec<_>>(), spec.packages());
    let line = |service: &ProcessSpec| match &service.program {
        Some(Program::Package(package)) => Some(format!("{} {package}\n", service.name)),
        _ => None,
    };
    assert_eq!(script(&[]), spec.services().filter_map(line).collect::<String>());
}

#[test]
fn a_service_started_by_hand_gets_a_name_that_is_free() {
    let mut spec = example();
    spec.add_manual("local").unwrap();
    spec.add_manual("job").unwrap();
    assert_eq!(spec.services().count(), 4);
    for name in ["agent", "ca", "Upper", ""] {
        let error = spec.add_manual(name).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name:?} cannot be the name of a service: ")), "{error}");
    }
}

/// Each kind of mistake: its place in [`TWO`], the text that replaces it, and the message.
const MISTAKES: &[(&str, &str, &str)] = &[
    // Keys and types
    (
        "protocol = \"http\"",
        "protocl = \"http\"",
        "3: a service has no key `protocl`: did you mean `protocol`?\n  | protocl = \"http\"",
    ),
    (
        "protocol = \"http\"",
        "replicas = 2",
        "3: a service has no key `replicas`: use one of package, program, ",
    ),
    ("[services.two]", "[servces.two]", "8: a services file has no key `servces`: did you mean `services`?"),
    ("port = 9000", "port = \"9000\"", "4: invalid type: string \"9000\", expected a number without quotes"),
    ("calls = [\"two\"]", "calls = \"two\"", "6: invalid type: string \"two\", expected a list"),
    ("package = \"one\"", "package = 1", "2: invalid type: integer `1`, expected a string in quotes"),
    ("[services.one]", "[services.one", "1: this is not valid TOML: "),
    ("port = 9000", "port = 9000\nport = 9003", "5: this is not valid TOML: duplicate key"),
    ("[services.two]", "[services.one]", "8: this is not valid TOML: duplicate key"),
    // Names
    ("services.one", "services.TWO", "1: \"TWO\" cannot be a service: use a DNS label: "),
    ("services.one", "services.ca", "1: \"ca\" cannot be a service: the directory `ca` contains the CA"),
    (
        "services.one",
        "services.agent",
        "1: \"agent\" cannot be a service: a process of the pipeline has this name",
    ),
    // Programs
    ("package = \"one\"\n", "", "1: one has no program: add `package` "),
    (
        "package = \"one\"",
        "package = \"one\"\nprogram = \"x\"",
        "3: a service has either a `package` or a `program`",
    ),
    ("package = \"one\"", "package = \"\"", "2: this is empty: name a Cargo package or a file"),
    // Protocols and ports
    ("protocol = \"http\"\n", "", "1: one has no `protocol`: add one of http, grpc, worker"),
    ("protocol = \"http\"", "protocol = \"htp\"", "3: \"htp\" is not a protocol: did you mean \"http\"?"),
    (
        "protocol = \"http\"",
        "protocol = \"smtp-relay\"",
        "3: \"smtp-relay\" is not a protocol: use one of http, grpc, worker",
    ),
    ("port = 9000\n", "", "1: one has no `port`: add the number of the port"),
    ("protocol = \"http\"", "protocol = \"worker\"", "4: a worker has no server and no `port`: remove it"),
    ("port = 9000", "port = 0", "4: 0 is not a port: use a number from 1 to 65535"),
    ("admin-port = 9001", "admin-port = 65536", "5: 65536 is not a port: use a number from 1 to 65535"),
    ("port = 9002", "port = 9000", "11: port 9000 is already the port of one's HTTP API: use another number"),
    (
        "port = 9002",
        "port = 9001",
        "11: port 9001 is already the port of one's admin port: use another number",
    ),
    ("port = 9002", "port = 4317", "11: port 4317 is already the port of the agent's OTLP/gRPC receiver"),
    // Health and requests
    (
        "admin-port = 9001",
        "health = \"healthz\"",
        "5: `health` is the path of an HTTP request: start it with a slash",
    ),
    (
        "admin-port = 9001",
        "admin-port = 9001\nhealth = \"/healthz\"",
        "6: a service with an `admin-port` reports its health there: remove `health`",
    ),
    (
        "port = 9002",
        "port = 9002\nhealth = \"/healthz\"",
        "12: `health` is the path of an HTTP request, and this service serves no HTTP",
    ),
    (
        "port = 9002",
        "port = 9002\ntry = \"/\"",
        "12: `try` is the path of an HTTP request, and this service serves no HTTP",
    ),
    // Calls
    (
        "calls = [\"two\"]",
        "calls = [\"tow\"]",
        "6: there is no service \"tow\" to call: did you mean \"two\"?",
    ),
    (
        "calls = [\"two\"]",
        "calls = [\"payments\"]",
        "6: there is no service \"payments\" to call: add [services.payments]",
    ),
    ("calls = [\"two\"]", "calls = [\"one\"]", "6: a service cannot be in its own list `calls`: remove it"),
    (
        "calls = [\"two\"]",
        "calls = [\"two\", \"two\"]",
        "6: \"two\" is in this list twice: remove one of them",
    ),
    (
        "calls = [\"two\"]",
        "calls = [\"agent\"]",
        "6: every service sends its telemetry to the pipeline: remove \"agent\"",
    ),
    (
        "protocol = \"grpc\"\nport = 9002",
        "protocol = \"worker\"",
        "6: two is a worker, which cannot be called",
    ),
    ("port = 9002", "port = 9002\ncalls = [\"one\"]", "6: these calls form a cycle: one → two → one. "),
    // Environment
    (
        "port = 9002",
        "port = 9002\nenv.A = \"${stat}\"",
        "12: ${stat} is not a placeholder: use state, root, ",
    ),
    ("port = 9002", "port = 9002\nenv.A = \"${\"", "12: a placeholder has no closing brace"),
    (
        "port = 9002",
        "port = 9002\nenv.A = \"5$\"",
        "12: write ${NAME} for a placeholder, or $$ for a dollar sign",
    ),
    ("port = 9002", "port = 9002\nenv.A = \"${one.url}\"", "12: add \"one\" to `calls` to use its address"),
    (
        "port = 9002",
        "port = 9002\nenv.A = \"${three.url}\"",
        "12: there is no service three; `calls` lists: ",
    ),
    (
        "port = 9002",
        "port = 9002\nenv.A = \"${agent.url}\"",
        "12: name one of the ports of agent: otlp-grpc, otlp-http, ",
    ),
    (
        "port = 9002",
        "port = 9002\nenv.A = \"${agent.otlp.port}\"",
        "12: agent has no port otlp: use one of otlp-grpc, ",
    ),
    (
        "port = 9002",
        "port = 9002\nenv.A = \"${agent.otlp-http.url}\"",
        "12: the ports of agent do not all use the same URL scheme",
    ),
    (
        "port = 9002",
        "port = 9002\nenv.A = \"${storage}\"",
        "12: only the pipeline of Sightline itself can use this placeholder",
    ),
    ("port = 9002", "port = 9002\narguments = [\"${url}\", \"${stat}\"]", "12: ${stat} is not a placeholder"),
    (
        "port = 9002",
        "port = 9002\nenv.A-B = \"c\"",
        "12: \"A-B\" is not the name of a variable: use letters, digits and '_'",
    ),
    ("port = 9002", "port = 9002\nenv.A = 1", "12: invalid type: integer `1`, expected a string in quotes"),
    (
        "port = 9002",
        "port = 9002\nenv.OTEL_SERVICE_NAME = \"x\"",
        "12: OTEL_SERVICE_NAME is set from the name of the table",
    ),
    (
        "port = 9002",
        "port = 9002\nenv.SIGHTLINE_GRPC_ADDRESS = \"x\"",
        "12: SIGHTLINE_GRPC_ADDRESS is set from `port`",
    ),
];

#[test]
fn each_mistake_is_reported_with_its_line() {
    let wrong: Vec<_> = MISTAKES
        .iter()
        .map(|&(old, new, expected)| (error(old, new), format!("dir/file.toml:{expected}")))
        .filter(|(message, expected)| !message.starts_with(expected))
        .map(|(message, expected)| format!("expected: {expected}\nactual:   {message}\n"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_worker_has_no_address_to_pass_on() {
    let worker = "[services.job]\nprogram = \"job\"\nprotocol = \"worker\"\nenv.A = \"${url}\"\n";
    assert!(
        error_of(worker).starts_with("dir/file.toml:4: job has no server, so it has no port, address or url")
    );
}

#[test]
fn two_services_cannot_have_one_variable() {
    let services = "[services.shop]\nprogram = \"a\"\nprotocol = \"http\"\nport = 1\n\
                    [services.shop-service]\nprogram = \"b\"\nprotocol = \"http\"\nport = 2\n";
    let message = "dir/file.toml:8: SIGHTLINE_SHOP_HTTP_PORT would change both shop's HTTP API and shop-service's \
                   HTTP API: rename shop-service";
    assert!(error_of(services).starts_with(message), "{}", error_of(services));
}

#[test]
fn a_service_that_calls_itself_is_reported_once() {
    let error = error("calls = [\"two\"]", "calls = [\"one\"]");
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_their_lines() {
    let text = TWO.replace("9000", "0").replace("\"bin/two\"", "\"\"").replace("[\"two\"]", "[\"tow\"]");
    let error = error_of(&text);
    let lines: Vec<_> = error.lines().filter(|line| line.starts_with("dir/file.toml:")).collect();
    let starts = ["dir/file.toml:4: 0 is", "dir/file.toml:6: there is no", "dir/file.toml:9: this is empty"];
    assert_eq!(lines.len(), 3, "{error}");
    assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{error}");
}

#[test]
fn a_missing_file_is_an_error_with_its_path() {
    let error = StackSpec::load(Path::new("missing/sightline.toml")).unwrap_err().to_string();
    assert!(error.contains("missing/sightline.toml"), "{error}");
}
