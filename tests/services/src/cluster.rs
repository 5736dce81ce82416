//! Three brokers of a test's own that are one cluster.

use std::thread;
use std::time::Duration;

use crate::Service;
use crate::instance::{Instance, Reserved};
use crate::process::wait_until;
use crate::server::kafka::brokers;

const BROKERS: u32 = 3;
/// Longest time until all know of each other.
const DEADLINE: Duration = Duration::from_mins(1);

/// Three Kafka brokers, each its own controller too; two of them are enough to go on. They are killed and their data
/// deleted when this is dropped.
#[derive(Debug)]
pub struct KafkaCluster {
    brokers: Vec<Instance>,
}

impl KafkaCluster {
    /// Starts them, and waits until each knows the others.
    ///
    /// # Panics
    /// When one does not start, quoting the end of its log.
    pub fn start() -> Self {
        match Self::try_start() {
            Ok(cluster) => cluster,
            Err(error) => panic!("three brokers: {error:#}"),
        }
    }

    fn try_start() -> anyhow::Result<Self> {
        let reserved =
            (0..BROKERS).map(|_| Reserved::new(Service::Kafka)).collect::<anyhow::Result<Vec<_>>>()?;
        let voter = |(id, broker): (u32, &Reserved)| format!("{id}@127.0.0.1:{}", broker.inner_port());
        let voters = (1..).zip(&reserved).map(voter).collect::<Vec<_>>().join(",");
        let brokers = (1..)
            .zip(reserved)
            .map(|(id, broker): (u32, _)| broker.prepare(&settings(&id.to_string(), &voters)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let cluster = Self { brokers };
        cluster.run(&cluster.brokers.iter().collect::<Vec<_>>())?;
        Ok(cluster)
    }

    /// Starts brokers together: alone, none of them answers.
    fn run(&self, brokers: &[&Instance]) -> anyhow::Result<()> {
        thread::scope(|scope| {
            let starting: Vec<_> = brokers.iter().map(|broker| scope.spawn(|| broker.run())).collect();
            starting
                .into_iter()
                .try_for_each(|broker| broker.join().unwrap_or_else(|_| anyhow::bail!("a start panicked")))
        })?;
        let all_know = || self.brokers.iter().all(|broker| known_to(broker) == BROKERS);
        anyhow::ensure!(wait_until(DEADLINE, all_know), "they do not find each other");
        Ok(())
    }

    /// The broker that calls itself by this number, from 1.
    ///
    /// # Panics
    /// When there is none.
    pub fn broker(&self, id: usize) -> &Instance {
        match id.checked_sub(1).and_then(|index| self.brokers.get(index)) {
            Some(broker) => broker,
            None => panic!("there is no broker {id}"),
        }
    }

    /// Starts those again that do not run, and waits until all know each other.
    ///
    /// # Panics
    /// When one does not start, quoting the end of its log.
    pub fn start_again(&self) {
        let stopped: Vec<&Instance> =
            self.brokers.iter().filter(|broker| broker.process_id().is_none()).collect();
        if let Err(error) = self.run(&stopped) {
            panic!("three brokers: start again: {error:#}");
        }
    }

    /// What clients are given: `host:port` of each, with commas between.
    pub fn url(&self) -> String {
        self.brokers.iter().map(Instance::url).collect::<Vec<_>>().join(",")
    }
}

fn known_to(broker: &Instance) -> u32 {
    brokers(broker.address())
}

fn settings<'a>(id: &'a str, voters: &'a str) -> [(&'a str, &'a str); 6] {
    [
        ("node.id", id),
        ("controller.quorum.voters", voters),
        ("min.insync.replicas", "2"),
        ("offsets.topic.replication.factor", "3"),
        ("transaction.state.log.replication.factor", "3"),
        ("-Xmx", "256m"),
    ]
}
