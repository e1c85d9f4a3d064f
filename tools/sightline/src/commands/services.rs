//! `sightline services`: shows what a services file describes.

use std::path::PathBuf;

use sightline::output;
use sightline::stack::StackSpec;
use sightline::stack::spec::{ProcessSpec, Program};

use super::services_file;

/// Show the services of sightline.toml
///
/// Exits with 0, or with 2 if the file has mistakes. The message then has the line of each mistake.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services file to read instead of sightline.toml in the checkout
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A table of the services with their protocols, ports, callees and programs
    Table,
    /// The name of each service
    Names,
    /// Each port of the services and of the pipeline: variable, number and description
    Ports,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let spec = services_file::load(args.file.as_deref())?;
    for line in lines(&spec, args.format) {
        output::println(line);
    }
    Ok(())
}

fn lines(spec: &StackSpec, format: Format) -> Vec<String> {
    match format {
        Format::Table => {
            let mut lines = vec![row(&["SERVICE", "PROTOCOL", "PORT", "ADMIN", "PROGRAM", "CALLS"])];
            lines.extend(spec.services().map(table_row));
            lines
        }
        Format::Names => spec.services().map(|service| service.name.to_string()).collect(),
        Format::Ports => {
            let ports = spec.ports();
            let line = |port: &sightline::stack::Port| {
                format!("{:<35} {:>5}  {}", port.variable, port.number, port.description)
            };
            ports.all().iter().map(line).collect()
        }
    }
}

fn table_row(service: &ProcessSpec) -> String {
    let number = |name: Option<&str>| {
        let port = service.ports.iter().find(|port| Some(port.name.as_str()) == name);
        port.map_or_else(|| "-".to_owned(), |port| port.number.to_string())
    };
    let program = match &service.program {
        Some(Program::Package(package)) => format!("package {package}"),
        Some(Program::File { path, .. }) => path.display().to_string(),
        Some(Program::Tool(name)) => name.clone(),
        None => "-".to_owned(),
    };
    let calls: Vec<&str> = service.calls.iter().map(sightline::stack::Process::name).collect();
    let calls = if calls.is_empty() { "-".to_owned() } else { calls.join(", ") };
    let protocol = service.protocol.map_or("-", |protocol| protocol.name());
    let (port, admin) = (number(service.server_port()), number(Some(sightline::stack::spec::ADMIN)));
    row(&[service.name.name(), protocol, &port, &admin, &program, &calls])
}

fn row([name, protocol, port, admin, program, calls]: &[&str; 6]) -> String {
    format!("{name:<20} {protocol:<8} {port:>5} {admin:>5}  {program:<28} {calls}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn prints_what_scripts_need() {
        let text = "[services.shop-service]\npackage = \"shop\"\nprotocol = \"http\"\nport = 9000\n\
                    calls = [\"db-proxy\"]\n[services.db-proxy]\nprogram = \"bin/proxy\"\nprotocol = \"grpc\"\n\
                    port = 9001\n";
        let spec = StackSpec::parse(text, Path::new("/other/sightline.toml")).unwrap();
        assert_eq!(lines(&spec, Format::Names), ["shop-service", "db-proxy"]);
        let ports = lines(&spec, Format::Ports);
        assert!(ports.iter().any(|line| line.starts_with("SIGHTLINE_SHOP_HTTP_PORT ")), "{ports:?}");
        let table = lines(&spec, Format::Table);
        assert_eq!(
            table[1],
            "shop-service         http      9000     -  package shop                 db-proxy"
        );
        assert!(table[2].contains("/other/bin/proxy"), "{table:?}");
    }
}
