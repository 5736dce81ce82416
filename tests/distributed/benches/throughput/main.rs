//! The distributed mode as a whole, on one machine: what it acknowledges, what can be asked for, and how fast a backlog
//! goes.
//!
//! ```text
//! cargo bench -p gosight-distributed-tests --bench throughput
//! cargo bench -p gosight-distributed-tests --bench throughput -- --events=500000 --set=PROCESS_EVENTS_BATCH_RECORDS=10000
//! ```
//!
//! Servers are started for it alone, and gone at its end. As a mere test it sends little through debug binaries.

#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark that cannot run ends")]
#![allow(clippy::print_stdout, reason = "its result is what it prints")]
#![allow(clippy::cast_precision_loss, reason = "a rate needs no more digits")]

mod load;
mod machine;
mod usage;

use std::time::{Duration, Instant};

use gosight_distributed_tests::{Binary, Process, Set};
use gosight_e2e::Api;

use load::Load;
use machine::Machine;
use usage::Usage;

/// What is sent in each phase.
struct Size {
    warm_up: u64,
    events: u64,
}

impl Size {
    fn of(arguments: &[String]) -> Self {
        let is_measured = arguments.iter().any(|argument| argument == "--bench");
        let usual = if is_measured { Self { warm_up: 20_000, events: 300_000 } } else { Self::small() };
        let events = arguments.iter().find_map(|argument| argument.strip_prefix("--events="));
        let events = events.map_or(usual.events, |events| events.parse().expect("a number"));
        Self { events, ..usual }
    }

    const fn small() -> Self {
        Self { warm_up: 200, events: 2_000 }
    }
}

/// The processes of the pipeline.
struct Pipeline {
    ingestor: Process,
    processor: Process,
    api: Process,
}

impl Pipeline {
    fn start(set: &Set) -> Self {
        Self {
            ingestor: set.start(Binary::Ingestor),
            processor: set.start(Binary::EventProcessor),
            api: set.start(Binary::Api),
        }
    }

    fn usage(&self, machine: &Machine) -> Usage {
        let ours = [("ingestor", &self.ingestor), ("event-processor", &self.processor), ("api", &self.api)];
        let ours = ours.map(|(name, process)| (name, process.id()));
        Usage::of(ours.into_iter().chain(machine.processes()))
    }

    /// Records that are logged and not processed.
    async fn in_flight(&self) -> u64 {
        let ledger = Set::admin(&self.api).ledger().await;
        let logs = ledger["logs"].as_array().expect("logs");
        logs.iter().filter_map(|log| log["in_flight"].as_u64()).sum()
    }

    async fn until_processed(&self) {
        while self.in_flight().await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn reader(&self) -> Api {
        Set::reader(&self.api)
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let size = Size::of(&arguments);
    let machine = Machine::start();
    let mut set = Set::new(&machine.servers());
    if arguments.iter().any(|argument| argument == "--bench") {
        set = set.released();
    }
    for setting in arguments.iter().filter_map(|argument| argument.strip_prefix("--set=")) {
        let (name, value) = setting.split_once('=').expect("NAME=VALUE");
        set = set.with(name, value);
    }
    let mut pipeline = Pipeline::start(&set);
    load::send(pipeline.ingestor.url(), Load::new(0, size.warm_up)).await;
    pipeline.until_processed().await;
    alongside(&pipeline, &machine, Load::new(size.warm_up, size.events)).await;
    backlog(&mut pipeline, &machine, Load::new(size.warm_up + size.events, size.events)).await;
    let all = size.warm_up + 2 * size.events;
    assert_eq!(pipeline.reader().total_count().await, all, "each event once");
    for (name, process) in [("ingestor", &pipeline.ingestor), ("event-processor", &pipeline.processor)] {
        println!("{name:<16} {:>5} MiB", process.resident_bytes() / (1024 * 1024));
    }
    println!(
        "clickhouse       {:>5} bytes an event on disk",
        machine.stored_bytes(set.database()).await / all
    );
}

/// Sends while the processor works.
async fn alongside(pipeline: &Pipeline, machine: &Machine, load: Load) {
    let events = load.events;
    let before = pipeline.usage(machine);
    let started = Instant::now();
    let sent = load::send(pipeline.ingestor.url(), load).await;
    pipeline.until_processed().await;
    let queryable = started.elapsed();
    println!("\n== {events} events, processed while they come");
    sent.print("acknowledged", events);
    println!(
        "queryable     {:>8.0} events/s, all of them {:.1} s after the last was acknowledged",
        events as f64 / queryable.as_secs_f64(),
        queryable.saturating_sub(sent.took).as_secs_f64()
    );
    pipeline.usage(machine).print_since(&before, events);
}

/// Sends while there is no processor, and starts one then.
async fn backlog(pipeline: &mut Pipeline, machine: &Machine, load: Load) {
    let events = load.events;
    assert!(pipeline.processor.stop().success(), "{}", pipeline.processor.output());
    let before = pipeline.usage(machine);
    let sent = load::send(pipeline.ingestor.url(), load).await;
    println!("\n== {events} events while no processor runs");
    sent.print("acknowledged", events);
    pipeline.usage(machine).print_since(&before, events);
    assert_eq!(pipeline.in_flight().await, events);
    let started = Instant::now();
    pipeline.processor.restart();
    let before = pipeline.usage(machine);
    let mut first = started;
    while pipeline.in_flight().await == events {
        first = Instant::now();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pipeline.until_processed().await;
    println!("\n== {events} events that have waited");
    println!(
        "drained       {:>8.0} events/s, after {:.1} s until the first batch was stored",
        events as f64 / first.elapsed().as_secs_f64(),
        first.duration_since(started).as_secs_f64()
    );
    pipeline.usage(machine).print_since(&before, events);
}
