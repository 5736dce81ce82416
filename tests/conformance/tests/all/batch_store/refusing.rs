//! Wrong stores of batches with a row that is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gosight_application::ports::{
    BatchStore, CommitError, Committed, Nothing, PortError, ProcessedBatch, RefusedRows,
};
use gosight_conformance::refused_rows::{RefusingFixture, cases};
use gosight_conformance::steps::StepsFixture;
use gosight_domain::{Event, EventName};
use gosight_memory::MemoryStore;

use super::parts::{store_chunks_and_letters, store_events};
use crate::harness::wrong;

wrong! { cases(), fixture:
    4 a_store_that_keeps_half_of_the_events_is_noticed(Fault::KeepsWhatComesBefore):
        a_batch_with_a_refused_row_stores_nothing;
    4 a_store_that_keeps_chunks_and_dead_letters_is_noticed(Fault::KeepsChunksAndLetters):
        a_batch_with_a_refused_row_stores_nothing;
    4 a_store_that_leaves_the_bad_row_out_is_noticed(Fault::LeavesTheBadRowOut):
        a_batch_with_a_refused_row_stores_nothing;
    4 a_store_that_names_a_good_row_is_noticed(Fault::NamesAGoodRow):
        a_batch_with_a_refused_row_stores_nothing;
    4 a_store_that_tries_for_ever_is_noticed(Fault::RefusedIsTransient):
        a_batch_with_a_refused_row_stores_nothing;
}

/// What is wrong with a store that refuses a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Rows are inserted one by one until one is refused.
    KeepsWhatComesBefore,
    /// Other tables have their rows before the events are refused.
    KeepsChunksAndLetters,
    /// The call is taken for one that accepts the others.
    LeavesTheBadRowOut,
    /// Places are counted from 1.
    NamesAGoodRow,
    /// Every failure of an insert is tried again.
    RefusedIsTransient,
}

/// A store that refuses a row, with a fault.
#[derive(Debug)]
struct WrongRefusals {
    right: Arc<MemoryStore>,
    fault: Option<Fault>,
}

impl WrongRefusals {
    async fn refuse(&self, batch: &ProcessedBatch, mut rows: RefusedRows) -> Result<Committed, CommitError> {
        let bad = rows.offsets.keys().next().copied().unwrap_or_default();
        match self.fault {
            Some(Fault::KeepsWhatComesBefore) => store_events(&self.right, batch, bad).await?,
            Some(Fault::KeepsChunksAndLetters) => store_chunks_and_letters(&self.right, batch).await?,
            Some(Fault::LeavesTheBadRowOut) => {
                let mut rest = batch.clone();
                rest.events.retain(|stored| stored.offset != bad);
                self.right.commit(&rest).await?;
            }
            Some(Fault::NamesAGoodRow) => {
                rows.offsets =
                    std::mem::take(&mut rows.offsets).into_iter().map(|(n, why)| (n + 1, why)).collect();
            }
            Some(Fault::RefusedIsTransient) => return Err(CommitError::transient("wrong", rows.reason)),
            None => {}
        }
        Err(PortError::Rejected { adapter: "wrong", refused: rows })
    }
}

#[async_trait]
impl BatchStore for WrongRefusals {
    async fn next_offsets(&self, log: &str) -> Result<BTreeMap<u32, u64>, PortError<Nothing>> {
        BatchStore::next_offsets(&*self.right, log).await
    }

    async fn commit(&self, batch: &ProcessedBatch) -> Result<Committed, CommitError> {
        match self.right.commit(batch).await {
            Err(PortError::Rejected { refused, .. }) => self.refuse(batch, refused).await,
            done => done,
        }
    }
}

fn refused(event: Event) -> Event {
    Event { event_type: EventName::new("refused").expect("a valid name"), ..event }
}

fn fixture(fault: Option<Fault>) -> RefusingFixture {
    let right = Arc::new(MemoryStore::refusing("refused"));
    let batches = Arc::new(WrongRefusals { right: right.clone(), fault });
    let steps = StepsFixture::over(&right, right.dead_letters(), Box::new(()));
    RefusingFixture { store: steps.into_store(batches, right.deduplicator()), refused }
}
