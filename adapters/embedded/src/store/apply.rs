//! Writes what a batch became, table by table, in a transaction.

mod aggregates;
mod dead_letters;
mod events;
mod ledger;
mod replay;
mod rollup;
mod sessions;

use std::collections::HashMap;

use gosight_application::kill_point;
use gosight_application::ports::{LogPartition, ProcessedBatch};
use gosight_domain::Session;
use gosight_domain::rollup::HourlyRollup;
use gosight_domain::session::SessionKey;

pub(super) use aggregates::{merge_aggregates, put_uncommitted, take_in_committed};
pub(super) use dead_letters::put_dead_letters;
pub(super) use events::insert_events;
pub(super) use ledger::{Entry, insert as insert_ledger_row, insert_entries as insert_ledger_entries};
pub(super) use replay::put_chunks;
pub(super) use rollup::{add as add_rollup, count_again};
pub(super) use sessions::{forget_sessions, load_sessions, number_sessions, put_sessions};

use super::writer::Transaction;

/// Writes everything that `batch` has, its events from row `first_row` on, and `rollup`, which counts them.
pub(super) async fn batch(
    transaction: &mut Transaction<'_>,
    batch: &ProcessedBatch,
    rollup: &HourlyRollup,
    first_row: i64,
) -> sqlx::Result<()> {
    let sessions = merge_sessions(transaction, batch).await?;
    let place = LogPartition::of(&batch.ledger.span);
    insert_events(transaction, &place, batch.events.iter(), first_row, &sessions).await?;
    add_rollup(transaction, rollup).await?;
    merge_aggregates(transaction, &batch.aggregates).await?;
    put_chunks(transaction, &batch.replay_chunks).await?;
    put_dead_letters(transaction, &batch.dead_letters).await?;
    insert_ledger_row(transaction, &batch.ledger).await?;
    kill_point("batch-in-transaction");
    Ok(())
}

/// Joins the batch's folds with what is stored of their sessions; gives these sessions' numbers.
async fn merge_sessions(
    transaction: &mut Transaction<'_>,
    batch: &ProcessedBatch,
) -> sqlx::Result<HashMap<SessionKey, i64>> {
    if batch.sessions.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<SessionKey> = batch.sessions.iter().map(Session::key).collect();
    let stored = load_sessions(transaction, &keys).await?;
    let numbers = put_sessions(transaction, batch.rules.merge(stored, &batch.sessions)).await?;
    Ok(keys.into_iter().zip(numbers).collect())
}
