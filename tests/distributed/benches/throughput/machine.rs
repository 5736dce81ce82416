//! Servers of the benchmark's own.

use gosight_distributed_tests::Servers;
use gosight_services::{Instance, Service};

/// All servers that the pipeline needs, on this machine.
pub struct Machine {
    kafka: Instance,
    clickhouse: Instance,
    redis: Instance,
    postgres: Instance,
}

impl Machine {
    pub fn start() -> Self {
        Self {
            kafka: Instance::start(Service::Kafka),
            clickhouse: Instance::start(Service::ClickHouse),
            redis: Instance::start(Service::Redis),
            postgres: Instance::start(Service::Postgres),
        }
    }

    pub fn servers(&self) -> Servers {
        Servers {
            kafka: self.kafka.address().to_string(),
            clickhouse: self.clickhouse.url(),
            redis: self.redis.url(),
            postgres: self.postgres.url(),
        }
    }

    /// Names and numbers of the processes that have work to do.
    pub fn processes(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let servers = [("kafka", &self.kafka), ("clickhouse", &self.clickhouse), ("redis", &self.redis)];
        servers.into_iter().filter_map(|(name, server)| Some((name, server.process_id()?)))
    }

    /// Bytes of all tables of `database`.
    pub async fn stored_bytes(&self, database: &str) -> u64 {
        let sql =
            format!("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{database}'");
        let answer = reqwest::Client::new().post(self.clickhouse.url()).body(sql).send().await;
        let text = answer.expect("an answer").text().await.expect("a text");
        text.trim().parse().expect("a number")
    }
}
