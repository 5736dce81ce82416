//! Real servers for tests, on loopback ports of their own.
//!
//! `cargo xtask services up` starts them. A test asks for the address of one, and fails with one clear line when it is
//! not running: it is never skipped.

#![expect(clippy::panic, reason = "a test without its server fails by panicking")]

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that tests need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Apache Kafka, one broker.
    Kafka,
    /// ClickHouse's HTTP interface.
    ClickHouse,
    /// Redis.
    Redis,
    /// PostgreSQL.
    Postgres,
    /// MinIO.
    S3,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Kafka, Self::ClickHouse, Self::Redis, Self::Postgres, Self::S3];

    /// The name in commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::ClickHouse => "clickhouse",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::S3 => "s3",
        }
    }

    /// The loopback port.
    pub const fn port(self) -> u16 {
        match self {
            Self::Kafka => 19_092,
            Self::ClickHouse => 18_123,
            Self::Redis => 16_379,
            Self::Postgres => 15_432,
            Self::S3 => 19_000,
        }
    }

    /// The address, `127.0.0.1:port`.
    pub fn address(self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port()))
    }
}

/// What S3 clients need.
#[derive(Debug, Clone)]
pub struct S3Access {
    /// `http://127.0.0.1:port`.
    pub endpoint: String,
    /// Name of the region.
    pub region: &'static str,
    /// Access key.
    pub access_key: &'static str,
    /// Secret key.
    pub secret_key: &'static str,
}

fn running(service: Service) -> SocketAddr {
    let address = service.address();
    assert!(
        TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok(),
        "{} does not run on {address}: start it with `cargo xtask services up`",
        service.as_str()
    );
    address
}

/// Bootstrap servers of the broker.
///
/// # Panics
/// When it is not running, as of all of these.
pub fn kafka_brokers() -> String {
    running(Service::Kafka).to_string()
}

/// URL of `ClickHouse`'s HTTP interface; the user `default` has no password.
///
/// # Panics
/// When it is not running.
pub fn clickhouse_url() -> String {
    format!("http://{}", running(Service::ClickHouse))
}

/// URL of Redis.
///
/// # Panics
/// When it is not running.
pub fn redis_url() -> String {
    format!("redis://{}", running(Service::Redis))
}

/// URL of a `PostgreSQL` user that may create databases, with the database `postgres`.
///
/// # Panics
/// When it is not running.
pub fn postgres_url() -> String {
    format!("postgres://gosight:gosight@{}/postgres", running(Service::Postgres))
}

/// How to reach the object store.
///
/// # Panics
/// When it is not running.
pub fn s3_access() -> S3Access {
    S3Access {
        endpoint: format!("http://{}", running(Service::S3)),
        region: "us-east-1",
        access_key: "gosight",
        secret_key: "gosight-secret",
    }
}
