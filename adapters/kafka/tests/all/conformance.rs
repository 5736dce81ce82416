//! The conformance suites of the ports that are implemented here.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytesize::ByteSize;
use gosight_application::LogSink;
use gosight_application::codec::decode_event;
use gosight_conformance::dead_letters::DeadLettersFixture;
use gosight_conformance::event_sink::{ReadBack, SinkFixture};
use gosight_conformance::record_log::LogFixture;
use gosight_domain::Event;
use gosight_kafka::KafkaDeadLetters;

use crate::harness::{LOG, Topics, shared};

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

struct Reader(Arc<Topics>);

#[async_trait]
impl ReadBack for Reader {
    async fn events(&self) -> Vec<Event> {
        let mut seen = BTreeSet::new();
        let values = self.0.read_all(LOG).await.into_values().flatten();
        values
            .map(|value| decode_event(&value).unwrap())
            .filter(|event| seen.insert((event.project_id.clone(), event.event_id)))
            .collect()
    }
}

async fn sink() -> SinkFixture {
    let topics = Arc::new(Topics::new(&[LOG]).await);
    let sink = Arc::new(LogSink::new(Arc::new(topics.log()), LOG));
    SinkFixture { sink, read_back: Box::new(Reader(topics.clone())), keep: Box::new(topics) }
}

async fn letters() -> DeadLettersFixture {
    let topics = Topics::new(&[]).await;
    let letters = KafkaDeadLetters::new(&topics.config, &topics.log()).unwrap();
    DeadLettersFixture { letters: Arc::new(letters), keep: Box::new(topics) }
}
