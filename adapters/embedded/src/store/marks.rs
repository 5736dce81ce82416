//! Which events are stored: a mark for each, in fjall.
//!
//! The ids of events are random, so an index of them in `SQLite` would touch as many pages as there are events in a
//! batch; an LSM tree takes them in stride. The marks are no second truth: they are written after the rows, without
//! waiting for the disk, together with the number of the last row that they cover. Rows after that are marked again
//! when the store is opened.
//!
//! Marks are kept by week, in a keyspace each, and forgotten week by week.

use std::sync::{PoisonError, RwLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use gosight_domain::time::DAY_MS;
use gosight_domain::{EventId, Timestamp};

/// Which event, in numbers: its id and its project's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MarkedEvent {
    pub event_id: EventId,
    pub project: i64,
}

/// Which record the event was stored from: log (by number), partition, offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub log: i64,
    pub partition: u32,
    pub offset: u64,
}

/// The marks of all stored events.
pub(crate) struct Marks {
    database: Database,
    meta: Keyspace,
    /// Weeks that have marks, latest first.
    weeks: RwLock<Vec<(i64, Keyspace)>>,
}

impl std::fmt::Debug for Marks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Marks")
    }
}

const WEEK_NAME: &str = "marks-week-";
const WEEK_MS: i64 = 7 * DAY_MS;
const LAST_ROW: &str = "last-row";
/// Memory for marks before they are written to tables, in bytes.
const MEMTABLE_BYTES: u64 = 8 << 20;

impl MarkedEvent {
    fn key(self) -> [u8; 24] {
        let mut key = [0; 24];
        key[..16].copy_from_slice(self.event_id.as_uuid().as_bytes());
        key[16..].copy_from_slice(&self.project.to_be_bytes());
        key
    }
}

impl Mark {
    fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&self.log.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.partition.to_be_bytes());
        bytes[12..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (log, rest) = bytes.split_first_chunk::<8>()?;
        let (partition, offset) = rest.split_first_chunk::<4>()?;
        Some(Self {
            log: i64::from_be_bytes(*log),
            partition: u32::from_be_bytes(*partition),
            offset: u64::from_be_bytes(offset.try_into().ok()?),
        })
    }
}

impl Marks {
    pub(crate) fn open(database: Database) -> fjall::Result<Self> {
        let meta = database.keyspace("marks", KeyspaceCreateOptions::default)?;
        let names = database.list_keyspace_names();
        let mut numbers: Vec<i64> =
            names.iter().filter_map(|name| name.strip_prefix(WEEK_NAME)?.parse().ok()).collect();
        numbers.sort_unstable_by_key(|week| std::cmp::Reverse(*week));
        let weeks: fjall::Result<Vec<_>> =
            numbers.into_iter().map(|week| Ok((week, keyspace(&database, week)?))).collect();
        Ok(Self { weeks: RwLock::new(weeks?), database, meta })
    }

