use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use gosight_application::ports::{DeadLetter, DeadLetters, DeadLettersError, Fence, LogPosition};

/// Dead letters in memory.
#[derive(Debug, Default)]
pub struct MemoryDeadLetters(Mutex<BTreeMap<LogPosition, DeadLetter>>);

impl MemoryDeadLetters {
    /// Keeps those that are not kept yet.
    pub(crate) fn keep(&self, letters: &[DeadLetter]) {
        let mut known = self.lock();
        for letter in letters {
            known.entry(letter.position.clone()).or_insert_with(|| letter.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LogPosition, DeadLetter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    async fn put(&self, _fence: &Fence, letters: &[DeadLetter]) -> Result<(), DeadLettersError> {
        self.keep(letters);
        Ok(())
    }

    async fn list(
        &self,
        after: Option<&LogPosition>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self
            .lock()
            .range((start, Bound::Unbounded))
            .take(limit)
            .map(|(_, letter)| letter.clone())
            .collect())
    }

    async fn get(&self, position: &LogPosition) -> Result<Option<DeadLetter>, DeadLettersError> {
        Ok(self.lock().get(position).cloned())
    }

    async fn remove(&self, position: &LogPosition) -> Result<(), DeadLettersError> {
        self.lock().remove(position);
        Ok(())
    }
}
