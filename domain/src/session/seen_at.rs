use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::Event;
use crate::identity::EventId;
use crate::time::Timestamp;

/// When something was seen: by time, then as the server took it, with the event as tie-break so that no two are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeenAt {
    pub timestamp: Timestamp,
    pub sequence: u64,
    pub event_id: EventId,
}

impl SeenAt {
    pub(super) fn of(event: &Event) -> Self {
        Self { timestamp: event.timestamp, sequence: event.sequence, event_id: event.event_id }
    }
}

/// Stored as time and event, and the sequence after them where there is one.
impl Serialize for SeenAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(if self.sequence == 0 { 2 } else { 3 })?;
        tuple.serialize_element(&self.timestamp)?;
        tuple.serialize_element(&self.event_id)?;
        if self.sequence != 0 {
            tuple.serialize_element(&self.sequence)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for SeenAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SeenAtVisitor)
    }
}

struct SeenAtVisitor;

impl<'de> Visitor<'de> for SeenAtVisitor {
    type Value = SeenAt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time, an event and perhaps a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<SeenAt, A::Error> {
        let timestamp = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let event_id = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        Ok(SeenAt { timestamp, event_id, sequence: seq.next_element()?.unwrap_or(0) })
    }
}
