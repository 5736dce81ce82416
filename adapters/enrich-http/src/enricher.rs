use std::collections::HashMap;

use async_trait::async_trait;
use gosight_application::ports::{BoxError, EnricherError, Enrichment, EventEnricher};
use gosight_domain::Event;
use gosight_domain::decoded::DecodedEvent;
use serde_json::{Map, Value};

use crate::ADAPTER;
use crate::cache::{Answer, AnswerKey, Answers};
use crate::config::HttpEnricherConfig;
use crate::wire::Service;

/// Asks a service what it knows of events, and remembers what it said.
#[derive(Debug)]
pub struct HttpEnricher {
    name: String,
    service: Service,
    answers: Answers,
    max_batch: usize,
}

impl HttpEnricher {
    /// Asks the service of `config`. What it knows stands under `name` in the context of events.
    ///
    /// # Errors
    /// For a setting that cannot work, or when the certificates of the system cannot be read.
    pub fn new(name: impl Into<String>, config: &HttpEnricherConfig) -> Result<Self, BoxError> {
        config.validate()?;
        Ok(Self {
            name: name.into(),
            service: Service::new(config)?,
            answers: Answers::new(config.cache.clone()),
            max_batch: config.max_batch,
        })
    }

    /// Asks in batches, one after the other.
    async fn ask(&self, events: &[&Event]) -> Result<Vec<Answer>, EnricherError> {
        let mut answers = Vec::with_capacity(events.len());
        for batch in events.chunks(self.max_batch) {
            answers.extend(self.service.ask(batch).await?);
        }
        Ok(answers)
    }

    /// Asks about one event for each key that is not known.
    async fn ask_by_key(&self, events: &[DecodedEvent]) -> Result<Vec<Answer>, EnricherError> {
        let keys: Vec<Option<AnswerKey>> = events.iter().map(|event| self.answers.key_of(event)).collect();
        let mut known: HashMap<&AnswerKey, Answer> = HashMap::new();
        let mut unknown: Vec<(&AnswerKey, &Event)> = Vec::new();
        for (key, event) in keys.iter().zip(events).filter_map(|(key, event)| Some((key.as_ref()?, event))) {
            if known.contains_key(key) {
                continue;
            }
            if let Some(answer) = self.answers.get(key) {
                known.insert(key, answer);
            } else {
                // Its place is taken, so that it is asked about once.
                known.insert(key, None);
                unknown.push((key, event.event()));
            }
        }
        for batch in unknown.chunks(self.max_batch) {
            let events: Vec<&Event> = batch.iter().map(|(_, event)| *event).collect();
            for ((key, _), answer) in batch.iter().zip(self.service.ask(&events).await?) {
                self.answers.keep((*key).clone(), answer.clone());
                known.insert(key, answer);
            }
        }
        Ok(keys.iter().map(|key| known.get(key.as_ref()?).cloned().flatten()).collect())
    }

    fn enrichment(&self, answer: Answer) -> Result<Enrichment, EnricherError> {
        let Some(text) = answer else { return Ok(Enrichment::default()) };
        let known: Map<String, Value> =
            serde_json::from_str(&text).map_err(|error| EnricherError::transient(ADAPTER, error))?;
        let mut context = Map::new();
        if !known.is_empty() {
            context.insert(self.name.clone(), Value::Object(known));
        }
        Ok(Enrichment { context, ..Enrichment::default() })
    }
}

#[async_trait]
impl EventEnricher for HttpEnricher {
    fn name(&self) -> &str {
        &self.name
    }

    fn may_block(&self) -> bool {
        false
    }

    async fn enrich(&self, events: &[DecodedEvent]) -> Result<Vec<Enrichment>, EnricherError> {
        let answers = if self.answers.is_keyed() {
            self.ask_by_key(events).await?
        } else {
            let events: Vec<&Event> = events.iter().map(DecodedEvent::event).collect();
            self.ask(&events).await?
        };
        answers.into_iter().map(|answer| self.enrichment(answer)).collect()
    }
}
