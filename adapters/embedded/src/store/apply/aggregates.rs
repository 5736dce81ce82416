use std::collections::{BTreeMap, HashMap};

use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use gosight_domain::ledger::BatchSpan;
use gosight_domain::{ProjectId, Timestamp};
use sqlx::Row;

use crate::store::bulk_statement::BulkStatement;
use crate::store::codec::{pack, signed, unpack};
use crate::store::writer::Transaction;

const FIND: BulkStatement = BulkStatement {
    head: "SELECT project, aggregation, key, window_start, value FROM aggregates
        WHERE (project, aggregation, key, window_start) IN (VALUES ",
    columns: 4,
    tail: ")",
};

const PUT: BulkStatement = BulkStatement {
    head: "INSERT OR REPLACE INTO aggregates (project, aggregation, key, window_start, value) VALUES ",
    columns: 5,
    tail: "",
};

type Name = (i64, String, String, i64);

/// Adds `values` to what is stored.
pub(in crate::store) async fn merge_aggregates(
    transaction: &mut Transaction<'_>,
    values: &BTreeMap<AggregateKey, AggregateValue>,
) -> sqlx::Result<()> {
    let mut named: Vec<(Name, AggregateValue)> = Vec::with_capacity(values.len());
    for (key, value) in values {
        let project = transaction.project(&key.project_id).await?;
        let name = (project, key.aggregation.to_string(), key.key.clone(), key.window_start.as_millis());
        named.push((name, value.clone()));
    }
    let found = FIND
        .fetch(transaction.connection, &named, |query, (name, _)| {
            query.bind(name.0).bind(name.1.clone()).bind(name.2.clone()).bind(name.3)
        })
        .await?;
    let mut stored: HashMap<Name, AggregateValue> = HashMap::with_capacity(found.len());
    for row in &found {
        let name = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let value: &[u8] = row.try_get(4)?;
        stored.insert(name, unpack(value)?);
    }
    let mut rows = Vec::with_capacity(named.len());
    for (name, value) in named {
        let mut joined = stored.remove(&name).unwrap_or_default();
        joined.merge(&value);
        rows.push((name, pack(&joined)?));
    }
    PUT.execute(transaction.connection, rows, |query, (name, value)| {
        query.bind(name.0).bind(name.1).bind(name.2).bind(name.3).bind(value)
    })
    .await
}

const PUT_UNCOMMITTED: BulkStatement = BulkStatement {
    head: "INSERT OR REPLACE INTO uncommitted_aggregates
        (log, log_partition, first_offset, project, aggregation, key, window_start, value) VALUES ",
    columns: 8,
    tail: "",
};

/// Keeps what the batch of `span` gives, so that it can be taken back.
pub(in crate::store) async fn put_uncommitted(
    transaction: &mut Transaction<'_>,
    span: &BatchSpan,
    values: &BTreeMap<AggregateKey, AggregateValue>,
) -> sqlx::Result<()> {
    let log = transaction.log(&span.log).await?;
    let mut rows = Vec::with_capacity(values.len());
    for (key, value) in values {
        rows.push((transaction.project(&key.project_id).await?, key, pack(value)?));
    }
    PUT_UNCOMMITTED
        .execute(transaction.connection, rows, |query, (project, key, value)| {
            query
                .bind(log)
                .bind(span.partition)
                .bind(signed(span.first))
                .bind(project)
                .bind(key.aggregation.to_string())
                .bind(key.key.clone())
                .bind(key.window_start.as_millis())
                .bind(value)
        })
        .await
}

/// Adds to the aggregates what batches of the partition gave that begin before `span`: they count for good.
pub(in crate::store) async fn take_in_committed(
    transaction: &mut Transaction<'_>,
    span: &BatchSpan,
) -> sqlx::Result<()> {
    let log = transaction.log(&span.log).await?;
    let rows = sqlx::query(
        "DELETE FROM uncommitted_aggregates WHERE log = ? AND log_partition = ? AND first_offset < ?
         RETURNING (SELECT project_id FROM projects WHERE id = project), aggregation, key, window_start, value",
    )
    .bind(log)
    .bind(span.partition)
    .bind(signed(span.first))
    .fetch_all(&mut *transaction.connection)
    .await?;
    let mut values: BTreeMap<AggregateKey, AggregateValue> = BTreeMap::new();
    for row in &rows {
        let (project_id, aggregation): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let key = AggregateKey {
            project_id: ProjectId::new(project_id).map_err(|error| sqlx::Error::Decode(error.into()))?,
            aggregation: aggregation.into(),
            key: row.try_get(2)?,
            window_start: Timestamp::from_millis(row.try_get(3)?),
        };
        values.entry(key).or_default().merge(&unpack(row.try_get(4)?)?);
    }
    merge_aggregates(transaction, &values).await
}
