use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;
use gosight_application::ports::{
    EventCursor, EventQuery, GroupBy, GroupKey, LedgerBalance, LedgerQuery, Metrics, MetricsGroup,
    MetricsQuery, PartitionCoverage, QueryError, SessionDetail, SessionQuery, SessionSummary,
};
use gosight_domain::insight::detect;
use gosight_domain::ledger::{Coverage, OutcomeCounts};
use gosight_domain::replay::ReplaySession;
use gosight_domain::rollup::{Count, RollupSlot, SlotCounts};
use gosight_domain::{Channel, Event, Hour, ProjectId, Session, SessionId};

use super::{MemoryStore, State};

impl MemoryStore {
    fn summary(&self, state: &State, session: &Session) -> SessionDetail {
        let insights = detect(session.trail(), &self.thresholds);
        let of_session =
            ReplaySession { project_id: session.project_id.clone(), session_id: session.session_id.clone() };
        let has_replay = state.archived.contains(&of_session)
            || state.chunks.values().any(|chunk| ReplaySession::of(chunk) == of_session);
        SessionDetail { summary: SessionSummary::of(session, &insights, has_replay), insights }
    }
}

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

    async fn sessions(
        &self,
        project_id: &ProjectId,
        query: &SessionQuery,
    ) -> Result<Vec<SessionSummary>, QueryError> {
        let state = self.lock();
        let is = |wanted: Option<bool>, found: bool| wanted.is_none_or(|wanted| wanted == found);
        let place = |session: &SessionSummary| (Reverse(session.started_at), session.session_id.clone());
        let wanted = |session: &SessionSummary| {
            query.from.is_none_or(|from| session.started_at >= from)
                && query.to.is_none_or(|to| session.started_at < to)
                && query.user_id.as_ref().is_none_or(|user| session.user_id.as_ref() == Some(user))
                && is(query.flags.has_error, session.has_error)
                && is(query.flags.has_rage_click, session.has_rage_click)
                && is(query.flags.has_dead_click, session.has_dead_click)
                && is(query.flags.has_replay, session.has_replay)
                && is(query.flags.is_bounce, session.is_bounce)
                && query.after.as_ref().is_none_or(|after| {
                    place(session) > (Reverse(after.started_at), after.session_id.clone())
                })
        };
        let sessions = state.sessions.values().filter(|session| session.project_id == *project_id);
        let summaries = sessions.map(|session| self.summary(&state, session).summary);
        let mut found: Vec<SessionSummary> = summaries.filter(wanted).collect();
        found.sort_by_key(place);
        found.truncate(query.limit);
        Ok(found)
    }

    async fn session(
        &self,
        project_id: &ProjectId,
        session_id: &SessionId,
    ) -> Result<Option<SessionDetail>, QueryError> {
        let state = self.lock();
        let session = state.sessions.get(&(project_id.clone(), session_id.clone()));
        Ok(session.map(|session| self.summary(&state, session)))
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
            .filter(|event| event.project_id == *project_id && event.session_id.as_ref() == Some(session_id))
            .filter(|event| after.is_none_or(|after| EventCursor::of(event) > after))
            .cloned()
            .collect();
        events.sort_by_key(EventCursor::of);
        events.truncate(limit);
        Ok(events)
    }
}

#[async_trait]
impl LedgerQuery for MemoryStore {
    async fn balances(
        &self,
        project_id: Option<&ProjectId>,
        from: Hour,
        to: Hour,
    ) -> Result<Vec<LedgerBalance>, QueryError> {
        let state = self.lock();
        let mut by_hour: BTreeMap<_, OutcomeCounts> = BTreeMap::new();
        for row in state.ledger.values() {
            for entry in &row.entries {
                let of_project = project_id.is_none_or(|project| entry.project_id.as_ref() == Some(project));
                if of_project && (from..to).contains(&entry.hour) {
                    by_hour.entry((entry.hour, row.span.log.clone())).or_default().merge(&entry.counts);
                }
            }
        }
        let balance = |((hour, log), counts)| LedgerBalance { log, hour, counts };
        Ok(by_hour.into_iter().map(balance).collect())
    }

    async fn coverage(&self, log: &str) -> Result<Vec<PartitionCoverage>, QueryError> {
        let state = self.lock();
        let mut rows: BTreeMap<u32, (Vec<(u64, u64)>, u64)> = BTreeMap::new();
        for (span, row) in state.ledger.iter().filter(|(span, _)| &*span.log == log) {
            let (spans, polled) = rows.entry(span.partition).or_default();
            spans.push((span.first, span.last));
            *polled += row.total().polled;
        }
        let coverage = |(partition, (spans, polled))| PartitionCoverage {
            partition,
            coverage: Coverage::of(spans),
            polled,
        };
        Ok(rows.into_iter().map(coverage).collect())
    }
}
