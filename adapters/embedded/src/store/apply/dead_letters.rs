use gosight_application::ports::DeadLetter;

use crate::store::bulk_statement::BulkStatement;
use crate::store::codec::signed;
use crate::store::writer::Transaction;

const PUT: BulkStatement = BulkStatement {
    head: "INSERT OR IGNORE INTO dead_letters
        (log, log_partition, log_offset, project_id, reason, detail, at, record) VALUES ",
    columns: 8,
    tail: "",
};

/// Keeps `letters` that are not kept yet.
pub(in crate::store) async fn put_dead_letters(
    transaction: &mut Transaction<'_>,
    letters: &[DeadLetter],
) -> sqlx::Result<()> {
    PUT.execute(transaction.connection, letters, |query, letter| {
        query
            .bind(letter.position.log.to_string())
            .bind(letter.position.partition)
            .bind(signed(letter.position.offset))
            .bind(letter.project_id.as_ref().map(ToString::to_string))
            .bind(letter.reason.to_string())
            .bind(letter.detail.clone())
            .bind(letter.at.as_millis())
            .bind(letter.record.to_vec())
    })
    .await
}
