//! How close `KafkaLog` comes to a bare producer that sends the same bytes.
//!
//! ```text
//! cargo run --release --example produce_ratio -p gosight-kafka -- 127.0.0.1:9092
//! ```
//!
//! Both have eight callers that append batches of 100 events each and wait for them, with the same settings of the
//! client library. The rounds alternate, and the best of each is compared.

#![allow(clippy::print_stdout, reason = "its result is what it prints")]
#![allow(clippy::cast_precision_loss, reason = "a rate needs no more digits")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use gosight_application::ports::{BoxError, Record, RecordLog};
use gosight_kafka::config::TopicConfig;
use gosight_kafka::{KafkaConfig, KafkaLog, ensure_topics};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

const CALLERS: usize = 8;
const BATCHES: usize = 400;
const BATCH: usize = 100;
const ROUNDS: usize = 5;
const EVENT_BYTES: usize = 600;
const LOG: &str = "produce-ratio";

/// An event like those of a website: names and words that repeat, and some that do not.
fn event(number: usize) -> Record {
    let mut value = format!(
        r#"{{"event_id":"{number:032x}","event_type":"page_view","session_id":"{:016x}","page":{{"url":"https://shop.example/products/{}""#,
        number % 5_000,
        number * 7_919 % 100_000
    )
    .into_bytes();
    while value.len() < EVENT_BYTES {
        let word = [&b"browser chrome "[..], b"referrer search ", b"viewport 1280 720 "][value.len() % 3];
        value.extend_from_slice(word);
    }
    Record { key: Bytes::from(format!("session-{}", number % 5_000)), value: value.into() }
}

async fn through_the_log(log: &KafkaLog, batches: &[Vec<Record>]) -> Result<(), BoxError> {
    for batch in batches {
        log.append(LOG, batch.clone()).await?;
    }
    Ok(())
}

async fn through_the_library(producer: &FutureProducer, batches: &[Vec<Record>]) -> Result<(), BoxError> {
    for batch in batches {
        let sent = batch.iter().map(|record| {
            let record = FutureRecord::to(LOG).key(&*record.key).payload(&*record.value);
            producer.send_result(record).map_err(|(error, _)| error)
        });
        let sent = sent.collect::<Result<Vec<_>, _>>()?;
        for delivered in try_join_all(sent).await? {
            delivered.map_err(|(error, _)| error)?;
        }
    }
    Ok(())
}

fn bare_producer(config: &KafkaConfig) -> Result<FutureProducer, BoxError> {
    let produce = &config.produce;
    Ok(ClientConfig::new()
        .set("bootstrap.servers", config.brokers.join(","))
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", produce.linger.as_millis().to_string())
        .set("batch.size", produce.batch_bytes.as_u64().to_string())
        .set("partitioner", "murmur2")
        .create()?)
}

async fn timed<F: Future<Output = Result<(), BoxError>>>(
    callers: impl Iterator<Item = F>,
) -> Result<Duration, BoxError> {
    let start = Instant::now();
    for ended in join_all(callers).await {
        ended?;
    }
    Ok(start.elapsed())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let broker = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let mut config = KafkaConfig { brokers: vec![broker], replication_factor: 1, ..KafkaConfig::default() };
    config.topics.insert(LOG.to_owned(), TopicConfig { partitions: Some(20), ..TopicConfig::default() });
    ensure_topics(&config).await?;
    let log = KafkaLog::new(&config)?;
    let bare = bare_producer(&config)?;
    let callers: Arc<Vec<Vec<Vec<Record>>>> = Arc::new(
        (0..CALLERS)
            .map(|caller| {
                (0..BATCHES)
                    .map(|batch| {
                        let first = (caller * BATCHES + batch) * BATCH;
                        (first..first + BATCH).map(event).collect()
                    })
                    .collect()
            })
            .collect(),
    );
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        theirs = theirs.min(timed(callers.iter().map(|batches| through_the_library(&bare, batches))).await?);
        ours = ours.min(timed(callers.iter().map(|batches| through_the_log(&log, batches))).await?);
    }
    let events = (CALLERS * BATCHES * BATCH) as f64;
    println!("bare producer {:>10.0} events/s", events / theirs.as_secs_f64());
    println!("KafkaLog      {:>10.0} events/s", events / ours.as_secs_f64());
    println!("ratio         {:>10.2}", theirs.as_secs_f64() / ours.as_secs_f64());
    Ok(())
}
