//! The whole surface through its router and, where time and connections matter, through a socket.

mod business;
mod connections;
mod encodings;
mod errors;
mod fake_store;
mod fakes;
mod harness;
mod ndjson;
mod openapi_shape;
mod operation;
mod read;
mod replay_archive;
mod replay_ingest;
mod replay_read;
mod replay_stored;
mod sdk;
mod shutdown;
mod slow_clients;
