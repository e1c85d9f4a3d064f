//! A SQL store: a `SQLite` file or a `PostgreSQL` database.
//!
//! sqlx's `Any` driver supports both database products, so a service needs only one version of each query. Table
//! definitions differ between the two products, so each product has its own set of migrations.

use std::fmt;
use std::future::Future;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{MigrateError, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyPool, Executor as _, SqlSafeStr as _};
use telemetry::db::{Database, Query};
use telemetry::settings::{Env, SettingsError};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use crate::settings::{DATABASE_URL, sqlite_url};

/// The maximum time that a request waits for a connection to the database. It is also the maximum time that the service
/// waits for the database when it starts.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of connections to `SQLite`. Each connection has its own thread. Readers work in parallel, but
/// there is only one writer at a time.
const SQLITE_CONNECTIONS: u32 = 4;

/// The maximum number of connections to `PostgreSQL`. By default, a `PostgreSQL` server allows 100 connections for all
/// its clients together.
const POSTGRES_CONNECTIONS: u32 = 10;

const REMEDY: &str = "use sqlite://FILE?mode=rwc or postgres://USER:PASSWORD@HOST:PORT/NAME";

/// A validated database URL. It can contain a password, so neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: String,
    kind: Kind,
    // The database's name, or the name of the SQLite file: `db.namespace` of the semantic conventions.
    namespace: String,
    // The address and port of the server, or `None` for a file or a Unix socket.
    server: Option<(String, u16)>,
}

/// The database product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl DatabaseUrl {
    /// Reads [`DATABASE_URL`]. The default is the `SQLite` file `default_file` in the working directory.
    pub fn read(env: &dyn Env, default_file: &str) -> Result<Self, SettingsError> {
        let url = env.get(DATABASE_URL).unwrap_or_else(|| sqlite_url(default_file));
        Self::parse(url).ok_or_else(|| SettingsError::secret(DATABASE_URL, REMEDY))
    }

    fn parse(url: String) -> Option<Self> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(&url).ok()?;
            // A pool cannot use an in-memory database, because each connection would have a separate database. The
            // file name of an in-memory database could not serve as the namespace either, because sqlx generates the
            // name.
            let in_memory = url.contains(":memory:") || url.contains("mode=memory");
            let namespace = options.get_filename().file_name()?.to_str()?.to_owned();
            (!in_memory).then_some(Self { url, kind: Kind::Sqlite, namespace, server: None })
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(&url).ok()?;
            // In PostgreSQL, the default database has the same name as the user.
            let namespace = options.get_database().unwrap_or_else(|| options.get_username()).to_owned();
            let server =
                options.get_socket().is_none().then(|| (options.get_host().to_owned(), options.get_port()));
            Some(Self { url, kind: Kind::Postgres, namespace, server })
        } else {
            None
        }
    }

    /// Returns `db.system.name` of the semantic conventions.
    fn system(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgresql",
        }
    }
}

/// Shows the product, the database and its server, without user and password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} database {}", self.system(), self.namespace)?;
        self.server.as_ref().map_or(Ok(()), |(address, port)| write!(f, " at {address}:{port}"))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// The schema migrations of a service. The service lists its migrations in code, because the sqlx macros that would
/// find the files are not used. The workspace's `Cargo.toml` explains why.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// The table that records which migrations have run. Each service has its own table, so that services can share a
    /// database.
    pub table: &'static str,
    /// The migrations in the order in which they run.
    ///
    /// Never edit a migration that has run, not even a comment, because sqlx compares checksums. Add a new migration at
    /// the end instead.
    pub list: &'static [Migration],
}

/// One schema migration. Its version is its position in [`Migrations::list`], starting with 1.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// A short description, such as the name of the table.
    pub name: &'static str,
    /// The statements for `SQLite`.
    pub sqlite: &'static str,
    /// The statements for `PostgreSQL`.
    pub postgres: &'static str,
}

impl Migrations {
    /// Returns sqlx's migrator for a database product.
    pub(crate) fn migrator(self, kind: Kind) -> Migrator {
        let convert = |(version, migration): (i64, &Migration)| {
            let statements = match kind {
                Kind::Sqlite => migration.sqlite,
                Kind::Postgres => migration.postgres,
            };
            let (name, sql) = (migration.name.into(), statements.into_sql_str());
            sqlx::migrate::Migration::new(version, name, MigrationType::Simple, sql, false)
        };
        let mut migrator = Migrator::with_migrations((1..).zip(self.list).map(convert).collect());
        migrator.dangerous_set_table_name(self.table);
        migrator
    }
}

