use std::collections::{BTreeMap, HashMap};

use gosight_domain::aggregate::{AggregateKey, AggregateValue};
use sqlx::Row;

use crate::store::codec::{pack, unpack};
use crate::store::many::ManyRows;
use crate::store::writer::Transaction;

const FIND: ManyRows = ManyRows {
    head: "SELECT project, aggregation, key, window_start, value FROM aggregates
        WHERE (project, aggregation, key, window_start) IN (VALUES ",
    columns: 4,
    tail: ")",
};

const PUT: ManyRows = ManyRows {
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
