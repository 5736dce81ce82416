//! What the tests are made with.

mod proxy;
mod server;
mod stored;

use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, Client, cmd};
use gosight_application::ports::{Effect, PortError};
use gosight_domain::ledger::BatchSpan;
use gosight_redis::{Redis, RedisConfig};
use uuid::Uuid;

pub use proxy::Proxy;
pub use server::Server;
pub use stored::StoredFake;

/// A name that nobody else uses.
pub fn unique(name: &str) -> String {
    format!("{name}-{}", Uuid::new_v4().simple())
}

/// Settings for the shared server, with a prefix of their own.
pub fn shared_config() -> RedisConfig {
    RedisConfig {
        url: gosight_services::redis_url().as_str().into(),
        prefix: format!("{}:", unique("test")),
        // What tests leave behind on a server that lives long.
        session_ttl: Duration::from_mins(10),
        dedup_window: Duration::from_hours(2),
        ..patient()
    }
}

/// Settings for tests of anything but time: many of them run at once, on few cores.
pub fn patient() -> RedisConfig {
    let patience = Duration::from_secs(25);
    RedisConfig {
        connect_timeout: patience,
        command_timeout: patience,
        request_timeout: patience,
        ..RedisConfig::default()
    }
}

pub fn shared_redis() -> Redis {
    Redis::new(&shared_config()).unwrap()
}

/// A connection beside the adapters', to look and to meddle.
pub async fn raw(config: &RedisConfig) -> MultiplexedConnection {
    let client = Client::open(config.url.reveal()).unwrap();
    let patience = Some(Duration::from_secs(30));
    let settings =
        AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
    client.get_multiplexed_async_connection_with_config(&settings).await.unwrap()
}

/// Every key of a server of the test's own; the shared one has too many.
pub async fn keys(config: &RedisConfig) -> Vec<Vec<u8>> {
    cmd("KEYS").arg("*").query_async(&mut raw(config).await).await.unwrap()
}

/// Waits until `is_so`; it has to be so before long.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let seen = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), seen).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// What `call` gives, which must not hang.
pub async fn soon<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), call).await.expect("an answer, not a wait without end")
}

/// Fails unless the error is one that may pass; says what may have happened.
#[track_caller]
pub fn passing<T: std::fmt::Debug, R: std::fmt::Debug + std::fmt::Display>(
    result: Result<T, PortError<R>>,
) -> Effect {
    match result {
        Err(PortError::Transient { effect, .. }) => effect,
        other => panic!("not transient: {other:?}"),
    }
}

/// Records `first` to before `next` of partition 0.
pub fn span(first: u64, next: u64) -> BatchSpan {
    gosight_conformance::factory::span(first, next - first)
}
