//! The HTTP surface of gosight: ingest and read, on axum.
//!
//! [`HttpServer`] binds a port and serves until shutdown; [`router()`] gives the same routes to embedders who
//! have a server of their own. What is served follows from [`HttpPorts`]: a use case that is not there has no routes,
//! so one crate serves an ingest-only process, a read-only one, and both in one.
//!
//! Everything belongs to one instance; nothing is shared by the process. Every answer that is an error has the form
//! `{"error": {"code", "message", "details"?}}`, and [`FAILURES`](gosight_application::surface::FAILURES) lists the codes.

mod accept;
mod access;
mod activity;
mod answer;
mod body;
mod config;
mod connection;
mod dialects;
mod error;
mod handlers;
mod key;
mod lingering_close;
mod observe;
mod openapi;
mod query_params;
mod read_answers;
mod router;
mod server;
mod state;
mod times;
mod write_timeout;

pub use config::{ConfigError, HttpConfig};
pub use openapi::openapi;
pub use router::router;
pub use server::{BindError, BoundPort, HttpServer};
pub use state::HttpPorts;

#[cfg(test)]
mod tests;
