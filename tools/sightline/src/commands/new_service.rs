//! `sightline new-service NAME`: creates a service from a template.

use anyhow::Context as _;
use sightline::output;
use sightline::scaffold::{self, Created, NewService};
use sightline::stack::spec::Protocol;

use super::services_file;

/// Create a service from a template, in services/NAME
///
/// Copies the template crate templates/http, templates/grpc or templates/worker, replaces its name, and formats the
/// copy. Adds the crate to the workspace in Cargo.toml and Cargo.lock, and the service to sightline.toml and to the
/// chart's values.yaml. `make up` and the chart then run the service.
///
/// Exits with 0 if the service was created. Otherwise, exits with 2 and leaves all files as they were.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the service: lower-case letters, digits and single hyphens, at most 42 characters
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    template: Template,
    /// Port of the server. By default, the next number after the ports in sightline.toml
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Admin port. By default, the next number after the admin ports in sightline.toml
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    admin_port: Option<u16>,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Template {
    /// A service with an HTTP server (the default)
    #[arg(long)]
    http: bool,
    /// A service with a gRPC server
    #[arg(long)]
    grpc: bool,
    /// A service without a server, which handles the messages of a queue
    #[arg(long)]
    worker: bool,
}

impl Template {
    fn protocol(&self) -> Protocol {
        match (self.grpc, self.worker) {
            (true, _) => Protocol::Grpc,
            (_, true) => Protocol::Worker,
            _ => Protocol::Http,
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let root = services_file::checkout()
        .context("there is no checkout of Sightline here: run this command in a checkout")?;
    let protocol = args.template.protocol();
    let service = NewService { name: args.name, protocol, port: args.port, admin_port: args.admin_port };
    let created = scaffold::create(&root, &service)?;
    output::println(format_args!("In {}:", root.display()));
    output::println(describe(&created, protocol));
    Ok(())
}

fn describe(created: &Created, protocol: Protocol) -> String {
    let name = created.name.label();
    let count = created.files.len();
    let mut lines = vec![format!("  wrote    {} ({count} files)", created.directory.display())];
    lines.push(format!("  changed  {}", created.changed.join(", ")));
    let port = created.port.map(|port| format!("port {port}, ")).unwrap_or_default();
    lines.push(format!("  {} service, {port}admin port {}", protocol.name(), created.admin_port));
    lines.extend([String::new(), "Next:".to_owned(), "  make up   # then, in another terminal:".to_owned()]);
    let request = match (created.port, &created.try_path) {
        (Some(port), Some(path)) => format!("curl -i http://127.0.0.1:{port}{path}"),
        (Some(port), None) => format!(
            "grpcurl -plaintext -d '{{\"id\": 7}}' 127.0.0.1:{port} {}.v1.{}/Read",
            created.name.ident(),
            created.name.type_name()
        ),
        (None, _) => format!(
            "tail .sightline/logs/{name}.log   # the worker sends itself a message every five seconds"
        ),
    };
    lines.push(format!("  {request}"));
    lines.push(format!("  bin/sightline traces --service {name}"));
    lines.extend([
        String::new(),
        "Before you commit:".to_owned(),
        "  make chart UPDATE_RENDERED=1   # updates the renderings of the chart".to_owned(),
    ]);
    lines.join("\n")
}
