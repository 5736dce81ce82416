//! Consumers of the logs, put together from ports and settings.

use std::sync::Arc;

use gosight_application::ports::{BatchStore, Clock, Deduplicator, EventSource, ProfileStore};
use gosight_application::process::{
    EventHandler, EventHandlerPorts, LogConsumer, ProcessStatus, ProfileEnricher, ReplayHandler,
};
use gosight_application::replay::Replays;
use gosight_application::sessions::SessionRules;
use gosight_application::{Telemetry, logs};
use gosight_http::ProcessorInfo;

use crate::settings::{EventSettings, InvalidSetting, ProcessSettings};

/// Consumer group of those who process events.
pub const EVENT_PROCESSOR: &str = "gosight-event-processor";
/// Consumer group of those who process replay chunks.
pub const REPLAY_PROCESSOR: &str = "gosight-replay-processor";

/// What consumers need.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by their ports")]
pub struct ProcessingPorts {
    /// The logs to process, each as read by its group.
    pub sources: Vec<Arc<dyn EventSource>>,
    pub store: Arc<dyn BatchStore>,
    pub deduplicator: Arc<dyn Deduplicator>,
    pub replays: Replays,
    pub profiles: Arc<dyn ProfileStore>,
    pub clock: Arc<dyn Clock>,
    pub telemetry: Telemetry,
}

/// A consumer for each source, and what they tell about themselves.
///
/// # Errors
/// [`InvalidSetting`] for a filter rule or an aggregation that is none.
pub fn consumers(
    process: &ProcessSettings,
    events: &EventSettings,
    rules: &SessionRules,
    ports: &ProcessingPorts,
) -> Result<(Vec<LogConsumer>, ProcessorInfo), InvalidSetting> {
    let ProcessingPorts { sources, store, deduplicator, replays, profiles, clock, telemetry } = ports;
    let filters = Arc::new(process.filter_set()?);
    let profiles = process.profiles.enabled.then(|| {
        Arc::new(ProfileEnricher::new(profiles.clone(), process.profiles.cache(), telemetry.clone()))
    });
    let enrichment = profiles.as_ref().map(|profiles| profiles.stats().clone());
    let handler_ports =
        EventHandlerPorts { deduplicator: deduplicator.clone(), profiles, clock: clock.clone() };
    let aggregations = process.aggregations()?;
    let windows = aggregations.iter().map(|aggregation| (aggregation.name.clone(), aggregation.window_ms));
    let windows = Arc::new(windows.collect());
    let events = EventHandler::new(handler_ports, filters.clone(), aggregations)
        .with_max_record_bytes(events.max_record_bytes())
        .with_session_rules(rules.clone());
    let events = Arc::new(events);
    let replay = Arc::new(ReplayHandler::new(replays.clone(), clock.clone()));
    let consumer = |source: &Arc<dyn EventSource>| {
        let is_replay = &**source.log() == logs::REPLAY;
        let (name, settings) = if is_replay {
            ("replay processor", &process.replay)
        } else {
            ("event processor", &process.events)
        };
        LogConsumer {
            source: source.clone(),
            store: store.clone(),
            handler: if is_replay { replay.clone() } else { events.clone() },
            clock: clock.clone(),
            status: Arc::new(ProcessStatus::new(name, source.log().clone())),
            telemetry: telemetry.clone(),
            config: process.consumer(settings),
        }
    };
    let consumers: Vec<LogConsumer> = sources.iter().map(consumer).collect();
    let status = consumers.iter().map(|consumer| consumer.status.clone()).collect();
    Ok((consumers, ProcessorInfo { status, filters, aggregations: windows, enrichment }))
}
