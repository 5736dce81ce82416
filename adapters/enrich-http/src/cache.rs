//! What the service has said, by the fields that decide it.

use std::sync::Arc;

use gosight_domain::ProjectId;
use gosight_domain::decoded::DecodedEvent;
use moka::sync::Cache;

use crate::config::HttpCacheConfig;

/// What decides an answer: the project, and the values of the fields of the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AnswerKey(ProjectId, Vec<String>);

/// An answer as JSON text; `None` where nothing is known. Text, because its size in memory is known.
pub(crate) type Answer = Option<Arc<str>>;

#[derive(Debug)]
pub(crate) struct Answers {
    config: HttpCacheConfig,
    known: Cache<AnswerKey, Answer>,
}

/// What an entry takes besides its texts, about.
const ENTRY_BYTES: usize = 128;

impl Answers {
    pub fn new(config: HttpCacheConfig) -> Self {
        let size = |AnswerKey(project_id, values): &AnswerKey, answer: &Answer| {
            let values: usize = values.iter().map(|value| value.len() + 24).sum();
            let bytes =
                ENTRY_BYTES + project_id.as_str().len() + values + answer.as_deref().map_or(0, str::len);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let known = Cache::builder()
            .weigher(size)
            .max_capacity(config.max_size.as_u64())
            .time_to_live(config.life)
            .build();
        Self { config, known }
    }

    /// Whether anything is remembered.
    pub fn is_keyed(&self) -> bool {
        !self.config.key.is_empty()
    }

    /// The key of an event; `None` when it has not all of its fields.
    pub fn key_of(&self, event: &DecodedEvent) -> Option<AnswerKey> {
        let fields = event.fields();
        let values = self
            .config
            .key
            .iter()
            .map(|path| fields.text(path).map(std::borrow::Cow::into_owned))
            .collect::<Option<_>>()?;
        Some(AnswerKey(event.event().project_id.clone(), values))
    }

    pub fn get(&self, key: &AnswerKey) -> Option<Answer> {
        self.known.get(key)
    }

    pub fn keep(&self, key: AnswerKey, answer: Answer) {
        self.known.insert(key, answer);
    }
}
