use std::sync::Arc;

use crate::enrich::{ChosenEnricher, EnricherLimits};
use crate::ports::{
    Clock, EventEnricher, EventMeasure, EventSink, KeyValidator, ReplayArchive, ReplayStore, SessionStore,
};
use crate::process::CustomMeasures;

/// Parts of one's own in place of a preset's. What is left out stays the preset's.
#[derive(Debug, Clone, Default)]
pub struct Replacements {
    /// Takes accepted events in place of the log.
    pub events: Option<Arc<dyn EventSink>>,
    /// Take accepted events beside it.
    pub also: Vec<Arc<dyn EventSink>>,
    /// Keeps sessions.
    pub sessions: Option<Arc<dyn SessionStore>>,
    /// Keeps replay chunks.
    pub replays: Option<Arc<dyn ReplayStore>>,
    /// Validates keys, at the end of the chain: caches and the counter of uses stay before it.
    pub keys: Option<Arc<dyn KeyValidator>>,
    /// Keeps objects of archived replays.
    pub archive: Option<Arc<dyn ReplayArchive>>,
    /// Tell more about events that are processed, after the preset's.
    pub enrichers: Vec<ChosenEnricher>,
    /// Tell more about those who send events, after the preset's.
    pub client_enrichers: Vec<ChosenEnricher>,
    /// Measures of aggregations, by the names that the configuration calls them.
    pub measures: CustomMeasures,
    /// Tells the time.
    pub clock: Option<Arc<dyn Clock>>,
}

/// A builder whose parts can be replaced, each by one of the caller's own.
pub trait ReplaceParts: Sized {
    /// What is replaced.
    fn replacements(&mut self) -> &mut Replacements;

    /// Gives accepted events to `sink` in place of the log. What the pipeline processes is then what the sink passes on.
    /// A sink that fails for a moment is asked again, up to three times in all.
    #[must_use]
    fn with_events(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.replacements().events = Some(sink);
        self
    }

    /// Gives accepted events to `sink` too, before they are acknowledged. A sink that fails three times in a row makes the
    /// request fail.
    ///
    /// A sink sees what clients send, again when they send it again: it stands before the log, and duplicates are found
    /// behind it. Tell events apart by their `event_id`, which is the same each time.
    #[must_use]
    fn also_send_to(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.replacements().also.push(sink);
        self
    }

    /// Keeps sessions in `sessions`. Batches are committed in steps then.
    #[must_use]
    fn with_sessions(mut self, sessions: Arc<dyn SessionStore>) -> Self {
        self.replacements().sessions = Some(sessions);
        self
    }

    /// Keeps replay chunks in `replays`. Batches are committed in steps then.
    #[must_use]
    fn with_replays(mut self, replays: Arc<dyn ReplayStore>) -> Self {
        self.replacements().replays = Some(replays);
        self
    }

    /// Validates keys with `keys` in place of the stored ones. Caches, and the counter of uses, stay before it.
    #[must_use]
    fn with_keys(mut self, keys: Arc<dyn KeyValidator>) -> Self {
        self.replacements().keys = Some(keys);
        self
    }

    /// Keeps objects of archived replays in `archive`.
    #[must_use]
    fn with_archive(mut self, archive: Arc<dyn ReplayArchive>) -> Self {
        self.replacements().archive = Some(archive);
        self
    }

    /// Lets `enricher` tell more about events while they are processed, after those that are there already. Events wait for
    /// it as long as `limits` says, and go on without it when it fails.
    #[must_use]
    fn with_enricher(mut self, enricher: Arc<dyn EventEnricher>, limits: EnricherLimits) -> Self {
        self.replacements().enrichers.push(ChosenEnricher { enricher, limits });
        self
    }

    /// Lets `enricher` tell more about those who send events, while events are taken in: addresses and user agents are known
    /// there only. Requests wait for it as long as `limits` says.
    #[must_use]
    fn with_client_enricher(mut self, enricher: Arc<dyn EventEnricher>, limits: EnricherLimits) -> Self {
        self.replacements().client_enrichers.push(ChosenEnricher { enricher, limits });
        self
    }

    /// Measures events with `measure` where an aggregation has the measure `custom: <name>`. Another one that was given by
    /// this name before is replaced. Only processes that process events use it.
    #[must_use]
    fn with_measure(mut self, name: impl Into<Arc<str>>, measure: Arc<dyn EventMeasure>) -> Self {
        self.replacements().measures.insert(name.into(), measure);
        self
    }

    /// Takes the time from `clock`, and from no other.
    #[must_use]
    fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.replacements().clock = Some(clock);
        self
    }
}
