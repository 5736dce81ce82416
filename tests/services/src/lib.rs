//! Real servers for tests, on loopback ports of their own, and a real browser.
//!
//! `cargo xtask services up` starts them. A test asks for the address of one, and fails with one clear line when it is
//! not running: it is never skipped.

#![expect(clippy::panic, reason = "a test without its server fails by panicking")]

mod ask;
mod browser;
mod cache;
mod cluster;
mod guard;
mod instance;
mod ports;
mod process;
mod proxy;
mod server;
mod shared;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub use browser::chromium;
pub use cluster::KafkaCluster;
pub use instance::Instance;
pub use proxy::Proxy;
pub use shared::{Status, down, status, up};

/// Says what is going on to whoever waits for it.
fn say(text: &str) {
    // Nobody listens if this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A server that tests need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Apache Kafka, one broker.
    Kafka,
    /// `ClickHouse`'s HTTP interface.
    ClickHouse,
    /// Redis.
    Redis,
    /// `PostgreSQL`.
    Postgres,
    /// `MinIO`.
    S3,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Kafka, Self::ClickHouse, Self::Redis, Self::Postgres, Self::S3];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.as_str() == name)
    }

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

    /// Where clients find it, as environment variables: those that the distributed binaries read, where there are such.
    pub fn environment(self) -> Vec<(&'static str, String)> {
        let url = self.url(self.address());
        match self {
            Self::Kafka => vec![
                ("GOSIGHT_KAFKA_BROKERS", format!("[\"{url}\"]")),
                // There is one broker.
                ("GOSIGHT_KAFKA_REPLICATION_FACTOR", "1".to_owned()),
            ],
            Self::ClickHouse => vec![("GOSIGHT_CLICKHOUSE_URL", url)],
            Self::Redis => vec![("GOSIGHT_REDIS_URL", url)],
            Self::Postgres => vec![("GOSIGHT_POSTGRES_URL", url)],
            Self::S3 => {
                let access = S3Access::at(self.address());
                vec![
                    ("GOSIGHT_S3_ENDPOINT", url),
                    ("GOSIGHT_S3_REGION", access.region.to_owned()),
                    ("GOSIGHT_S3_ACCESS_KEY", access.access_key.to_owned()),
                    ("GOSIGHT_S3_SECRET_KEY", access.secret_key.to_owned()),
                ]
            }
        }
    }

    /// What clients of such a server on this address, or of a proxy before it, are given: a URL, or `host:port` for Kafka.
    pub fn url(self, address: SocketAddr) -> String {
        match self {
            Self::Kafka => address.to_string(),
            Self::ClickHouse | Self::S3 => format!("http://{address}"),
            Self::Redis => format!("redis://{address}"),
            Self::Postgres => format!("postgres://gosight:gosight@{address}/postgres"),
        }
    }

    /// The address, `127.0.0.1:port`.
    pub fn address(self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port()))
    }
}

const S3_ACCESS_KEY: &str = "gosight";
const S3_SECRET_KEY: &str = "gosight-secret";

/// What S3 clients need.
///
/// The keys are those of a test server: there is nothing to hide.
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

impl S3Access {
    /// How to reach an object store on this address, or through a proxy there.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            endpoint: Service::S3.url(address),
            region: "us-east-1",
            access_key: S3_ACCESS_KEY,
            secret_key: S3_SECRET_KEY,
        }
    }
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
    Service::Kafka.url(running(Service::Kafka))
}

/// URL of `ClickHouse`'s HTTP interface; the user `default` has no password.
///
/// # Panics
/// When it is not running.
pub fn clickhouse_url() -> String {
    Service::ClickHouse.url(running(Service::ClickHouse))
}

/// URL of Redis.
///
/// # Panics
/// When it is not running.
pub fn redis_url() -> String {
    Service::Redis.url(running(Service::Redis))
}

/// URL of a `PostgreSQL` user that may create databases, with the database `postgres`.
///
/// # Panics
/// When it is not running.
pub fn postgres_url() -> String {
    Service::Postgres.url(running(Service::Postgres))
}

/// How to reach the object store.
///
/// # Panics
/// When it is not running.
pub fn s3_access() -> S3Access {
    S3Access::at(running(Service::S3))
}
