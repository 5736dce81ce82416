use std::collections::HashMap;

use gosight_domain::rollup::{Count, HourlyRollup, RollupSlot};
use gosight_domain::time::HOUR_MS;
use gosight_domain::{Channel, Event, Hour};
use sqlx::Row;

use crate::store::bulk_statement::BulkStatement;
use crate::store::codec::{from_json, signed, visitor_bits};
use crate::store::rollup_ids::Slot;
use crate::store::writer::Transaction;

const FIND: BulkStatement = BulkStatement {
    head: "SELECT project, dimension, hour, event_type, channel, value, id FROM events_hourly
        WHERE (project, dimension, hour, event_type, channel, value) IN (VALUES ",
    columns: 6,
    tail: ")",
};

const ADD: BulkStatement = BulkStatement {
    head: "INSERT INTO events_hourly
        (id, project, dimension, hour, event_type, channel, value, total_count) VALUES ",
    columns: 8,
    tail: " ON CONFLICT (id) DO UPDATE SET total_count = total_count + excluded.total_count",
};

const ADD_VISITORS: BulkStatement = BulkStatement {
    head: "INSERT OR IGNORE INTO hourly_visitors (slot, visitor) VALUES ",
    columns: 2,
    tail: "",
};

/// Counts the events of a project and hour again: some of their rows are gone.
pub(in crate::store) async fn count_again(
    transaction: &mut Transaction<'_>,
    (project, hour): (i64, Hour),
) -> sqlx::Result<()> {
    for sql in [
        "DELETE FROM hourly_visitors WHERE slot IN (SELECT id FROM events_hourly WHERE project = ? AND hour = ?)",
        "DELETE FROM events_hourly WHERE project = ? AND hour = ?",
    ] {
        let delete = sqlx::query(sql).bind(project).bind(hour.index());
        delete.execute(&mut *transaction.connection).await?;
    }
    let start = hour.start().as_millis();
    let rows = sqlx::query("SELECT event FROM events WHERE project = ? AND timestamp >= ? AND timestamp < ?")
        .bind(project)
        .bind(start)
        .bind(start + HOUR_MS)
        .fetch_all(&mut *transaction.connection)
        .await?;
    let mut rollup = HourlyRollup::default();
    for row in &rows {
        rollup.add(&from_json::<Event>(row.try_get(0)?)?);
    }
    add(transaction, &rollup).await
}

/// Adds the counts of `rollup`.
pub(in crate::store) async fn add(
    transaction: &mut Transaction<'_>,
    rollup: &HourlyRollup,
) -> sqlx::Result<()> {
    let counts = flatten(transaction, rollup).await?;
    find_ids(transaction, &counts).await?;
    let mut lines: Vec<(i64, &Slot, &Count)> = counts
        .iter()
        .filter_map(|(slot, count)| Some((transaction.rollup_ids.get(slot)?, slot, *count)))
        .collect();
    lines.sort_unstable_by_key(|(id, ..)| *id);
    ADD.execute(transaction.connection, &lines, |query, (id, slot, count)| {
        query
            .bind(*id)
            .bind(slot.project)
            .bind(slot.dimension)
            .bind(slot.hour)
            .bind(slot.event_type.to_string())
            .bind(slot.channel)
            .bind(slot.value.to_string())
            .bind(signed(count.events))
    })
    .await?;
    let mut visitors: Vec<(i64, i64)> = lines
        .iter()
        .flat_map(|(id, _, count)| count.visitors.iter().map(|visitor| (*id, visitor_bits(*visitor))))
        .collect();
    visitors.sort_unstable();
    ADD_VISITORS
        .execute(transaction.connection, visitors, |query, (id, visitor)| query.bind(id).bind(visitor))
        .await
}

/// The lines that `rollup` adds to.
async fn flatten<'a>(
    transaction: &mut Transaction<'_>,
    rollup: &'a HourlyRollup,
) -> sqlx::Result<Vec<(Slot, &'a Count)>> {
    let mut lines = Vec::new();
    for (slot, counts) in rollup.slots() {
        let RollupSlot { project_id, hour, event_type, channel } = slot;
        let project = transaction.project(project_id).await?;
        let line = |dimension, value: &str| Slot {
            project,
            dimension,
            hour: hour.index(),
            event_type: event_type.clone(),
            channel: channel.map_or("", Channel::as_str),
            value: value.into(),
        };
        lines.push((line("", ""), &counts.total));
        for (dimension, values) in &counts.by_value {
            lines.extend(values.iter().map(|(value, count)| (line(dimension.as_str(), value), count)));
        }
    }
    Ok(lines)
}

/// Finds or makes the ids of all lines.
async fn find_ids(transaction: &mut Transaction<'_>, counts: &[(Slot, &Count)]) -> sqlx::Result<()> {
    let unknown: Vec<&Slot> = counts
        .iter()
        .map(|(slot, _)| slot)
        .filter(|slot| transaction.rollup_ids.get(slot).is_none())
        .collect();
    let found = FIND
        .fetch(transaction.connection, &unknown, |query, slot| {
            query
                .bind(slot.project)
                .bind(slot.dimension)
                .bind(slot.hour)
                .bind(slot.event_type.to_string())
                .bind(slot.channel)
                .bind(slot.value.to_string())
        })
        .await?;
    let mut stored: HashMap<(i64, String, i64, String, String, String), i64> = HashMap::new();
    for row in found {
        let name = (
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
            row.try_get(5)?,
        );
        stored.insert(name, row.try_get(6)?);
    }
    for slot in unknown {
        let name = (
            slot.project,
            slot.dimension.to_owned(),
            slot.hour,
            slot.event_type.to_string(),
            slot.channel.to_owned(),
            slot.value.to_string(),
        );
        match stored.get(&name) {
            Some(id) => transaction.rollup_ids.find(slot.clone(), *id),
            None => transaction.rollup_ids.create(slot.clone()),
        }
    }
    Ok(())
}
