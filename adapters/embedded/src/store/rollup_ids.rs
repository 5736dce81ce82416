//! Which line of the hourly counts has which id.

use std::collections::HashMap;
use std::sync::Arc;

use gosight_domain::EventName;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

/// One line of `events_hourly`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub project: i64,
    pub dimension: &'static str,
    pub hour: i64,
    pub event_type: EventName,
    pub channel: &'static str,
    pub value: Arc<str>,
}

/// The ids of lines that were written to lately. What a transaction adds is kept apart until it is committed.
#[derive(Debug, Default)]
pub(super) struct RollupIds {
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

    pub fn get(&self, slot: &Slot) -> Option<i64> {
        self.known.get(slot).or_else(|| self.fresh.get(slot)).copied()
    }

    /// Notes the id of a line that the database has.
    pub fn find(&mut self, slot: Slot, id: i64) {
        self.fresh.insert(slot, id);
    }

    pub fn create(&mut self, slot: Slot) {
        self.last_fresh += 1;
        self.fresh.insert(slot, self.last_fresh);
    }
}