    /// The record that `event` was stored from; `None` when it is not stored.
    pub(super) fn find(&self, event: MarkedEvent) -> fjall::Result<Option<Mark>> {
        let key = event.key();
        for (_, week) in self.weeks.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(value) = week.get(key)? {
                return Ok(Mark::parse(&value));
            }
        }
        Ok(None)
    }

    /// Marks events as stored; `last_row` is the last row that all marks together cover.
    pub(super) fn add(
        &self,
        events: impl IntoIterator<Item = (MarkedEvent, Mark)>,
        last_row: i64,
        now: Timestamp,
    ) -> fjall::Result<()> {
        let week = self.week(now.as_millis().div_euclid(WEEK_MS))?;
        let mut batch = self.database.batch();
        for (event, mark) in events {
            batch.insert(&week, event.key(), mark.to_bytes());
        }
        batch.insert(&self.meta, LAST_ROW, last_row.to_be_bytes());
        batch.commit()
    }

    /// Forgets the marks of events whose rows are about to go. All marks together cover the rows up to `last_row` then.
    pub(super) fn remove(
        &self,
        events: impl IntoIterator<Item = MarkedEvent>,
        last_row: i64,
    ) -> fjall::Result<()> {
        let mut batch = self.database.batch();
        let weeks = self.weeks.read().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            for (_, week) in weeks.iter() {
                batch.remove(week, event.key());
            }
        }
        batch.insert(&self.meta, LAST_ROW, last_row.to_be_bytes());
        batch.commit()
    }

    /// The last row that the marks cover.
    pub(super) fn last_row(&self) -> fjall::Result<i64> {
        let value = self.meta.get(LAST_ROW)?;
        Ok(value.and_then(|value| Some(i64::from_be_bytes(value.as_ref().try_into().ok()?))).unwrap_or(0))
    }

    /// Forgets all marks.
    pub(super) fn forget_all(&self) -> fjall::Result<()> {
        // A number that no row has: when this is cut short, the next start does it again.
        self.meta.insert(LAST_ROW, i64::MAX.to_be_bytes())?;
        self.forget_weeks(|_| true)?;
        self.meta.insert(LAST_ROW, 0i64.to_be_bytes())
    }

    fn week(&self, number: i64) -> fjall::Result<Keyspace> {
        let mut weeks = self.weeks.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, week)) = weeks.iter().find(|(known, _)| *known == number) {
            return Ok(week.clone());
        }
        let week = keyspace(&self.database, number)?;
        weeks.push((number, week.clone()));
        weeks.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        Ok(week)
    }

    /// Forgets the marks of weeks that ended before `before`.
    pub(super) fn forget(&self, before: Timestamp) -> fjall::Result<()> {
        let first_kept = before.as_millis().div_euclid(WEEK_MS);
        self.forget_weeks(|week| week < first_kept)
    }

    fn forget_weeks(&self, is_forgotten: impl Fn(i64) -> bool) -> fjall::Result<()> {
        let forgotten: Vec<(i64, Keyspace)> = {
            let mut weeks = self.weeks.write().unwrap_or_else(PoisonError::into_inner);
            weeks.extract_if(.., |(number, _)| is_forgotten(*number)).collect()
        };
        for (number, week) in forgotten {
            tracing::debug!(week = number, "old week of marks deleted");
            self.database.delete_keyspace(week)?;
        }
        Ok(())
    }
}

fn keyspace(database: &Database, week: i64) -> fjall::Result<Keyspace> {
    let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
    database.keyspace(&format!("{WEEK_NAME}{week}"), options)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn event(n: u128) -> MarkedEvent {
        MarkedEvent { event_id: EventId::from_uuid(Uuid::from_u128(n)), project: 1 }
    }

    fn mark(offset: u64) -> Mark {
        Mark { log: 2, partition: 3, offset }
    }

    #[test]
    fn marks_are_found_in_every_week_until_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::builder(dir.path()).open().unwrap();
        let marks = Marks::open(database.clone()).unwrap();
        let start = Timestamp::from_millis(1_795_176_000_000);
        for week in 0..4u8 {
            let now = start.plus_millis(i64::from(week) * WEEK_MS);
            marks.add([(event(week.into()), mark(week.into()))], week.into(), now).unwrap();
        }
        for marks in [marks, Marks::open(database).unwrap()] {
            for week in 0..4u8 {
                assert_eq!(marks.find(event(week.into())).unwrap(), Some(mark(week.into())));
            }
            assert_eq!(marks.find(MarkedEvent { project: 2, ..event(1) }).unwrap(), None);
            assert_eq!(marks.last_row().unwrap(), 3);
        }
    }

    #[test]
    fn old_weeks_are_forgotten_whole() {
        let dir = tempfile::tempdir().unwrap();
        let marks = Marks::open(Database::builder(dir.path()).open().unwrap()).unwrap();
        let start = Timestamp::from_millis(1_795_176_000_000);
        marks.add([(event(1), mark(1))], 1, start).unwrap();
        marks.add([(event(2), mark(2))], 2, start.plus_millis(2 * WEEK_MS)).unwrap();
        marks.forget(start).unwrap();
        assert!(marks.find(event(1)).unwrap().is_some(), "its week is not over");
        marks.forget(start.plus_millis(2 * WEEK_MS)).unwrap();
        assert_eq!(marks.find(event(1)).unwrap(), None);
        assert!(marks.find(event(2)).unwrap().is_some());
    }
}
