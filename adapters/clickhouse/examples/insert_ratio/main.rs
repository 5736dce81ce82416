//! How close `ClickHouseStore` comes to a bare HTTP client that posts the same rows.
//!
//! ```text
//! cargo run --release --example insert_ratio -p gosight-clickhouse -- http://127.0.0.1:8123
//! ```
//!
//! Ours is the path of the event-processor: batches of 2,000 events, its default, or of `--batch=N`, of several partitions
//! of the log at once, each with the folds of its sessions and its ledger row, behind the fence. The bare client posts the
//! same rows into tables of the same definition, one insert for each of ours, encoded beforehand in the same format. Each
//! round has new tables. The rounds alternate, and the ratio is the median of those of the rounds. With `--compress` the
//! store compresses, as it does by default.

#![allow(clippy::print_stdout, reason = "its result is what it prints")]
#![allow(clippy::cast_precision_loss, reason = "a rate needs no more digits")]

mod bare;
mod batches;
mod database;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use gosight_application::ports::{BatchStore, BoxError, ProcessedBatch};

use bare::Insert;
use database::Database;

/// Partitions of the log that are written at the same time.
const PARTITIONS: u32 = 4;
/// Events of each partition, about.
const EVENTS: u64 = 30_000;
/// What the event-processor takes at most, by default.
const BATCH_RECORDS: u64 = 2_000;
const ROUNDS: usize = 7;

/// What is measured, with a time for each round.
struct Contestant {
    name: &'static str,
    times: Vec<Duration>,
}

impl Contestant {
    const fn new(name: &'static str) -> Self {
        Self { name, times: Vec::new() }
    }

    /// Its times as parts of those of `other` in the same round.
    fn ratio(&self, other: &Self) -> f64 {
        median(
            self.times.iter().zip(&other.times).map(|(own, other)| own.as_secs_f64() / other.as_secs_f64()),
        )
    }

    fn seconds(&self) -> f64 {
        median(self.times.iter().map(Duration::as_secs_f64))
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How long it takes until all have ended, each in a task of its own.
async fn timed<F: Future<Output = Result<(), BoxError>> + Send + 'static>(
    partitions: impl Iterator<Item = F>,
) -> Result<Duration, BoxError> {
    let start = Instant::now();
    for ended in try_join_all(partitions.map(tokio::spawn)).await? {
        ended?;
    }
    Ok(start.elapsed())
}

async fn through_the_store(
    database: &Database,
    batches: &[Arc<Vec<ProcessedBatch>>],
) -> Result<Duration, BoxError> {
    let writer = Arc::new(database.writer().await?);
    // Each partition is taken over, which happens once.
    for partition in batches {
        if let Some(first) = partition.first() {
            writer.commit(&batches::nothing(first)).await?;
        }
    }
    let partitions = batches.iter().cloned().map(|partition| {
        let writer = writer.clone();
        async move {
            for batch in partition.iter() {
                writer.commit(batch).await?;
            }
            Ok(())
        }
    });
    timed(partitions).await
}

async fn bare(
    database: &Database,
    inserts: &[Arc<Vec<Insert>>],
    tables: &'static [&str],
) -> Result<Duration, BoxError> {
    drop(database.writer().await?);
    let client = Arc::new(bare::Client::new(database));
    let partitions = inserts.iter().cloned().map(|partition| {
        let client = client.clone();
        async move {
            for insert in partition.iter().filter(|insert| tables.contains(&insert.table)) {
                client.post(insert).await?;
            }
            Ok(())
        }
    });
    timed(partitions).await
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (flags, addresses): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let url = addresses.first().map_or("http://127.0.0.1:8123", String::as_str);
    let compress = flags.iter().any(|flag| flag == "--compress");
    let records = flags.iter().find_map(|flag| flag.strip_prefix("--batch=")?.parse().ok());
    let records = records.unwrap_or(BATCH_RECORDS).max(1);
    let batches = batches::of_partitions(PARTITIONS, (EVENTS / records).max(1), records).await?;
    let source = Database::new(url, compress);
    let inserts = bare::record(&source, &batches).await?;
    source.drop_it().await?;
    let mut ours = Contestant::new("ClickHouseStore");
    let mut all = Contestant::new("bare, all rows");
    let mut events = Contestant::new("bare, events alone");
    for _ in 0..ROUNDS {
        let database = Database::new(url, compress);
        all.times.push(bare(&database, &inserts, &["events", "sessions", "ledger"]).await?);
        database.drop_it().await?;
        let database = Database::new(url, compress);
        ours.times.push(through_the_store(&database, &batches).await?);
        database.drop_it().await?;
        let database = Database::new(url, compress);
        events.times.push(bare(&database, &inserts, &["events"]).await?);
        database.drop_it().await?;
    }
    let stored: usize =
        batches.iter().flat_map(|partition| partition.iter()).map(|batch| batch.events.len()).sum();
    for contestant in [&ours, &all, &events] {
        let rate = stored as f64 / contestant.seconds();
        println!("{:<20} {rate:>9.0} events/s   ratio {:.2}", contestant.name, contestant.ratio(&ours));
    }
    Ok(())
}
