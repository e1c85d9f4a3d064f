//! The store of users.

use std::time::Duration;

use serde::Serialize;
use service_common::store::{DatabaseUrl, Migrations, OpenError, Step, Store};
use sqlx::any::AnyRow;
use sqlx::error::ErrorKind;
use sqlx::{FromRow, Row as _};
use telemetry::db::Query;

use crate::input::NewUser;

/// With faults on, reading this user takes a second.
const SLOW: i64 = 998;

/// With faults on, reading this user fails.
const BROKEN: i64 = 999;

const MIGRATIONS: Migrations = Migrations {
    table: "user_service_migrations",
    steps: &[Step {
        name: "users",
        sqlite: include_str!("../migrations/sqlite/1_users.sql"),
        postgres: include_str!("../migrations/postgres/1_users.sql"),
    }],
};

const READ: Query = Query {
    operation: "SELECT",
    collection: "users",
    text: "SELECT id, name, email FROM users WHERE id = $1",
};

const ADD: Query = Query {
    operation: "INSERT",
    collection: "users",
    text: "INSERT INTO users (name, email) VALUES ($1, $2) RETURNING id",
};

const ADD_FAULTS: &str = "INSERT INTO users (id, name, email) VALUES (998, 'Slow', 'slow@example.org'), \
                          (999, 'Broken', 'broken@example.org') ON CONFLICT DO NOTHING";

const REMOVE_FAULTS: &str = "DELETE FROM users WHERE id IN (998, 999)";

/// A user as stored and as sent.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Given by the store.
    pub id: i64,
    /// What the user is called.
    pub name: String,
    /// The user's address. It names a person: never logged, never in a span.
    pub email: String,
}

impl FromRow<'_, AnyRow> for User {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self { id: row.try_get("id")?, name: row.try_get("name")?, email: row.try_get("email")? })
    }
}

/// Why a user was not read or stored.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// There is one with this e-mail address.
    #[error("another user has this e-mail address")]
    Taken,
    /// The database failed.
    #[error("the store of users failed")]
    Store(#[from] sqlx::Error),
    /// `SIGHTLINE_FAULTS` is on and this is the user who fails.
    #[error("user {BROKEN} fails because SIGHTLINE_FAULTS is on")]
    BuiltIn,
}

/// The store. Cloning it is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct Users {
    store: Store,
    faults: bool,
}

impl Users {
    /// Opens the store, with users 1 to 100 in it when it is new. Users 998 and 999 are in it while `faults` is on
    /// and not otherwise; their ids are never given to another.
    pub async fn open(url: &DatabaseUrl, faults: bool) -> Result<Self, OpenUsersError> {
        let store = Store::open(url, MIGRATIONS).await?;
        sqlx::query(if faults { ADD_FAULTS } else { REMOVE_FAULTS }).execute(store.pool()).await?;
        Ok(Self { store, faults })
    }

    /// The user of this id, if there is one.
    #[tracing::instrument(name = "read_user", skip_all, fields(user.id = id))]
    pub async fn read(&self, id: i64) -> Result<Option<User>, UsersError> {
        self.try_read(id).await.inspect_err(telemetry::span::record_error)
    }

    async fn try_read(&self, id: i64) -> Result<Option<User>, UsersError> {
        if self.faults && id == SLOW {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let user = sqlx::query_as(READ.text).bind(id).fetch_optional(self.store.pool());
        let user = self.store.call(&READ, user).await?;
        if self.faults && id == BROKEN {
            return Err(UsersError::BuiltIn);
        }
        Ok(user)
    }

    /// Stores a user, and gives it its id.
    #[tracing::instrument(name = "store_user", skip_all)]
    pub async fn add(&self, user: &NewUser) -> Result<User, UsersError> {
        // An address that is taken is the caller's mistake and no failure of ours.
        self.try_add(user).await.inspect_err(|error| {
            if !matches!(error, UsersError::Taken) {
                telemetry::span::record_error(error);
            }
        })
    }

    async fn try_add(&self, user: &NewUser) -> Result<User, UsersError> {
        let id =
            sqlx::query_scalar(ADD.text).bind(user.name()).bind(user.email()).fetch_one(self.store.pool());
        match self.store.call(&ADD, id).await {
            Ok(id) => Ok(User { id, name: user.name().to_owned(), email: user.email().to_owned() }),
            Err(sqlx::Error::Database(error)) if error.kind() == ErrorKind::UniqueViolation => {
                Err(UsersError::Taken)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Closes the store's connections.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

/// Why the store of users cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenUsersError {
    /// The database cannot be reached or migrated.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The users of the built-in faults could be neither added nor removed.
    #[error("the users of the built-in faults cannot be set up")]
    Faults(#[from] sqlx::Error),
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use service_common::testing::every_file_is_a_step;

    use super::*;

    #[test]
    fn every_migration_is_listed() {
        every_file_is_a_step(Path::new(env!("CARGO_MANIFEST_DIR")), &MIGRATIONS);
    }
}
