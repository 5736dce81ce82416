use std::collections::HashMap;
use std::sync::Arc;

use gosight_domain::rollup::{Count, HourlyRollup, RollupSlot};
use gosight_domain::{Channel, EventName};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::store::codec::{signed, visitor_bits};
use crate::store::many::ManyRows;
use crate::store::writer::Transaction;

const FIND: ManyRows = ManyRows {
    head: "SELECT project, dimension, hour, event_type, channel, value, id FROM events_hourly
        WHERE (project, dimension, hour, event_type, channel, value) IN (VALUES ",
    columns: 6,
    tail: ")",
};

const ADD: ManyRows = ManyRows {
    head: "INSERT INTO events_hourly
        (id, project, dimension, hour, event_type, channel, value, total_count) VALUES ",
    columns: 8,
    tail: " ON CONFLICT (id) DO UPDATE SET total_count = total_count + excluded.total_count",
};

const ADD_VISITORS: ManyRows =
    ManyRows { head: "INSERT OR IGNORE INTO hourly_visitors (slot, visitor) VALUES ", columns: 2, tail: "" };

/// One line of `events_hourly`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Slot {
    project: i64,
    dimension: &'static str,
    hour: i64,
    event_type: EventName,
    channel: &'static str,
    value: Arc<str>,
}

/// The ids of lines that were written to lately. What a transaction adds is kept apart until it is committed.
#[derive(Debug, Default)]
pub(in crate::store) struct RollupIds {
    known: HashMap<Slot, i64>,
    fresh: HashMap<Slot, i64>,
    last: i64,
    last_fresh: i64,
}

/// Ids that are remembered; after that all are forgotten and looked up again as needed.
const MAX_KNOWN: usize = 100_000;

impl RollupIds {
    pub async fn load(connection: &mut SqliteConnection) -> sqlx::Result<Self> {
        let row = sqlx::query("SELECT coalesce(max(id), 0) FROM events_hourly").fetch_one(connection).await?;
        let last = row.try_get(0)?;
        Ok(Self { last, last_fresh: last, ..Self::default() })
    }

    pub fn keep(&mut self) {
        if self.known.len() > MAX_KNOWN {
            self.known.clear();
        }
        self.known.extend(self.fresh.drain());
        self.last = self.last_fresh;
    }

    pub fn forget(&mut self) {
        self.fresh.clear();
        self.last_fresh = self.last;
    }

    fn get(&self, slot: &Slot) -> Option<i64> {
        self.known.get(slot).or_else(|| self.fresh.get(slot)).copied()
    }

    fn create(&mut self, slot: Slot) {
        self.last_fresh += 1;
        self.fresh.insert(slot, self.last_fresh);
    }
}

/// Adds the counts of `rollup`.
pub(super) async fn add(transaction: &mut Transaction<'_>, rollup: &HourlyRollup) -> sqlx::Result<()> {
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
            Some(id) => drop(transaction.rollup_ids.fresh.insert(slot.clone(), *id)),
            None => transaction.rollup_ids.create(slot.clone()),
        }
    }
    Ok(())
}
