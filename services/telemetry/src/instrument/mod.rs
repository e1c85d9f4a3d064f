//! The instrumentation of calls: spans and metrics for servers, clients and databases.

#[cfg(feature = "sql")]
pub mod db;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(any(feature = "http", feature = "http-client"))]
pub mod http;
pub mod span;

#[cfg(any(feature = "_calls", feature = "sql"))]
mod call;
mod error_type;
#[cfg(feature = "grpc")]
mod grpc_code;
#[cfg(feature = "_calls")]
mod layer;
#[cfg(feature = "_calls")]
mod network;
#[cfg(any(feature = "http", feature = "grpc"))]
mod options;
#[cfg(any(feature = "http", feature = "grpc"))]
mod proxies;
#[cfg(feature = "_calls")]
mod response;
