use std::collections::BTreeMap;

use gosight_application::ports::LogPosition;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use super::letter;

/// Where a letter stands in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl Place {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        Self { partition: message.partition(), offset: message.offset() }
    }
}

/// The first letters after a position, found by reading the topic in its own order.
///
/// Letters beyond the capacity are let go. Whether those are there is then not known, so only what lies before the
/// first of them is certain: a removal may come after.
pub(super) struct Index {
    after: Option<LogPosition>,
    capacity: usize,
    places: BTreeMap<LogPosition, Place>,
    first_let_go: Option<LogPosition>,
}

impl Index {
    pub(super) fn new(after: Option<LogPosition>, capacity: usize) -> Self {
        Self { after, capacity, places: BTreeMap::new(), first_let_go: None }
    }

    pub(super) fn see(&mut self, message: &BorrowedMessage<'_>) {
        let key = message.key().unwrap_or_default();
        let Some(position) = letter::parse_position(key) else {
            tracing::warn!(place = ?Place::of(message), "record skipped, not a dead letter");
            return;
        };
        self.note(position, message.payload().map(|_| Place::of(message)));
    }

    /// A letter was put, or with no place removed.
    fn note(&mut self, position: LogPosition, place: Option<Place>) {
        if self.after.as_ref().is_some_and(|after| position <= *after) || !self.is_certain(&position) {
            return;
        }
        let Some(place) = place else {
            self.places.remove(&position);
            return;
        };
        // The first since the last removal counts.
        self.places.entry(position).or_insert(place);
        if self.places.len() > self.capacity
            && let Some((last, _)) = self.places.pop_last()
        {
            self.first_let_go = Some(last);
        }
    }

    fn is_certain(&self, position: &LogPosition) -> bool {
        self.first_let_go.as_ref().is_none_or(|first| position < first)
    }

    /// The letters that are certain, and when there may be more, after which position to look for them.
    pub(super) fn finish(self) -> (BTreeMap<LogPosition, Place>, Option<LogPosition>) {
        // Whatever lies before the first let go was seen whole; looking goes on just before that one.
        let go_on = self.first_let_go.as_ref().map(before);
        (self.places, go_on)
    }
}

/// The position that nothing lies between and `position`.
fn before(position: &LogPosition) -> LogPosition {
    let LogPosition { log, partition, offset } = position.clone();
    match (partition, offset) {
        (_, 1..) => LogPosition { log, partition, offset: offset - 1 },
        (1.., 0) => LogPosition { log, partition: partition - 1, offset: u64::MAX },
        (0, 0) => position.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: u32, offset: u64) -> LogPosition {
        LogPosition { log: "l".into(), partition, offset }
    }

    fn place(offset: i64) -> Place {
        Place { partition: 0, offset }
    }

    fn index(after: Option<LogPosition>, capacity: usize, notes: &[(u64, Option<i64>)]) -> Index {
        let mut index = Index::new(after, capacity);
        for &(position, offset) in notes {
            index.note(at(0, position), offset.map(place));
        }
        index
    }

    fn offsets(index: Index) -> (Vec<(u64, i64)>, Option<LogPosition>) {
        let (places, next) = index.finish();
        (places.into_iter().map(|(position, place)| (position.offset, place.offset)).collect(), next)
    }

    #[test]
    fn the_first_since_the_last_removal_counts() {
        let notes =
            [(5, Some(0)), (5, Some(1)), (7, Some(2)), (7, None), (7, Some(4)), (8, Some(5)), (8, None)];
        assert_eq!(offsets(index(None, 10, &notes)), (vec![(5, 0), (7, 4)], None));
    }

    #[test]
    fn only_letters_after_a_position_are_kept() {
        let notes = [(5, Some(0)), (6, Some(1)), (7, Some(2))];
        assert_eq!(offsets(index(Some(at(0, 6)), 10, &notes)), (vec![(7, 2)], None));
    }

    #[test]
    fn what_was_let_go_is_looked_for_again() {
        let notes = [(1, Some(0)), (2, Some(1)), (3, Some(2)), (4, Some(3)), (1, None), (3, None)];
        // 3 and 4 did not fit; 1 was removed afterwards. Certain is what lies before 3.
        assert_eq!(offsets(index(None, 2, &notes)), (vec![(2, 1)], Some(at(0, 2))));
        assert_eq!(offsets(index(Some(at(0, 2)), 2, &notes)), (vec![(4, 3)], None));
    }

    #[test]
    fn a_look_goes_on_before_what_was_let_go() {
        assert_eq!(before(&at(1, 5)), at(1, 4));
        assert_eq!(before(&at(1, 0)), at(0, u64::MAX));
        assert_eq!(before(&at(0, 1)), at(0, 0));
    }
}
