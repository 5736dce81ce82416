//! The conformance suites of the ports that are implemented here.

use std::sync::Arc;

use async_trait::async_trait;
use bytesize::ByteSize;
use gosight_application::logs;
use gosight_application::ports::DeadLetters;
use gosight_conformance::Keep;
use gosight_conformance::dead_letters::DeadLettersFixture;
use gosight_conformance::event_sink::{ReadBack, SinkFixture};
use gosight_conformance::factory::object;
use gosight_conformance::processed::process_all;
use gosight_conformance::record_log::LogFixture;
use gosight_domain::Event;
use gosight_kafka::{KafkaConfig, KafkaDeadLetters};
use gosight_memory::MemoryStore;
use uuid::Uuid;

use crate::harness::{Topics, shared};

mod record_log {
    gosight_conformance::record_log_suite!(super::log);
}
mod event_sink {
    gosight_conformance::event_sink_suite!(super::sink);
}
mod dead_letters {
    gosight_conformance::dead_letters_suite!(super::letters);
}

async fn log() -> LogFixture {
    let logs = ["conformance.records", "conformance.other"];
    let brokers = gosight_services::kafka_brokers();
    let topics = Topics::on(brokers, &logs, |config| config.max_record = ByteSize::kib(20)).await;
    let topics = Arc::new(topics);
    let for_sources = topics.clone();
    LogFixture {
        log: Arc::new(topics.log()),
        source: Box::new(move |group, log| shared(for_sources.source(group, log))),
        partitions: 3,
        too_large_bytes: 20 * 1024 + 1,
        keep: Box::new(topics),
    }
}

/// What the topic has, processed by a consumer that is new.
struct Processed(Arc<Topics>);

#[async_trait]
impl ReadBack for Processed {
    async fn events(&self) -> Vec<Event> {
        let store = Arc::new(MemoryStore::default());
        let group = format!("conformance-{}", Uuid::new_v4().simple());
        let source = shared(self.0.source(&group, logs::EVENTS));
        process_all(source, store.clone(), store.deduplicator()).await;
        store.events()
    }
}

fn too_large(event: Event) -> Event {
    let text = "x".repeat(30_000);
    Event { custom: object(&format!(r#"{{"text": "{text}"}}"#)), ..event }
}

async fn sink() -> SinkFixture {
    let brokers = gosight_services::kafka_brokers();
    let limit = |config: &mut KafkaConfig| config.max_record = ByteSize::kib(20);
    let topics = Arc::new(Topics::on(brokers, &[logs::EVENTS], limit).await);
    SinkFixture {
        sink: Arc::new(topics.log().events()),
        read_back: Box::new(Processed(topics.clone())),
        refused: too_large,
        keep: Box::new(topics),
    }
}

async fn letters() -> DeadLettersFixture {
    let topics = Arc::new(Topics::new(&[]).await);
    let open = |topics: &Topics| Arc::new(KafkaDeadLetters::new(&topics.config, &topics.log()).unwrap());
    DeadLettersFixture {
        letters: open(&topics),
        ledger: Arc::new(MemoryStore::default()),
        open_again: {
            let topics = topics.clone();
            Box::new(move || {
                Box::pin(async move { (open(&topics) as Arc<dyn DeadLetters>, Box::new(()) as Keep) })
            })
        },
        keep: Box::new(topics),
    }
}
