//! A store in SQL: `SQLite` in a file, or `PostgreSQL`.
//!
//! Both are reached through sqlx's `Any` driver, so that a service has each statement once. Where their SQL
//! differs is the definition of tables, so there is a set of migrations for each.

use std::fmt;
use std::future::Future;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyPool, Executor as _, SqlSafeStr as _};
use telemetry::db::{Database, Query};
use telemetry::settings::{Env, SettingsError};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use crate::settings::DATABASE_URL;

/// How long a request waits for a connection, and the start for the database to be there.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections to `SQLite`. Readers work side by side; there is one writer at a time in any case, and each
/// connection is a thread.
const SQLITE_CONNECTIONS: u32 = 4;

/// Connections to `PostgreSQL`, of the 100 that a server has by default for all its clients.
const POSTGRES_CONNECTIONS: u32 = 10;

const REMEDY: &str = "use sqlite://FILE?mode=rwc or postgres://USER:PASSWORD@HOST:PORT/NAME";

/// Which database, read and checked. It may hold a password, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: String,
    kind: Kind,
    namespace: String,
    server: Option<(String, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl DatabaseUrl {
    /// Reads [`DATABASE_URL`], or takes the `SQLite` file `default_file` in the working directory.
    pub fn read(env: &dyn Env, default_file: &str) -> Result<Self, SettingsError> {
        let url = env.get(DATABASE_URL).unwrap_or_else(|| format!("sqlite://{default_file}?mode=rwc"));
        Self::parse(url).ok_or_else(|| SettingsError::secret(DATABASE_URL, REMEDY))
    }

    fn parse(url: String) -> Option<Self> {
        if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(&url).ok()?;
            // A database in memory is one for each connection, so it is none for a pool. It has no file name
            // that a person would have chosen.
            let in_memory = url.contains(":memory:") || url.contains("mode=memory");
            let namespace = options.get_filename().file_name()?.to_str()?.to_owned();
            (!in_memory).then_some(Self { url, kind: Kind::Sqlite, namespace, server: None })
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(&url).ok()?;
            // PostgreSQL's own rule: a database that is not named has its user's name.
            let namespace = options.get_database().unwrap_or_else(|| options.get_username()).to_owned();
            let server =
                options.get_socket().is_none().then(|| (options.get_host().to_owned(), options.get_port()));
            Some(Self { url, kind: Kind::Postgres, namespace, server })
        } else {
            None
        }
    }

    /// `db.system.name` of the semantic conventions.
    fn system(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgresql",
        }
    }
}

/// For people: the product, the database and its server, no user and no password.
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

/// What brings an empty or older database to the form the service wants.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// The table that remembers which have run. Each service has its own, so that two may share a database.
    pub table: &'static str,
    /// In their order. What has run stays as it is: a change is a step of its own, at the end.
    pub steps: &'static [Step],
}

/// One migration. Its number, as sqlx calls it, is its place among the steps, from 1 on.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What it is about, in a word or two.
    pub name: &'static str,
    /// Statements for `SQLite`.
    pub sqlite: &'static str,
    /// The same for `PostgreSQL`.
    pub postgres: &'static str,
}

impl Migrations {
    /// What sqlx is given to run.
    pub(crate) fn migrator(self, kind: Kind) -> Migrator {
        let migration = |(number, step): (i64, &Step)| {
            let statements = match kind {
                Kind::Sqlite => step.sqlite,
                Kind::Postgres => step.postgres,
            };
            Migration::new(number, step.name.into(), MigrationType::Simple, statements.into_sql_str(), false)
        };
        let mut migrator = Migrator::with_migrations((1..).zip(self.steps).map(migration).collect());
        migrator.dangerous_set_table_name(self.table);
        migrator
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database does not answer, or refuses.
    #[error("{database} cannot be reached (DATABASE_URL)")]
    Connect {
        /// Which.
        database: String,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// The database was reached but could not be brought up to date.
    #[error("{database} cannot be migrated (DATABASE_URL)")]
    Migrate {
        /// Which.
        database: String,
        /// What the driver says.
        source: MigrateError,
    },
}

/// An open store. Cloning it is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    database: Database,
}

impl Store {
    /// Connects and migrates. Fails where the database cannot be reached within five seconds or migrated.
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

    /// Where `call` sends its statement.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Awaits one database call inside its client span.
    pub async fn call<T>(
        &self,
        query: &Query,
        future: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        // sqlx hands the current `tracing` span to a connection's thread, which lets go of it when it has tidied up:
        // some spans would then end after the request they are part of. So it sees none, and logs nothing itself.
        self.database.call(query, future.with_subscriber(Dispatch::none())).await
    }

    /// Closes the connections, which writes `SQLite`'s log back into its file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn pool_options(kind: Kind) -> AnyPoolOptions {
    let options = AnyPoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
    match kind {
        Kind::Postgres => options.max_connections(POSTGRES_CONNECTIONS),
        // A write-ahead log lets readers go on beside the writer; with it, NORMAL loses no committed
        // transaction to a crash of this process. sqlx itself waits 5 s for a lock and enforces foreign keys.
        Kind::Sqlite => options.max_connections(SQLITE_CONNECTIONS).after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("PRAGMA journal_mode = WAL").await?;
                connection.execute("PRAGMA synchronous = NORMAL").await?;
                Ok(())
            })
        }),
    }
}

/// Whether the store did not answer at all, so that trying again later makes sense.
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
    fn postgres_gives_its_server_and_its_database() {
        let url = read("postgres://app:hunter2@db.example.org:6543/users").unwrap();
        assert_eq!((url.system(), url.namespace.as_str()), ("postgresql", "users"));
        assert_eq!(url.server, Some(("db.example.org".into(), 6543)));
        assert_eq!(format!("{url:?}"), "DatabaseUrl(the postgresql database users at db.example.org:6543)");
    }

    #[test]
    fn what_cannot_be_opened_is_refused_without_being_shown() {
        for bad in [
            "mysql://root:hunter2@localhost/x",
            "user.db",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite://x.db?mode=memory",
            "sqlite://x.db?mode=hunter2",
            "sqlite://",
            "postgres://app:hunter2@localhost:notaport/users",
        ] {
            let error = read(bad).expect_err(bad).to_string();
            assert!(error.starts_with("DATABASE_URL: ") && !error.contains("hunter2"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics_or_is_repeated(value in "(sqlite|postgres|x)://\\PC{0,40}hunter2") {
            if let Err(error) = read(&value) {
                prop_assert!(!error.to_string().contains("hunter2"));
            }
        }
    }
}
