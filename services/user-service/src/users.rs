//! The user store.

use std::time::Duration;

use serde::Serialize;
use service_common::store::{DatabaseUrl, Migration, Migrations, OpenError, Store};
use sqlx::any::AnyRow;
use sqlx::error::ErrorKind;
use sqlx::{FromRow, Row as _};
use telemetry::db::Query;

use crate::input::NewUser;

/// Reading this user takes a second if the built-in faults are on.
const SLOW: i64 = 998;

/// Reading this user fails if the built-in faults are on.
const BROKEN: i64 = 999;

const MIGRATIONS: Migrations = Migrations {
    table: "user_service_migrations",
    list: &[Migration {
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

/// A user, as stored and as sent to callers.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// The ID, which the store assigns.
    pub id: i64,
    /// The name.
    pub name: String,
    /// The e-mail address. It is personal data, so it must not appear in logs or spans.
    pub email: String,
}

impl FromRow<'_, AnyRow> for User {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self { id: row.try_get("id")?, name: row.try_get("name")?, email: row.try_get("email")? })
    }
}

/// The reason why a user was not read or stored.
#[derive(Debug, thiserror::Error)]
pub enum UserStoreError {
    /// Another user has this e-mail address.
    #[error("another user has this e-mail address")]
    EmailTaken,
    /// The database call failed.
    #[error("the user store failed")]
    Database(#[from] sqlx::Error),
    /// The built-in fault that `SIGHTLINE_FAULTS` turns on.
    #[error("user {BROKEN} fails because SIGHTLINE_FAULTS is on")]
    BuiltInFault,
}

/// The user store. Clones are cheap and share the connections.
#[derive(Clone, Debug)]
pub struct UserStore {
    store: Store,
    faults: bool,
}

impl UserStore {
    /// Opens the store. A new store contains users 1 to 100.
    ///
    /// Users 998 and 999 exist only if `faults` is true. Their IDs are never assigned to other users.
    pub async fn open(url: &DatabaseUrl, faults: bool) -> Result<Self, UserStoreOpenError> {
        let store = Store::open(url, MIGRATIONS).await?;
        sqlx::query(if faults { ADD_FAULTS } else { REMOVE_FAULTS }).execute(store.pool()).await?;
        Ok(Self { store, faults })
    }

    /// Reads a user. Returns `None` if there is no user with this ID.
    #[tracing::instrument(name = "read_user", skip_all, fields(user.id = id))]
    pub async fn read(&self, id: i64) -> Result<Option<User>, UserStoreError> {
        self.try_read(id).await.inspect_err(telemetry::span::record_error)
    }

    async fn try_read(&self, id: i64) -> Result<Option<User>, UserStoreError> {
        if self.faults && id == SLOW {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let user = sqlx::query_as(READ.text).bind(id).fetch_optional(self.store.pool());
        let user = self.store.call(&READ, user).await?;
        if self.faults && id == BROKEN {
            return Err(UserStoreError::BuiltInFault);
        }
        Ok(user)
    }

    /// Stores a new user and returns it with its ID.
    #[tracing::instrument(name = "store_user", skip_all)]
    pub async fn add(&self, user: &NewUser) -> Result<User, UserStoreError> {
        // `EmailTaken` is the caller's error, not a failure of this service, so the span does not record it.
        self.try_add(user).await.inspect_err(|error| {
            if !matches!(error, UserStoreError::EmailTaken) {
                telemetry::span::record_error(error);
            }
        })
    }

    async fn try_add(&self, user: &NewUser) -> Result<User, UserStoreError> {
        let id =
            sqlx::query_scalar(ADD.text).bind(user.name()).bind(user.email()).fetch_one(self.store.pool());
        match self.store.call(&ADD, id).await {
            Ok(id) => Ok(User { id, name: user.name().to_owned(), email: user.email().to_owned() }),
            Err(sqlx::Error::Database(error)) if error.kind() == ErrorKind::UniqueViolation => {
                Err(UserStoreError::EmailTaken)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Closes the store's connections.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

/// The reason why the user store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum UserStoreOpenError {
    /// The connection or a migration failed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The users of the built-in faults cannot be added or removed.
    #[error("cannot add or remove the users of the built-in faults (SIGHTLINE_FAULTS)")]
    Faults(#[from] sqlx::Error),
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use service_common::testing::assert_files_match;

    use super::*;

    #[test]
    fn lists_every_migration_file() {
        assert_files_match(Path::new(env!("CARGO_MANIFEST_DIR")), &MIGRATIONS);
    }
}
