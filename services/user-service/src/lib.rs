//! Users over HTTP, kept in SQL.
