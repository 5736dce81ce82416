//! Writes a processed batch, table by table, in one transaction.

mod aggregates;
mod dead_letters;
mod events;
mod ledger;
mod replay;
pub(super) mod rollup;
mod sessions;

use gosight_application::kill_point;
use gosight_application::ports::ProcessedBatch;
use gosight_domain::insight::InsightThresholds;
use gosight_domain::rollup::HourlyRollup;

pub(super) use aggregates::merge_aggregates;
pub(super) use dead_letters::put_dead_letters;
pub(super) use ledger::{Entry, insert_entries as insert_ledger_entries};
pub(super) use replay::put_chunks;
pub(super) use sessions::{SessionRow, merge_sessions, store_sessions, whole_session};

use super::writer::Transaction;

/// Writes everything that `batch` has, its events from row `first_row` on, and `rollup`, which counts them.
pub(super) async fn batch(
    transaction: &mut Transaction<'_>,
    batch: &ProcessedBatch,
    rollup: &HourlyRollup,
    first_row: i64,
    thresholds: &InsightThresholds,
) -> sqlx::Result<()> {
    let sessions = merge_sessions(transaction, &batch.sessions, thresholds).await?;
    events::insert(transaction, batch, first_row, &sessions).await?;
    rollup::add(transaction, rollup).await?;
    merge_aggregates(transaction, &batch.aggregates).await?;
    put_chunks(transaction, &batch.replay_chunks).await?;
    put_dead_letters(transaction, &batch.dead_letters).await?;
    ledger::insert(transaction, &batch.ledger).await?;
    kill_point("batch-in-transaction");
    Ok(())
}
