use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gosight_domain::{ProjectId, Timestamp};

use super::{Fence, PortError};

/// A record that nothing can be done with until a person looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the record came from; names the letter.
    pub position: LogPosition,
    /// The tenant, when it is known.
    pub project_id: Option<ProjectId>,
    /// Which rule or step it failed, stable.
    pub reason: Arc<str>,
    /// What was said about it.
    pub detail: String,
    /// When it was dead-lettered.
    pub at: Timestamp,
    /// The record, bytes as they were.
    pub record: Bytes,
}

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// Name of the log.
    pub log: Arc<str>,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.log, self.partition, self.offset)
    }
}

/// Error of [`DeadLetters`].
pub type DeadLettersError = PortError;

/// Records that were dead-lettered.
///
/// # Contract
/// 1. A letter is named by its position: putting it again replaces nothing and adds nothing. One that was put survives
///    a crash.
/// 2. Letters are listed in order of their positions.
/// 3. Removing a letter that is not there is a success.
#[async_trait]
pub trait DeadLetters: fmt::Debug + Send + Sync {
    /// Keeps `letters`, whose records are of the fence's partition. A log such as Kafka cannot look at the fence where
    /// it writes; a late letter is then one more of a record that went in after all.
    async fn put(&self, fence: &Fence, letters: &[DeadLetter]) -> Result<(), DeadLettersError>;

    /// Up to `limit` letters after `after`.
    async fn list(
        &self,
        after: Option<&LogPosition>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, DeadLettersError>;

    /// The letter at `position`.
    async fn get(&self, position: &LogPosition) -> Result<Option<DeadLetter>, DeadLettersError>;

    /// Forgets the letter at `position`.
    async fn remove(&self, position: &LogPosition) -> Result<(), DeadLettersError>;
}
