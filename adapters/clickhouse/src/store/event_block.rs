use std::collections::BTreeMap;
use std::sync::Arc;

use gosight_application::ports::{LogPartition, StoredEvent};
use gosight_domain::rollup::Visitor;
use gosight_domain::{Channel, Event};
use time::OffsetDateTime;

use super::payload_columns;
use crate::block::Block;

/// Year and month. An insert over several would be several parts, of which a crash could leave some.
type Month = (i32, u8);

/// The events, each month in a block of its own, as rows of the partition `place`.
pub(super) fn blocks<'e>(place: &LogPartition, events: impl Iterator<Item = &'e StoredEvent>) -> Vec<Block> {
    let mut by_month: BTreeMap<Month, Vec<&StoredEvent>> = BTreeMap::new();
    for stored in events {
        by_month.entry(month(&stored.event)).or_default().push(stored);
    }
    by_month.into_values().map(|events| encode(place, &events)).collect()
}

/// Year and month in UTC, as `toYYYYMM` tells them apart.
fn month(event: &Event) -> Month {
    let seconds = event.timestamp.as_millis().div_euclid(1_000);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (time.year(), time.month().into())
}

fn encode(place: &LogPartition, events: &[&StoredEvent]) -> Block {
    let mut block = Block::new(events.len());
    put_identity(&mut block, events);
    put_page_and_device(&mut block, events);
    let each = || events.iter().map(|stored| &stored.event);
    block.texts("ip", each().map(|event| event.geo.ip.map(|ip| ip.to_string()).unwrap_or_default()));
    block.texts("country", each().map(|event| text(event.geo.country.as_ref())));
    block.texts("city", each().map(|event| text(event.geo.city.as_ref())));
    block.texts("library", each().map(|event| text(event.library.as_ref())));
    payload_columns::put(&mut block, events);
    block.texts("payload", each().map(|event| event.payload.as_str()));
    block.texts("custom", each().map(|event| event.custom.as_str()));
    block.texts("context", each().map(|event| event.context.as_str()));
    block.text_lists("routes", each().map(|event| event.routes.as_slice()));
    block.texts("log", each().map(|_| &*place.log));
    block.u32s("log_partition", each().map(|_| place.partition));
    block.u64s("log_offset", events.iter().map(|stored| stored.offset));
    block
}

fn put_identity(block: &mut Block, events: &[&StoredEvent]) {
    let each = || events.iter().map(|stored| &stored.event);
    block.texts("project_id", each().map(|event| event.project_id.as_str()));
    block.texts("session_id", each().map(|event| event.session_id.as_ref().map_or("", |id| id.as_str())));
    block.times("timestamp", each().map(|event| event.timestamp.as_millis()));
    block.uuids("event_id", each().map(|event| event.event_id.as_uuid()));
    block.texts("event_type", each().map(|event| event.event_type.as_str()));
    block.times("received_at", each().map(|event| event.received_at.as_millis()));
    block.u64s("sequence", each().map(|event| event.sequence));
    block.i64s("clock_skew_ms", each().map(|event| event.clock_skew_ms));
    block.texts("user_id", each().map(|event| event.user_id.as_ref().map_or("", |id| id.as_str())));
    block.texts("anonymous_id", each().map(|event| event.anonymous_id.as_ref().map_or("", |id| id.as_str())));
    let visitors: Vec<Option<u64>> =
        each().map(|event| event.visitor().map(|visitor| Visitor::of(visitor).0)).collect();
    block.optional_u64s("visitor", visitors.iter().copied());
    block.texts("channel", each().map(|event| event.channel.map_or("", Channel::as_str)));
    block.texts("campaign_id", each().map(|event| event.campaign_id.as_ref().map_or("", |id| id.as_str())));
    block.text_lists("tags", each().map(|event| event.tags.as_slice()));
}

fn put_page_and_device(block: &mut Block, events: &[&StoredEvent]) {
    let each = || events.iter().map(|stored| &stored.event);
    block.texts("url", each().map(|event| &event.page.url));
    block.texts("path", each().map(|event| &event.page.path));
    block.texts("title", each().map(|event| &event.page.title));
    block.texts("referrer", each().map(|event| &event.page.referrer));
    block.texts("browser", each().map(|event| text(event.device.browser.as_ref())));
    block.texts("browser_version", each().map(|event| text(event.device.browser_version.as_ref())));
    block.texts("os", each().map(|event| text(event.device.os.as_ref())));
    block.texts("os_version", each().map(|event| text(event.device.os_version.as_ref())));
    block.texts("device_type", each().map(|event| text(event.device.device_type.as_ref())));
    block.optional_u16s("screen_width", each().map(|event| event.device.screen_width));
    block.optional_u16s("screen_height", each().map(|event| event.device.screen_height));
    block.optional_u16s("viewport_width", each().map(|event| event.device.viewport_width));
    block.optional_u16s("viewport_height", each().map(|event| event.device.viewport_height));
}

fn text(text: Option<&Arc<str>>) -> &str {
    text.map_or("", |text| text)
}

#[cfg(test)]
mod tests {
    use gosight_conformance::factory::event;
    use gosight_domain::Timestamp;

    use super::*;

    #[test]
    fn months_are_told_apart_as_the_table_does() {
        let at = |ms: i64| month(&Event { timestamp: Timestamp::from_millis(ms), ..event(1, "click", 0) });
        // 2026-11-01T00:00Z, a month's first moment.
        let november = 1_793_491_200_000;
        assert_eq!(at(november), (2026, 11));
        assert_eq!(at(november - 1), (2026, 10));
        assert_eq!(at(-1), (1969, 12));
    }
}
