use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{
    EventCursor, EventQuery, GroupBy, GroupKey, Metrics, MetricsGroup, MetricsQuery, QueryError,
};
use gosight_domain::rollup::{Count, RollupSlot, SlotCounts};
use gosight_domain::{Channel, Event, ProjectId, SessionId};

use super::MemoryStore;

/// The groups of one slot, with their counts.
fn groups<'a>(slot: &RollupSlot, counts: &'a SlotCounts, group_by: GroupBy) -> Vec<(GroupKey, &'a Count)> {
    let value = |text: &str| GroupKey::Value(text.to_owned());
    let whole = |key| vec![(key, &counts.total)];
    match group_by {
        GroupBy::Channel => whole(value(slot.channel.map_or("", Channel::as_str))),
        GroupBy::Hour => whole(GroupKey::Time(slot.hour)),
        GroupBy::Day => whole(GroupKey::Time(slot.hour.day_start())),
        GroupBy::EventType => whole(value(slot.event_type.as_str())),
        GroupBy::Dimension(dimension) => {
            let values = counts.by_value.get(&dimension).into_iter().flatten();
            values.map(|(text, count)| (value(text), count)).collect()
        }
    }
}

#[async_trait]
impl EventQuery for MemoryStore {
    async fn metrics(&self, project_id: &ProjectId, query: &MetricsQuery) -> Result<Metrics, QueryError> {
        let state = self.lock();
        let wanted = |slot: &RollupSlot| {
            slot.project_id == *project_id
                && (query.from..query.to).contains(&slot.hour)
                && query.event_name.as_ref().is_none_or(|name| slot.event_type == *name)
                && query.channel.is_none_or(|channel| slot.channel == Some(channel))
        };
        let mut total = Count::default();
        let mut by_key: BTreeMap<GroupKey, Count> = BTreeMap::new();
        for (slot, counts) in state.rollup.slots().filter(|(slot, _)| wanted(slot)) {
            total.merge(&counts.total);
            for (key, count) in query.group_by.map(|by| groups(slot, counts, by)).unwrap_or_default() {
                by_key.entry(key).or_default().merge(count);
            }
        }
        let mut groups: Vec<MetricsGroup> = by_key
            .into_iter()
            .map(|(key, count)| MetricsGroup {
                key,
                total_count: count.events,
                unique_users: count.visitors.len() as u64,
            })
            .collect();
        if !query.group_by.is_some_and(GroupBy::is_time) {
            groups.sort_by_key(|group| Reverse(group.total_count));
        }
        groups.truncate(query.limit);
        Ok(Metrics { total_count: total.events, unique_users: total.visitors.len() as u64, groups })
    }

    async fn session_events(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
        after: Option<EventCursor>,
        limit: usize,
    ) -> Result<Vec<Event>, QueryError> {
        let state = self.lock();
        let mut events: Vec<Event> = state
            .events
            .iter()
            .map(|row| &row.event)
            .filter(|event| event.project_id == *project_id && event.session_id.as_ref() == Some(session_id))
            .filter(|event| after.is_none_or(|after| EventCursor::of(event) > after))
            .cloned()
            .collect();
        events.sort_by_key(EventCursor::of);
        events.truncate(limit);
        Ok(events)
    }
}
