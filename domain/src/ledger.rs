//! The ledger: what became of every record that was taken from a log.
//!
//! Each processed batch writes one [`LedgerRow`] together with its results. The rows' spans join without gap or
//! overlap, and in each row *polled = stored + duplicate + filtered + rejected + dead-lettered*, so at any moment
//! it can be shown that nothing was lost and nothing counted twice.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::text::ProjectId;
use crate::time::Hour;

/// A stretch of one partition of a log: what one batch covers. Also the batch's identity, the same at every delivery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchSpan {
    /// Name of the log (a Kafka topic).
    pub log: Arc<str>,
    /// Partition of the log.
    pub partition: u32,
    /// First offset covered.
    pub first: u64,
    /// Last offset covered.
    pub last: u64,
}

impl BatchSpan {
    /// The offset after the span.
    pub fn next(&self) -> u64 {
        self.last + 1
    }

    /// Offsets covered.
    pub fn len(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the span stands to a ledger that ends at `ledger_end`; `None` is a ledger without rows, which may start
    /// anywhere.
    ///
    /// # Errors
    /// [`NotJoined`] when the span overlaps the ledger in part, or leaves a gap after it.
    pub fn join(&self, ledger_end: Option<u64>) -> Result<Join, NotJoined> {
        match ledger_end {
            Some(end) if self.next() <= end => Ok(Join::Covered),
            Some(end) if self.first != end => Err(NotJoined { span: self.clone(), end }),
            _ => Ok(Join::Next),
        }
    }
}

/// How a span stands to the end of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// It comes next.
    Next,
    /// The ledger covers all of it already.
    Covered,
}

/// A span that does not join the ledger: somebody else wrote, or records are missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{span} does not join the ledger, which ends at {end}")]
pub struct NotJoined {
    /// The span.
    pub span: BatchSpan,
    /// The offset after the last one that the ledger covers.
    pub end: u64,
}

impl fmt::Display for BatchSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}-{}", self.log, self.partition, self.first, self.last)
    }
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the store.
    Stored,
    /// Its event is in the store already.
    Duplicate,
    /// A filter rule, named here, blocked it.
    Filtered(Arc<str>),
    /// It was refused, for the reason named here, and reported.
    Rejected(Arc<str>),
    /// It was dead-lettered for a person, for the reason named here.
    DeadLettered(Arc<str>),
}

/// How many records became what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutcomeCounts {
    /// Records taken from the log.
    pub polled: u64,
    /// Records whose event is in the store because of them.
    pub stored: u64,
    /// Records whose event was in the store already.
    pub duplicate: u64,
    /// Records that a filter rule blocked, by rule.
    pub filtered: BTreeMap<Arc<str>, u64>,
    /// Records that were refused, by reason.
    pub rejected: BTreeMap<Arc<str>, u64>,
    /// Records that were dead-lettered, by reason.
    pub dead_lettered: BTreeMap<Arc<str>, u64>,
}

impl OutcomeCounts {
    /// Counts one record.
    pub fn add(&mut self, outcome: &Outcome) {
        self.polled += 1;
        match outcome {
            Outcome::Stored => self.stored += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Filtered(rule) => *self.filtered.entry(rule.clone()).or_default() += 1,
            Outcome::Rejected(reason) => *self.rejected.entry(reason.clone()).or_default() += 1,
            Outcome::DeadLettered(reason) => *self.dead_lettered.entry(reason.clone()).or_default() += 1,
        }
    }

    /// Adds the counts of other records.
    pub fn merge(&mut self, other: &Self) {
        self.polled += other.polled;
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        for (mine, theirs) in [
            (&mut self.filtered, &other.filtered),
            (&mut self.rejected, &other.rejected),
            (&mut self.dead_lettered, &other.dead_lettered),
        ] {
            for (reason, count) in theirs {
                *mine.entry(reason.clone()).or_default() += count;
            }
        }
    }

    /// Whether every record that was polled became exactly one thing.
    pub fn balances(&self) -> bool {
        let by_reason = [&self.filtered, &self.rejected, &self.dead_lettered];
        let set_aside: u64 = by_reason.into_iter().flat_map(BTreeMap::values).sum();
        self.polled == self.stored + self.duplicate + set_aside
    }
}

/// What a row says about the records of one project and hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The tenant; `None` for records too broken to tell.
    pub project_id: Option<ProjectId>,
    /// Hour in which the server received the records; for broken ones, in which they were processed.
    pub hour: Hour,
    /// What became of them.
    pub counts: OutcomeCounts,
}

/// The row of one processed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// What the batch covers.
    pub span: BatchSpan,
    /// What became of its records, by project and hour.
    pub entries: Vec<LedgerEntry>,
}

