//! Durable storage in one directory and no servers: a log on fjall, everything else in `SQLite`.