/// The reason why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database does not respond or rejects the connection.
    #[error("cannot connect to {database} (DATABASE_URL)")]
    Connect {
        /// The database, as [`DatabaseUrl`] displays it.
        database: String,
        /// The driver's error.
        source: sqlx::Error,
    },
    /// A migration failed.
    #[error("cannot migrate {database} (DATABASE_URL)")]
    Migrate {
        /// The database, as [`DatabaseUrl`] displays it.
        database: String,
        /// The driver's error.
        source: MigrateError,
    },
}

/// An open store. Clones are cheap and share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    database: Database,
}

impl Store {
    /// Connects to the database and runs the migrations. Fails if there is no connection within five seconds or a
    /// migration fails.
    pub async fn open(url: &DatabaseUrl, migrations: Migrations) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let connected = pool_options(url.kind).connect(&url.url).await;
        let pool = connected.map_err(|source| OpenError::Connect { database: url.to_string(), source })?;
        let migrated = migrations.migrator(url.kind).run(&pool).await;
        migrated.map_err(|source| OpenError::Migrate { database: url.to_string(), source })?;

        let mut database = Database::new(url.system(), url.namespace.clone());
        if let Some((address, port)) = &url.server {
            database = database.server(address, *port);
        }
        Ok(Self { pool, database })
    }

    /// Returns the connection pool, for the statements that [`call`](Self::call) runs.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Runs `future`, which makes one database call, inside a client span.
    pub async fn call<T>(
        &self,
        query: &Query,
        future: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        // sqlx passes the current `tracing` span to the connection's thread. The thread releases the span only after
        // its cleanup, so some spans would end after their request. This call therefore runs without a subscriber.
        // sqlx then has no span to pass, and logs nothing.
        self.database.call(query, future.with_subscriber(Dispatch::none())).await
    }

    /// Closes the connections. `SQLite` then writes its write-ahead log back into the database file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn pool_options(kind: Kind) -> AnyPoolOptions {
    let options = AnyPoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
    match kind {
        Kind::Postgres => options.max_connections(POSTGRES_CONNECTIONS),
        // With a write-ahead log, readers do not wait for the writer. With `synchronous = NORMAL`, no committed
        // transaction is lost if this process crashes. Other options are not needed: by default, sqlx waits 5 s for a
        // lock and enforces foreign keys.
        Kind::Sqlite => options.max_connections(SQLITE_CONNECTIONS).after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("PRAGMA journal_mode = WAL").await?;
                connection.execute("PRAGMA synchronous = NORMAL").await?;
                Ok(())
            })
        }),
    }
}

/// Whether the database is unavailable. In this case, a later retry can succeed.
#[must_use]
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use telemetry::settings::MapEnv;

    use super::*;

    fn read(url: &str) -> Result<DatabaseUrl, SettingsError> {
        DatabaseUrl::read(&MapEnv::from_iter([(DATABASE_URL, url)]), "user.db")
    }

    #[test]
    fn sqlite_is_the_default() {
        let url = read("").unwrap();
        assert_eq!((url.system(), url.namespace.as_str(), url.server), ("sqlite", "user.db", None));
    }

    #[test]
    fn reads_server_and_database_of_a_postgres_url() {
        let url = read("postgres://app:hunter2@db.example.org:6543/users").unwrap();
        assert_eq!((url.system(), url.namespace.as_str()), ("postgresql", "users"));
        assert_eq!(url.server, Some(("db.example.org".into(), 6543)));
        assert_eq!(format!("{url:?}"), "DatabaseUrl(the postgresql database users at db.example.org:6543)");
    }

    #[test]
    fn rejects_an_unusable_url_without_showing_it() {
        for invalid in [
            "mysql://root:hunter2@localhost/x",
            "user.db",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite://x.db?mode=memory",
            "sqlite://x.db?mode=hunter2",
            "sqlite://",
            "postgres://app:hunter2@localhost:notaport/users",
        ] {
            let error = read(invalid).expect_err(invalid).to_string();
            assert!(error.starts_with("DATABASE_URL: ") && !error.contains("hunter2"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn never_shows_a_rejected_url(value in "(sqlite|postgres|x)://\\PC{0,40}hunter2") {
            if let Err(error) = read(&value) {
                prop_assert!(!error.to_string().contains("hunter2"));
            }
        }
    }
}
