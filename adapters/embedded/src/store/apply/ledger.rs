use gosight_domain::ledger::{LedgerRow, OutcomeCounts};

use sqlx::query::Query;

use crate::store::bulk_statement::BulkStatement;
use crate::store::codec::{signed, to_json};
use crate::store::writer::Transaction;

const INSERT_ENTRIES: BulkStatement = BulkStatement {
    head: "INSERT INTO ledger_entries (log, log_partition, first_offset, project, hour,
        polled, stored, duplicate, filtered, rejected, dead_lettered) VALUES ",
    columns: 11,
    tail: "",
};

/// What a row of the ledger says of one project (by number) and hour.
pub(in crate::store) struct Entry<'a> {
    pub project: Option<i64>,
    pub hour: i64,
    pub counts: &'a OutcomeCounts,
}

/// Which row entries belong to: log, partition, first offset.
pub(in crate::store) type RowName = (i64, u32, i64);

/// Writes the row of a batch.
pub(in crate::store) async fn insert(transaction: &mut Transaction<'_>, row: &LedgerRow) -> sqlx::Result<()> {
    let log = transaction.log(&row.span.log).await?;
    let name = (log, row.span.partition, signed(row.span.first));
    sqlx::query(
        "INSERT INTO ledger (log, log_partition, first_offset, last_offset, committed_at)
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(name.0)
    .bind(name.1)
    .bind(name.2)
    .bind(signed(row.span.last))
    .bind(transaction.now.as_millis())
    .execute(&mut *transaction.connection)
    .await?;
    let mut entries = Vec::with_capacity(row.entries.len());
    for entry in &row.entries {
        let project = match &entry.project_id {
            Some(project_id) => Some(transaction.project(project_id).await?),
            None => None,
        };
        entries.push(Entry { project, hour: entry.hour.index(), counts: &entry.counts });
    }
    insert_entries(transaction, name, &entries).await
}

/// Writes what the row called `name` says.
pub(in crate::store) async fn insert_entries(
    transaction: &mut Transaction<'_>,
    (log, partition, first): RowName,
    entries: &[Entry<'_>],
) -> sqlx::Result<()> {
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let OutcomeCounts { filtered, rejected, dead_lettered, .. } = entry.counts;
        rows.push((entry, [to_json(filtered)?, to_json(rejected)?, to_json(dead_lettered)?]));
    }
    INSERT_ENTRIES
        .execute(transaction.connection, rows, |query, (entry, reasons)| {
            let query = query
                .bind(log)
                .bind(partition)
                .bind(first)
                .bind(entry.project)
                .bind(entry.hour)
                .bind(signed(entry.counts.polled))
                .bind(signed(entry.counts.stored))
                .bind(signed(entry.counts.duplicate));
            reasons.into_iter().fold(query, Query::bind)
        })
        .await
}
