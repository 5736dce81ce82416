//! A store that is unavailable for long: events wait in the log, no process grows, and the backlog drains.

#![expect(clippy::print_stdout, reason = "figures, for people")]

use std::time::{Duration, Instant};

use gosight_distributed_tests::{Binary, Process, Servers, Set};
use gosight_e2e::load::Sent;
use gosight_e2e::{Api, PATIENCE, wait_for};
use gosight_services::{Instance, Service};

use crate::exact::assert_exact;
use crate::traffic::Traffic;

/// The variable that makes it longer than a minute.
const SECONDS: &str = "GOSIGHT_TEST_OUTAGE_SECONDS";
/// Of 50 events each.
const BATCHES_PER_SECOND: u32 = 20;
/// By how much a process may grow: buffers that fill up.
const ALLOWANCE: u64 = 96 * 1024 * 1024;

/// Processes, and the most memory that each was seen to take.
struct Memory<'a> {
    processes: [(&'static str, &'a Process); 4],
    peaks: [u64; 4],
}

impl<'a> Memory<'a> {
    fn of(processes: [(&'static str, &'a Process); 4]) -> Self {
        let mut memory = Self { processes, peaks: [0; 4] };
        memory.look();
        memory
    }

    fn look(&mut self) {
        for ((_, process), peak) in self.processes.iter().zip(&mut self.peaks) {
            *peak = process.resident_bytes().max(*peak);
        }
    }

    fn tell(&self, when: &str) {
        for ((name, _), peak) in self.processes.iter().zip(self.peaks) {
            println!("{name}: {} MiB at most {when}", peak / 1024 / 1024);
        }
    }
}

/// Waits until `process` says that `part` is up or not.
async fn until_part(process: &Process, part: &str, is_up: bool) {
    let api = Api::new(process.url(), None);
    wait_for(&format!("{part} up: {is_up}"), async || {
        let ready = api.get("/ready").await.json();
        let check = ready["checks"].as_array()?.iter().find(|check| check["name"] == part)?.clone();
        ((check["status"] == "up") == is_up).then_some(())
    })
    .await;
}

fn away_for() -> Duration {
    let seconds = std::env::var(SECONDS).map_or(60, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Records that are logged and not processed, once the store can be asked.
async fn backlog(admin: &Api) -> u64 {
    wait_for("an answer of the ledger", async || {
        let ledger = admin.get("/api/v1/ledger?from=0").await.json();
        let logs = ledger["logs"].as_array()?;
        Some(logs.iter().filter_map(|log| log["in_flight"].as_u64()).sum())
    })
    .await
}

/// Waits until there is no backlog, however long that takes as long as it shrinks. Gives how long it took.
async fn drain(admin: &Api, memory: &mut Memory<'_>) -> Duration {
    let since = Instant::now();
    let mut progress = (backlog(admin).await, Instant::now());
    while progress.0 > 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        memory.look();
        let left = backlog(admin).await;
        if left < progress.0 {
            progress = (left, Instant::now());
        }
        assert!(progress.1.elapsed() < PATIENCE, "the backlog stays at {left}");
    }
    since.elapsed()
}

/// Takes no turn: it waits most of the time, and others may work meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_for_long_costs_no_memory_and_the_backlog_drains() {
    let (kafka, clickhouse) = (Instance::start(Service::Kafka), Instance::start(Service::ClickHouse));
    let servers = Servers { kafka: kafka.url(), clickhouse: clickhouse.url(), ..Servers::shared() };
    let set = Set::new(&servers).with("PROCESS_BACKOFF_MAX", "2s");
    let ingestor = set.start(Binary::Ingestor);
    let processors = [set.start(Binary::EventProcessor), set.start(Binary::EventProcessor)];
    let api = set.start(Binary::Api);
    let admin = Set::admin(&api);
    let mut sent = Sent::default();
    let traffic = Traffic::steady(&ingestor, BATCHES_PER_SECOND);
    wait_for("events in the store", async || {
        let stored: u64 = set.ask_store("SELECT count() FROM events").await.parse().unwrap();
        (stored > 5_000).then_some(())
    })
    .await;
    clickhouse.kill();
    for processor in &processors {
        until_part(processor, "clickhouse", false).await;
    }
    let [first, second] = &processors;
    let processes =
        [("ingestor", &ingestor), ("event-processor", first), ("event-processor", second), ("api", &api)];
    let mut memory = Memory::of(processes);
    let before = memory.peaks;
    memory.tell("before");
    let away_until = Instant::now() + away_for();
    while Instant::now() < away_until {
        tokio::time::sleep(Duration::from_secs(1)).await;
        memory.look();
    }
    memory.tell("while the store is unavailable");
    for (peak, before) in memory.peaks.iter().zip(before) {
        assert!(*peak < before + ALLOWANCE, "{before:?} became {:?}", memory.peaks);
    }
    clickhouse.start_again();
    traffic.end(&mut sent).await;
    let waiting = backlog(&admin).await;
    let took = drain(&admin, &mut memory).await.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = waiting as f64 / took;
    println!(
        "of {} events {waiting} waited; they drained in {took:.1} s, {rate:.0} a second",
        sent.acknowledged.len()
    );
    memory.tell("until all is stored");
    assert_exact(&set, &api, &sent).await;
}
