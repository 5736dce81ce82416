//! Replays what was dead-lettered, as it is or repaired.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{DecodeError, chunk_record, decode_chunk, decode_event, encode_event};
use crate::logs;
use crate::ports::{DeadLetters, DeadLettersError, LogError, LogPosition, Record, RecordLog};

/// Why a letter was not put through again. It is kept.
#[derive(Debug, thiserror::Error)]
pub enum ReplayLetterError {
    /// There is none at this position.
    #[error("there is no dead letter {0}")]
    NotFound(LogPosition),
    /// The record would be dead-lettered again.
    #[error("the record cannot be read, and would be dead-lettered again: {0}; repair it first")]
    Unreadable(#[from] DecodeError),
    /// Nothing reads this log.
    #[error("records of {0} are not processed")]
    OtherLog(Arc<str>),
    /// The letters failed.
    #[error(transparent)]
    Letters(#[from] DeadLettersError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Puts dead letters back into the logs that they came from.
///
/// The record is appended first and the letter removed after. When the latter fails the letter is there still, and may
/// be put through a second time: its event counts once by its id, a chunk by its place.
#[derive(Debug, Clone)]
pub struct ReplayLetters {
    letters: Arc<dyn DeadLetters>,
    log: Arc<dyn RecordLog>,
}

impl ReplayLetters {
    /// Takes from `letters` and appends to `log`.
    pub fn new(letters: Arc<dyn DeadLetters>, log: Arc<dyn RecordLog>) -> Self {
        Self { letters, log }
    }

    /// Puts the letter at `position` through again; with `repaired` in place of its record.
    ///
    /// # Errors
    /// [`ReplayLetterError`]; after [`Log`](ReplayLetterError::Log) with an unknown effect it may have gone through.
    pub async fn replay(
        &self,
        position: &LogPosition,
        repaired: Option<Bytes>,
    ) -> Result<(), ReplayLetterError> {
        let letter = self.letters.get(position).await?;
        let letter = letter.ok_or_else(|| ReplayLetterError::NotFound(position.clone()))?;
        let record = record(&position.log, repaired.unwrap_or(letter.record))?;
        self.log.append(&position.log, vec![record]).await?;
        Ok(self.letters.remove(position).await?)
    }
}

/// `value` as a record of `log`, if that is what it is.
fn record(log: &Arc<str>, value: Bytes) -> Result<Record, ReplayLetterError> {
    match &**log {
        logs::EVENTS => {
            let event = decode_event(&value)?;
            encode_event(event.event()).map_err(|error| DecodeError::Invalid(error).into())
        }
        logs::REPLAY => Ok(chunk_record(&decode_chunk(&value)?.session_id, value)),
        _ => Err(ReplayLetterError::OtherLog(log.clone())),
    }
}
