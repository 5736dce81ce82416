use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// Memory that the bodies of all requests share. One permit stands for one byte.
#[derive(Debug, Clone)]
pub(crate) struct MemoryBudget {
    bytes: Arc<Semaphore>,
    /// The part of it that bodies may take while they come in and nobody knows yet whose they are.
    strangers: Arc<Semaphore>,
    wait: Duration,
}

/// Bodies of strangers take at most one part in so many, so that they cannot keep out those with a key.
const STRANGERS_PART: usize = 4;

/// No memory was free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overloaded;

impl From<Overloaded> for ApiError {
    fn from(_: Overloaded) -> Self {
        Self::overloaded()
    }
}

impl MemoryBudget {
    pub(crate) fn new(size: ByteSize, wait: Duration) -> Self {
        let bytes = usize::try_from(size.as_u64()).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let strangers = Arc::new(Semaphore::new(bytes / STRANGERS_PART));
        Self { bytes: Arc::new(Semaphore::new(bytes)), strangers, wait }
    }

    /// An empty share of what strangers may take, to be held beside a reservation while a body comes in.
    pub(crate) fn stranger(&self) -> Reservation {
        let budget = Self { bytes: self.strangers.clone(), ..self.clone() };
        Reservation { budget, held: None }
    }

    /// An empty share.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), held: None }
    }
}

/// One request's share of the memory, given back when dropped.
///
/// It grows as the bytes come, not by what a client announces: who announces much and sends nothing blocks nobody.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: MemoryBudget,
    held: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Takes `bytes` more, waiting a while if need be.
    pub(crate) async fn grow(&mut self, bytes: usize) -> Result<(), Overloaded> {
        let more = self.budget.bytes.clone().acquire_many_owned(permits(bytes));
        match tokio::time::timeout(self.budget.wait, more).await {
            Ok(Ok(permit)) => {
                self.add(permit);
                Ok(())
            }
            _ => Err(Overloaded),
        }
    }

    /// Gives back what is held beyond `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(held) = &mut self.held {
            drop(held.split(held.num_permits().saturating_sub(bytes)));
        }
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
    }

    /// How much is held.
    pub(crate) fn bytes(&self) -> usize {
        self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
