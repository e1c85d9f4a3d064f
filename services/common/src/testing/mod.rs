//! Helpers for the tests of the services: an app on a free port, requests that are sent exactly as written, and a
//! `PostgreSQL` server.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a failed unwrap or a panic in a helper should fail the test"
)]

mod postgres;
mod spans;

use std::collections::BTreeMap;
use std::fs;
use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use telemetry::settings::names::{self, Variable};
use telemetry::settings::{MapEnv, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Limits, serve};
use crate::settings::DATABASE_URL;
use crate::store::{DatabaseUrl, Kind, Migrations};

pub use postgres::Postgres;
pub use spans::{Spans, Trace};

/// Starts telemetry without exporters, once per process, so that spans are recorded and context is propagated.
pub fn start_telemetry() {
    static STARTED: OnceLock<telemetry::Telemetry> = OnceLock::new();
    STARTED.get_or_init(|| {
        let env = MapEnv::from_iter([
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "none"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
        ]);
        telemetry::start(&telemetry::service!(), &Settings::read(&env).unwrap()).unwrap()
    });
}

/// Serves `app` on a free port of the loopback interface until the test's runtime ends. Returns the address.
pub async fn spawn(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, app, Limits::default(), pending()));
    address
}

/// Returns an address on which nothing listens.
pub async fn unused_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Asserts that the table under the heading `## HEADING` of `docs/settings.md` lists exactly these variables. With the
/// environment variable `UPDATE_DOCS`, writes the table instead.
pub fn assert_settings_page_lists(heading: &str, variables: &[Variable]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let page = fs::read_to_string(&path).unwrap();
    let section = page.find(&format!("\n## {heading}\n"));
    let section = section.unwrap_or_else(|| panic!("docs/settings.md has no section {heading}"));
    let table = page[section..].find("\n| variable |").map(|start| section + start + 1).unwrap();
    let end = page[table..].find("\n\n").map_or(page.len(), |length| table + length + 1);
    let updated = format!("{}{}{}", &page[..table], names::table(variables), &page[end..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, updated).unwrap();
    } else {
        assert!(
            page == updated,
            "docs/settings.md is outdated: set UPDATE_DOCS=1 for this test to update it"
        );
    }
}

/// Asserts that `migrations` lists exactly the files in the directories `migrations/sqlite` and `migrations/postgres`
/// of `package`. The name of a file is `VERSION_NAME.sql`.
pub fn assert_files_match(package: &Path, migrations: &Migrations) {
    for (name, kind) in [("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)] {
        let directory = package.join("migrations").join(name);
        let files = fs::read_dir(&directory).unwrap().map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap())
        });
        let migrator = migrations.migrator(kind);
        let listed = migrator.iter().map(|migration| {
            let name = format!("{}_{}.sql", migration.version, migration.description);
            (name, migration.sql.as_str().to_owned())
        });
        let (files, listed): (BTreeMap<_, _>, BTreeMap<_, _>) = (files.collect(), listed.collect());
        assert_eq!(files, listed, "{} differs from the migrations in the code", directory.display());
    }
}

/// Returns the URL of a `SQLite` file in `directory`.
#[must_use]
pub fn sqlite(directory: &Path) -> DatabaseUrl {
    database_url(&format!("sqlite://{}/test.db?mode=rwc", directory.display()))
}

/// Parses a database URL.
#[must_use]
pub fn database_url(url: &str) -> DatabaseUrl {
    DatabaseUrl::read(&MapEnv::from_iter([(DATABASE_URL, url)]), "").unwrap()
}

/// An HTTP response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// Returns the value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Parses the body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that the response is [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details with this status
    /// and a trace ID. `request` describes the request in failure messages.
    pub fn assert_problem(&self, status: u16, request: &str) {
        assert_eq!(self.status, status, "{request}: {self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{request}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{request}");
        assert_eq!(problem["type"], "about:blank", "{request}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{request}: {problem}");
        assert_eq!(problem["trace_id"].as_str().map(str::len), Some(32), "{request}: {problem}");
    }
}

/// Sends a request on a new connection, exactly as written. `request` is the method and the path, such as `GET /a%ff`.
pub async fn send(address: SocketAddr, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut lines =
        vec![format!("{request} HTTP/1.1"), format!("host: {address}"), "connection: close".to_owned()];
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "transfer-encoding") {
        lines.push(format!("content-length: {}", body.len()));
    }
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    let head = lines.join("\r\n") + "\r\n\r\n";

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let mut bytes = Vec::new();
    let exchange = async {
        // A server that rejects a body can close the connection before it has read everything. Its response can still
        // be read.
        let (_, _) = tokio::join!(write.write_all(body), read.read_to_end(&mut bytes));
    };
    tokio::time::timeout(Duration::from_secs(30), exchange).await.unwrap();
    parse(&String::from_utf8(bytes).unwrap())
}

fn parse(text: &str) -> Response {
    let (head, body) =
        text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not an HTTP response: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Response { status, headers, body: body.to_owned() }
}
