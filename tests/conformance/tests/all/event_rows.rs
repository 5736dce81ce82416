//! Rows of events as over a network, and wrong ones.

use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{
    CommitError, EventRows, EventRowsError, EventsOf, Fence, PortError, RowOfRecord, StoredEvent,
};
use gosight_domain::Event;
use gosight_domain::ledger::BatchSpan;
use gosight_memory::MemoryStore;

use crate::fences::LastFences;

/// What is wrong with rows of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The fence is a parameter that nobody uses.
    InsertIgnoresTheFence,
    /// A new process takes nothing for left over.
    EndIsNeverTold,
}

/// Rows of events, with a fault. Whoever inserts can be stopped before and after.
#[derive(Debug)]
pub struct WrongRows {
    pub right: Arc<MemoryStore>,
    pub fences: Arc<LastFences>,
    pub fault: Option<Fault>,
}

#[async_trait]
impl EventRows for WrongRows {
    async fn acquired(&self, fence: &Fence) -> Result<(), PortError> {
        EventRows::acquired(&*self.right, fence).await?;
        self.fences.note(fence);
        Ok(())
    }

    async fn insert(&self, fence: &Fence, events: &[&StoredEvent]) -> Result<(), CommitError> {
        tokio::task::yield_now().await;
        match self.fault {
            Some(Fault::InsertIgnoresTheFence) => {
                self.right.insert(&self.fences.good(fence), events).await?;
            }
            _ => self.right.insert(fence, events).await?,
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn rows(&self, fence: &Fence, span: &BatchSpan) -> Result<Vec<RowOfRecord>, EventRowsError> {
        self.right.rows(fence, span).await
    }

    async fn end(&self, fence: &Fence, from: u64) -> Result<Option<u64>, EventRowsError> {
        match self.fault {
            Some(Fault::EndIsNeverTold) => Ok(None),
            _ => EventRows::end(&*self.right, fence, from).await,
        }
    }

    async fn remove(&self, fence: &Fence, offsets: &[u64]) -> Result<(), EventRowsError> {
        EventRows::remove(&*self.right, fence, offsets).await
    }

    async fn each_of(
        &self,
        fence: &Fence,
        of: &EventsOf<'_>,
        visit: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), EventRowsError> {
        self.right.each_of(fence, of, visit).await
    }
}
