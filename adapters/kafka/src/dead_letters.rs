//! Dead letters on a compacted topic.

mod index;
mod letter;
mod scan;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{
    DeadLetter, DeadLetters, DeadLettersError, Fence, LogError, LogPosition, PortError,
};
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use crate::KafkaLog;
use crate::config::{DEAD_LETTERS, KafkaConfig, Topic};
use crate::error::Failure;
use crate::producer::Outgoing;

use index::{Index, Place};
use scan::{Range, Scan};

/// Dead letters, as a compacted topic: the key of a letter is its position, and a key without a value takes the letter
/// back.
///
/// A letter that is put again while it is there changes nothing that is read: of the records under one key the first
/// since the last removal counts. Compaction keeps the latest of them, which differs at most in when and with which
/// words it was dead-lettered.
///
/// Listing reads the whole topic, for it is ordered by nothing but time; it is meant for a person, and holds no more
/// records in memory than it gives.
pub struct KafkaDeadLetters {
    log: KafkaLog,
    config: Arc<KafkaConfig>,
    topic: Topic,
}

/// How many letters a listing keeps in mind beyond those that it gives. When so many are removed that they do not
/// suffice, the topic is read once more.
const SPARE_PLACES: usize = 10_000;

impl KafkaDeadLetters {
    /// Letters in the topic of [`DEAD_LETTERS`], written with the producer of `log`.
    ///
    /// # Errors
    /// `Fatal` when no topic is configured for it.
    pub fn new(config: &KafkaConfig, log: &KafkaLog) -> Result<Self, DeadLettersError> {
        let topic = config.topic(DEAD_LETTERS);
        let topic = topic.ok_or_else(|| Failure::NoTopic(DEAD_LETTERS.to_owned()).fatal())?;
        Ok(Self { log: log.clone(), config: Arc::new(config.clone()), topic })
    }

    async fn send(&self, letters: &[Outgoing<'_>]) -> Result<(), DeadLettersError> {
        let sent =
            self.log.producer().deliver(&self.topic.name, letters, self.config.max_message_bytes()).await;
        sent.map_err(|error: LogError| match error {
            PortError::Transient { adapter, effect, retry_after, source } => {
                PortError::Transient { adapter, effect, retry_after, source }
            }
            PortError::Fatal { adapter, source } => PortError::Fatal { adapter, source },
            // Letters are cut to what the topic takes, so it was configured for less.
            PortError::Rejected { adapter, refused } => PortError::fatal(adapter, refused.to_string()),
        })
    }

    /// Where the first letters after `after` stand, by their positions.
    async fn places(
        &self,
        scan: &Scan,
        after: Option<&LogPosition>,
        limit: usize,
    ) -> Result<BTreeMap<LogPosition, Place>, DeadLettersError> {
        let mut found = BTreeMap::new();
        let mut after = after.cloned();
        loop {
            let mut index = Index::new(after.take(), limit - found.len() + SPARE_PLACES);
            scan.read(&scan.all().await?, |message| {
                index.see(message);
                ControlFlow::Continue(())
            })
            .await?;
            let (places, certain_before) = index.finish();
            found.extend(places);
            match certain_before {
                // Some that came after were let go, and too many of those kept were removed.
                Some(next) if found.len() < limit => after = Some(next),
                _ => break,
            }
        }
        while found.len() > limit {
            found.pop_last();
        }
        Ok(found)
    }

    async fn letters_at(
        &self,
        scan: &Scan,
        places: &BTreeMap<LogPosition, Place>,
    ) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let mut wanted: BTreeMap<Place, Option<DeadLetter>> =
            places.values().map(|place| (*place, None)).collect();
        let mut failed = None;
        scan.read(&ranges(places.values()), |message| {
            if let Some(slot) = wanted.get_mut(&Place::of(message)) {
                match letter::decode(message) {
                    Ok(letter) => *slot = Some(letter),
                    Err(error) => failed = Some(error),
                }
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await?;
        if let Some(error) = failed {
            return Err(error.fatal());
        }
        Ok(places.values().filter_map(|place| wanted.get_mut(place)?.take()).collect())
    }
}

/// From the first to the last place of each partition.
fn ranges<'a>(places: impl Iterator<Item = &'a Place>) -> Vec<Range> {
    let mut ranges: BTreeMap<i32, Range> = BTreeMap::new();
    for place in places {
        let Place { partition, offset } = *place;
        let range = ranges.entry(partition).or_insert(Range { partition, first: offset, end: offset + 1 });
        range.first = range.first.min(offset);
        range.end = range.end.max(offset + 1);
    }
    ranges.into_values().collect()
}

impl fmt::Debug for KafkaDeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaDeadLetters").field("topic", &self.topic.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl DeadLetters for KafkaDeadLetters {
    async fn put(&self, _fence: &Fence, letters: &[DeadLetter]) -> Result<(), DeadLettersError> {
        let encoded: Vec<(String, Vec<u8>)> =
            letters.iter().map(|letter| (letter.position.to_string(), letter::encode(letter))).collect();
        let outgoing: Vec<Outgoing<'_>> =
            encoded.iter().map(|(key, value)| Outgoing { key: key.as_bytes(), value: Some(value) }).collect();
        self.send(&outgoing).await
    }

    async fn list(
        &self,
        after: Option<&LogPosition>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let scan = Scan::new(&self.config, &self.topic)?;
        let places = self.places(&scan, after, limit).await?;
        let letters = self.letters_at(&scan, &places).await?;
        scan.close().await;
        Ok(letters)
    }

    async fn get(&self, position: &LogPosition) -> Result<Option<DeadLetter>, DeadLettersError> {
        let scan = Scan::new(&self.config, &self.topic)?;
        let key = position.to_string();
        let mut place = None;
        scan.read(&scan.all().await?, |message: &BorrowedMessage<'_>| {
            if message.key() == Some(key.as_bytes()) {
                place = message.payload().map(|_| place.unwrap_or_else(|| Place::of(message)));
            }
            ControlFlow::Continue(())
        })
        .await?;
        let places: BTreeMap<_, _> = place.map(|place| (position.clone(), place)).into_iter().collect();
        let letter = self.letters_at(&scan, &places).await?.pop();
        scan.close().await;
        Ok(letter)
    }

    async fn remove(&self, position: &LogPosition) -> Result<(), DeadLettersError> {
        let key = position.to_string();
        self.send(&[Outgoing { key: key.as_bytes(), value: None }]).await
    }
}