impl LedgerRow {
    /// A row with no records yet.
    pub fn new(span: BatchSpan) -> Self {
        Self { span, entries: Vec::new() }
    }

    /// Writes down what became of one record.
    pub fn record(&mut self, project_id: Option<&ProjectId>, hour: Hour, outcome: &Outcome) {
        let known = self
            .entries
            .iter_mut()
            .rev()
            .find(|entry| entry.hour == hour && entry.project_id.as_ref() == project_id);
        if let Some(entry) = known {
            entry.counts.add(outcome);
            return;
        }
        let mut counts = OutcomeCounts::default();
        counts.add(outcome);
        self.entries.push(LedgerEntry { project_id: project_id.cloned(), hour, counts });
    }

    /// All counts of the row together.
    pub fn total(&self) -> OutcomeCounts {
        let mut total = OutcomeCounts::default();
        for entry in &self.entries {
            total.merge(&entry.counts);
        }
        total
    }
}

/// How the spans of one partition join.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// First offset of the first span.
    pub start: u64,
    /// The offset after the last span.
    pub end: u64,
    /// Stretches that no span covers, as first and last offset.
    pub gaps: Vec<(u64, u64)>,
    /// Stretches that more than one span covers, as first and last offset.
    pub overlaps: Vec<(u64, u64)>,
}

impl Coverage {
    /// Joins spans of one partition, given as first and last offset in order of the first.
    pub fn of(spans: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut spans = spans.into_iter();
        let Some((start, last)) = spans.next() else { return Self::default() };
        let mut coverage = Self { start, end: last + 1, ..Self::default() };
        for (first, last) in spans {
            if first > coverage.end {
                coverage.gaps.push((coverage.end, first - 1));
            } else if first < coverage.end {
                coverage.overlaps.push((first, last.min(coverage.end - 1)));
            }
            coverage.end = coverage.end.max(last + 1);
        }
        coverage
    }

    /// Offsets that at least one span covers.
    pub fn covered(&self) -> u64 {
        let missing: u64 = self.gaps.iter().map(|(first, last)| last - first + 1).sum();
        self.end - self.start - missing
    }

    /// Whether the spans join without gap or overlap.
    pub fn is_whole(&self) -> bool {
        self.gaps.is_empty() && self.overlaps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_join_are_whole() {
        let coverage = Coverage::of([(0, 9), (10, 10), (11, 99)]);
        assert_eq!((coverage.start, coverage.end), (0, 100));
        assert!(coverage.is_whole());
        assert_eq!(coverage.covered(), 100);
        assert!(Coverage::of([]).is_whole());
        assert_eq!(Coverage::of([]).covered(), 0);
    }

    #[test]
    fn gaps_and_overlaps_are_named() {
        let coverage = Coverage::of([(5, 9), (8, 12), (20, 21), (20, 20)]);
        assert_eq!(coverage.gaps, [(13, 19)]);
        assert_eq!(coverage.overlaps, [(8, 9), (20, 20)]);
        assert_eq!((coverage.start, coverage.end), (5, 22));
        assert_eq!(coverage.covered(), 10);
    }

    #[test]
    fn a_span_joins_where_the_ledger_ends() {
        let span = BatchSpan { log: "l".into(), partition: 0, first: 10, last: 19 };
        assert_eq!(span.join(None), Ok(Join::Next), "the first span may start anywhere");
        assert_eq!(span.join(Some(10)), Ok(Join::Next));
        for end in [20, 21, 1_000] {
            assert_eq!(span.join(Some(end)), Ok(Join::Covered), "{end}");
        }
        for end in [0, 9, 11, 19] {
            let error = span.join(Some(end)).unwrap_err();
            assert_eq!(error.to_string(), format!("l/0/10-19 does not join the ledger, which ends at {end}"));
        }
    }

    #[test]
    fn every_outcome_is_counted_once() {
        let mut row = LedgerRow::new(BatchSpan { log: "l".into(), partition: 0, first: 0, last: 5 });
        let project = ProjectId::new("p").unwrap();
        let hour = Hour::from_index(1);
        for outcome in [
            Outcome::Stored,
            Outcome::Stored,
            Outcome::Duplicate,
            Outcome::Filtered("bot".into()),
            Outcome::Rejected("conflict".into()),
        ] {
            row.record(Some(&project), hour, &outcome);
        }
        row.record(None, hour, &Outcome::DeadLettered("not_json".into()));
        assert_eq!(row.entries.len(), 2);
        let total = row.total();
        assert_eq!((total.polled, total.stored, total.duplicate), (6, 2, 1));
        assert!(total.balances());
        assert!(!OutcomeCounts { polled: 1, ..OutcomeCounts::default() }.balances());
    }
}
