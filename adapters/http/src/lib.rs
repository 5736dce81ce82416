//! The HTTP surface of gosight: ingest and read, on axum.
