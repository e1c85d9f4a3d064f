//! The instrumentation of calls: spans and metrics for servers, clients and databases.

pub mod db;
pub mod grpc;
pub mod http;
pub mod span;

mod call;
mod error_type;
mod grpc_code;
mod layer;
mod network;
mod options;
mod proxies;
mod response;
