//! Counts by hour, from which metrics are answered.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::event::{Channel, Event};
use crate::recent::Hashes;
use crate::text::{EventName, ProjectId};
use crate::time::Hour;

/// What counts are broken down by, besides event type and channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Path of the page.
    Path,
    /// Name of the browser.
    Browser,
    /// Name of the operating system.
    Os,
    /// Type of device.
    Device,
    /// Code of the country.
    Country,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 5] = [Self::Path, Self::Browser, Self::Os, Self::Device, Self::Country];
    /// Values longer than this are cut, in characters: a path is the one value that a client may make as long as it
    /// likes.
    pub const MAX_VALUE_CHARS: usize = 255;

    /// The name in requests and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Browser => "browser",
            Self::Os => "os",
            Self::Device => "device",
            Self::Country => "country",
        }
    }

    /// The value of `event`; empty when it has none.
    pub fn value_of(self, event: &Event) -> &str {
        let value = match self {
            Self::Path => Some(event.page.path.as_str()),
            Self::Browser => event.device.browser.as_deref(),
            Self::Os => event.device.os.as_deref(),
            Self::Device => event.device.device_type.as_deref(),
            Self::Country => event.geo.country.as_deref(),
        };
        cut(value.unwrap_or_default(), Self::MAX_VALUE_CHARS)
    }
}

/// The first `max_chars` characters of `text`.
pub(crate) fn cut(text: &str, max_chars: usize) -> &str {
    if text.len() <= max_chars {
        return text;
    }
    text.char_indices().nth(max_chars).map_or(text, |(at, _)| &text[..at])
}

/// A visitor in unique counts: 64 bits of a SHA-256, which is the same on every machine and in every release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Visitor(pub u64);

impl Visitor {
    /// The visitor with this id.
    pub fn of(id: &str) -> Self {
        thread_local!(static HASHES: Hashes = const { Hashes::new() });
        Self(HASHES.try_with(|hashes| hashes.get(id, hash)).unwrap_or_else(|_| hash(id)))
    }
}

fn hash(id: &str) -> u64 {
    let hash = Sha256::digest(id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first)
}

/// What one line of the rollup is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupSlot {
    /// The tenant.
    pub project_id: ProjectId,
    /// The hour of the events' timestamps.
    pub hour: Hour,
    /// The kind of event.
    pub event_type: EventName,
    /// Where the events came in from.
    pub channel: Option<Channel>,
}

impl RollupSlot {
    /// The slot that counts `event`.
    pub fn of(event: &Event) -> Self {
        Self {
            project_id: event.project_id.clone(),
            hour: event.timestamp.hour(),
            event_type: event.event_type.clone(),
            channel: event.channel,
        }
    }
}

/// Events and the visitors they are of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Events.
    pub events: u64,
    /// Different visitors; exact.
    pub visitors: HashSet<Visitor>,
}

impl Count {
    fn add(&mut self, visitor: Option<Visitor>) {
        self.events += 1;
        self.visitors.extend(visitor);
    }

    /// Adds the events and visitors of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.visitors.extend(&other.visitors);
    }
}

/// Counts of one slot: all of it, and by the values of each dimension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotCounts {
    /// All events of the slot.
    pub total: Count,
    /// The same events by value of each dimension.
    pub by_value: BTreeMap<Dimension, HashMap<Box<str>, Count>>,
}

/// Counts by hour of a set of events. A sum: each event must be added once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HourlyRollup {
    slots: HashMap<RollupSlot, SlotCounts>,
}

impl HourlyRollup {
    /// Counts `event`.
    pub fn add(&mut self, event: &Event) {
        let visitor = event.visitor().map(Visitor::of);
        let counts = self.slots.entry(RollupSlot::of(event)).or_default();
        counts.total.add(visitor);
        for dimension in Dimension::ALL {
            let value = dimension.value_of(event);
            let by_value = counts.by_value.entry(dimension).or_default();
            if let Some(count) = by_value.get_mut(value) {
                count.add(visitor);
            } else {
                by_value.entry(value.into()).or_default().add(visitor);
            }
        }
    }

    /// The slots with their counts, in no order.
    pub fn slots(&self) -> impl Iterator<Item = (&RollupSlot, &SlotCounts)> {
        self.slots.iter()
    }
}

impl<'a> FromIterator<&'a Event> for HourlyRollup {
    fn from_iter<I: IntoIterator<Item = &'a Event>>(events: I) -> Self {
        let mut rollup = Self::default();
        events.into_iter().for_each(|event| rollup.add(event));
        rollup
    }
}
