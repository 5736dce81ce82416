//! Use cases from ports.

use std::sync::Arc;
use std::time::Duration;

use super::enrichment::Enrichment;
use super::{
    AccountPorts, Background, BadCombination, IntakePorts, Pipeline, PipelinePorts, PipelineSettings,
    ReplaceParts, Replacements, StorePorts,
};
use crate::access::Access;
use crate::backoff::BackoffPolicy;
use crate::decorators::{
    CachedKeys, CachedSessions, CountedKeys, FanOut, Observed, Retrying, SessionsWithReplays, StoredChunks,
};
use crate::direct_sink::{DirectSink, DirectSinkPorts};
use crate::enrich::EnricherNameError;
use crate::ingest::{Ingest, IngestPorts};
use crate::keys::{Keys, StoredKeys};
use crate::logs;
use crate::pipeline::Reach;
use crate::ports::{
    AcceptedChunks, BatchStore, EventSink, EventSource, FoldScope, KeyValidator, SessionStore,
};
use crate::process::{
    AggregationSet, BatchHandler, EventHandler, EventHandlerPorts, LogConsumer, MeasureError, ProcessStatus,
    ProcessorInfo, ReplayHandler, Stepped, SteppedPorts,
};
use crate::projects::Projects;
use crate::query::{Query, QueryPorts};
use crate::replay::{Archiver, ColdReplays, Replays};

/// Why a pipeline cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Parts that do not go together.
    #[error(transparent)]
    BadCombination(#[from] BadCombination),
    /// Events are to be stored without a log, and there is no store.
    #[error("events are to be stored without a log, but there is no store, or no place for dead letters")]
    NothingToStoreIn,
    /// A log is processed here, and nothing takes what becomes of it.
    #[error("the log {0} is processed here, but there is no store, or no place for dead letters")]
    NoStore(Arc<str>),
    /// Enrichers whose names cannot tell them apart.
    #[error(transparent)]
    EnricherName(#[from] EnricherNameError),
    /// Aggregations name a measure that is not there or cannot be used.
    #[error(transparent)]
    Measure(#[from] MeasureError),
}

/// How often a sink of one's own is asked for the same events before their senders have to come again.
const SINK_ATTEMPTS: u32 = 3;
/// Senders wait meanwhile.
const SINK_BACKOFF: BackoffPolicy =
    BackoffPolicy { initial: Duration::from_millis(50), max: Duration::from_millis(500) };

/// Puts a pipeline together. Each part may be replaced: see [`ReplaceParts`].
#[derive(Debug)]
pub struct PipelineBuilder {
    ports: PipelinePorts,
    settings: PipelineSettings,
    replacements: Replacements,
    /// Whether events go into the store without a log.
    is_direct: bool,
}

impl ReplaceParts for PipelineBuilder {
    fn replacements(&mut self) -> &mut Replacements {
        &mut self.replacements
    }
}

/// What a store and an archive give, with the parts that were replaced.
struct Stored {
    store: StorePorts,
    /// Where results are committed, if anything is processed here.
    batches: Option<Arc<dyn BatchStore>>,
    /// Sessions, as readers see them.
    sessions: Arc<dyn SessionStore>,
    replays: Replays,
}

impl PipelineBuilder {
    pub(super) fn new(ports: PipelinePorts) -> Self {
        let (settings, replacements) = (PipelineSettings::default(), Replacements::default());
        Self { ports, settings, replacements, is_direct: false }
    }

    /// Works by these settings in place of the defaults.
    #[must_use]
    pub fn settings(self, settings: PipelineSettings) -> Self {
        Self { settings, ..self }
    }

    /// Replaces parts.
    #[must_use]
    pub fn replace(self, replacements: Replacements) -> Self {
        Self { replacements, ..self }
    }

    /// Stores events as they come in, with a [`DirectSink`], instead of logging them first. An event is acknowledged when
    /// it is stored, so that is how long its sender waits; and while the store is unavailable none is taken in. What an
    /// event log still has from before is processed.
    #[must_use]
    pub fn without_event_log(self) -> Self {
        Self { is_direct: true, ..self }
    }

    /// Puts it together.
    ///
    /// # Errors
    /// [`BuildError`] for parts that do not go together.
    pub fn build(mut self) -> Result<Pipeline, BuildError> {
        self.ports.combination.check()?;
        if let Some(clock) = self.replacements.clock.take() {
            self.ports.clock = clock;
        }
        let cold = self.cold();
        let stored = self.ports.store.clone().map(|store| self.stored(store, cold.clone()));
        let usage = self.key_chain();
        if self.ports.combination.is_shared {
            self.check_shared(stored.as_ref())?;
        }
        let batches = stored.as_ref().and_then(|stored| stored.batches.clone().zip(Some(stored)));
        if self.is_direct && batches.is_none() {
            return Err(BuildError::NothingToStoreIn);
        }
        let enrichment = Enrichment::of(&self.ports, &self.replacements)?;
        let is_processing = self.is_direct || !self.ports.sources.is_empty();
        let aggregations = if is_processing { self.aggregations()? } else { Arc::default() };
        let (consumers, processor) = match batches {
            Some((batches, stored)) => self.consumers(stored, &batches, &enrichment, &aggregations),
            None => self.no_consumers()?,
        };
        let archiver = stored.as_ref().zip(cold).map(|(stored, cold)| self.archiver(stored, cold));
        let PipelinePorts { accounts, clock, telemetry, .. } = &self.ports;
        let is_archiving = archiver.is_some();
        let mut health = self.ports.health.clone();
        health.extend(consumers.iter().map(|consumer| consumer.status.clone() as _));
        health.extend(enrichment.health());
        Ok(Pipeline {
            ingest: self
                .ports
                .intake
                .clone()
                .map(|intake| self.ingest(intake, stored.as_ref(), &enrichment, aggregations)),
            query: stored.as_ref().and_then(|stored| self.query(stored)),
            archiver,
            access: Access::new(usage.clone()),
            keys: Keys::new(accounts.admin.clone(), clock.clone()),
            projects: Projects::new(accounts.admin.clone(), accounts.profiles.clone(), clock.clone()),
            consumers,
            processor,
            health,
            clock: clock.clone(),
            telemetry: telemetry.clone(),
            background: Background {
                usage,
                maintenance: self.ports.maintenance.clone(),
                rules: self.settings.sessions.clone(),
                archive_interval: self.settings.archive_interval.filter(|_| is_archiving),
            },
        })
    }

    /// Checks what only one process at a time may do.
    fn check_shared(&self, stored: Option<&Stored>) -> Result<(), BadCombination> {
        if self.is_direct {
            let reason = "each process would give its events the same offsets";
            return Err(BadCombination::shared("a sink without a log", reason));
        }
        let scope =
            stored.filter(|_| !self.ports.sources.is_empty()).map(|stored| stored.store.sessions.scope());
        if scope == Some(FoldScope::Session) {
            let reason = "its rows count all of a session, so the processes would overwrite each other's";
            return Err(BadCombination::shared("a session store of `FoldScope::Session`", reason));
        }
        Ok(())
    }

    fn cold(&mut self) -> Option<ColdReplays> {
        let objects = self.replacements.archive.take().or_else(|| self.ports.archive.clone())?;
        Some(ColdReplays { catalogue: self.ports.accounts.catalogue.clone(), objects })
    }

    /// A store of which nothing was replaced commits as it can; any other in steps.
    fn stored(&self, mut store: StorePorts, cold: Option<ColdReplays>) -> Stored {
        let Replacements { sessions, replays, .. } = &self.replacements;
        let is_replaced = sessions.is_some() || replays.is_some();
        store.sessions = sessions.clone().unwrap_or(store.sessions);
        store.replays = replays.clone().unwrap_or(store.replays);
        let replays = Replays::new(store.replays.clone(), cold);
        let batches = match &store.batches {
            Some(batches) if !is_replaced => Some(batches.clone()),
            _ => steps(&store).map(|steps| -> Arc<dyn BatchStore> { Arc::new(Stepped::new(steps)) }),
        };
        // Only a store that has sessions and replays both knows which session has a replay.
        let sessions = store.sessions.clone();
        let sessions: Arc<dyn SessionStore> = if is_replaced {
            Arc::new(SessionsWithReplays::new(sessions, replays.clone()))
        } else {
            sessions
        };
        Stored { store, batches, sessions, replays }
    }

    /// Stored keys, what a preset puts before them, the cache of the process, and the counter of uses.
    fn key_chain(&self) -> Arc<CountedKeys> {
        let PipelinePorts { accounts, clock, telemetry, .. } = &self.ports;
        let AccountPorts { lookup, usage, key_link, .. } = accounts;
        let stored = || -> Arc<dyn KeyValidator> { Arc::new(StoredKeys::new(lookup.clone(), clock.clone())) };
        let validator = self.replacements.keys.clone().unwrap_or_else(stored);
        let linked = match key_link {
            Some(link) => link(validator, clock.clone()),
            None => validator,
        };
        let cached = CachedKeys::new(linked, clock.clone(), self.settings.key_cache, telemetry.clone());
        Arc::new(CountedKeys::new(Arc::new(cached), usage.clone(), clock.clone()))
    }

    fn no_consumers(&self) -> Result<(Vec<LogConsumer>, Option<ProcessorInfo>), BuildError> {
        match self.ports.sources.first() {
            Some(source) => Err(BuildError::NoStore(source.log().clone())),
            None => Ok((Vec::new(), None)),
        }
    }

    /// The aggregations, with the measures that they name.
    fn aggregations(&self) -> Result<Arc<AggregationSet>, MeasureError> {
        let (settings, measures) = (&self.settings, &self.replacements.measures);
        AggregationSet::new(&settings.aggregations, measures, self.ports.telemetry.clone()).map(Arc::new)
    }

    /// A consumer for each log that is processed here.
    fn consumers(
        &self,
        stored: &Stored,
        batches: &Arc<dyn BatchStore>,
        enrichment: &Enrichment,
        folded: &Arc<AggregationSet>,
    ) -> (Vec<LogConsumer>, Option<ProcessorInfo>) {
        let PipelineSettings { filters, aggregations, .. } = &self.settings;
        let events = self.event_handler(stored, enrichment, folded.clone());
        let replay = ReplayHandler::new(stored.replays.clone(), self.ports.clock.clone());
        let (events, replay): (Arc<dyn BatchHandler>, Arc<dyn BatchHandler>) =
            (Arc::new(events), Arc::new(replay));
        let consumer = |source: &Arc<dyn EventSource>| {
            let is_replay = &**source.log() == logs::REPLAY;
            let (name, handler, config) = if is_replay {
                ("replay processor", &replay, self.settings.replay)
            } else {
                ("event processor", &events, self.settings.events)
            };
            LogConsumer {
                source: source.clone(),
                store: batches.clone(),
                handler: handler.clone(),
                clock: self.ports.clock.clone(),
                status: Arc::new(ProcessStatus::new(name, source.log().clone())),
                telemetry: self.ports.telemetry.clone(),
                config,
            }
        };
        let consumers: Vec<LogConsumer> = self.ports.sources.iter().map(consumer).collect();
        let windows =
            aggregations.iter().map(|aggregation| (aggregation.name.clone(), aggregation.window_ms));
        let processor = ProcessorInfo {
            status: consumers.iter().map(|consumer| consumer.status.clone()).collect(),
            filters: filters.clone(),
            aggregations: Arc::new(windows.collect()),
            skipped_measures: folded.stats().clone(),
            enrichment: enrichment.info(),
        };
        let processor = (!consumers.is_empty()).then_some(processor);
        (consumers, processor)
    }

    fn event_handler(
        &self,
        stored: &Stored,
        enrichment: &Enrichment,
        aggregations: Arc<AggregationSet>,
    ) -> EventHandler {
        let PipelineSettings { filters, sessions, max_event_record_bytes, .. } = &self.settings;
        let ports = EventHandlerPorts {
            deduplicator: stored.store.deduplicator.clone(),
            enrichers: enrichment.events.clone(),
            clock: self.ports.clock.clone(),
        };
        EventHandler::new(ports, filters.clone(), aggregations)
            .with_max_record_bytes(*max_event_record_bytes)
            .with_session_rules(sessions.clone())
    }

    fn archiver(&self, stored: &Stored, cold: ColdReplays) -> Arc<Archiver> {
        let PipelinePorts { clock, telemetry, chunks, .. } = &self.ports;
        let (hot, policy) = (stored.store.replays.clone(), self.settings.archive.clone());
        let archiver = Archiver::new(hot, cold, clock.clone(), policy, telemetry.clone());
        Arc::new(archiver.forgetting(chunks.clone()))
    }

    fn ingest(
        &self,
        intake: IntakePorts,
        stored: Option<&Stored>,
        enrichment: &Enrichment,
        aggregations: Arc<AggregationSet>,
    ) -> Arc<Ingest> {
        let IntakePorts { events, records, limiter, enrichers: _ } = intake;
        let Replacements { events: replaced, also, .. } = &self.replacements;
        let direct = stored.filter(|_| self.is_direct);
        let direct = direct.and_then(|stored| self.direct_sink(stored, enrichment, aggregations));
        let replaced = replaced.clone().map(|sink| self.with_retries(sink, "events"));
        let log = replaced.or(direct).unwrap_or(events);
        let also =
            also.iter().zip(1..).map(|(sink, n)| self.with_retries(sink.clone(), &format!("also_{n}")));
        let mut sinks: Vec<Arc<dyn EventSink>> = [log].into_iter().chain(also).collect();
        let events = match sinks.pop() {
            Some(only) if sinks.is_empty() => only,
            last => Arc::new(FanOut::new(sinks.into_iter().chain(last).collect())),
        };
        let ports = IngestPorts {
            events,
            log: records,
            chunks: self.accepted_chunks(stored),
            limiter,
            enrichers: enrichment.clients.clone(),
            profiles: self.ports.accounts.profiles.clone(),
            clock: self.ports.clock.clone(),
        };
        Arc::new(Ingest::new(ports, self.settings.ingest.clone(), self.ports.telemetry.clone()))
    }

    /// A sink of one's own: it is observed under `name`, and asked again when it fails for a moment.
    fn with_retries(&self, sink: Arc<dyn EventSink>, name: &str) -> Arc<dyn EventSink> {
        let telemetry = &self.ports.telemetry;
        let retrying = Retrying::new(sink, SINK_BACKOFF, SINK_ATTEMPTS, telemetry.clone())
            .with_max_wait(SINK_BACKOFF.max);
        Arc::new(Observed::new(retrying, name, telemetry.clone()))
    }

    fn direct_sink(
        &self,
        stored: &Stored,
        enrichment: &Enrichment,
        aggregations: Arc<AggregationSet>,
    ) -> Option<Arc<dyn EventSink>> {
        let ports = DirectSinkPorts {
            batches: stored.batches.clone()?,
            stored: stored.store.stored.clone(),
            enrichers: enrichment.events.clone(),
            aggregations,
            clock: self.ports.clock.clone(),
        };
        Some(Arc::new(DirectSink::new(ports, logs::DIRECT, &self.settings)))
    }

    /// What is in memory only is looked for in the store too: a process that was started again knows of nothing else.
    fn accepted_chunks(&self, stored: Option<&Stored>) -> Arc<dyn AcceptedChunks> {
        let chunks = self.ports.chunks.clone();
        match stored.filter(|_| self.ports.combination.state == Reach::Memory) {
            Some(stored) => Arc::new(StoredChunks::new(chunks, stored.replays.clone())),
            None => chunks,
        }
    }

    fn query(&self, stored: &Stored) -> Option<Query> {
        Some(Query::new(QueryPorts {
            events: stored.store.event_query.clone(),
            sessions: stored.sessions.clone(),
            rules: self.settings.sessions.clone(),
            ledger: stored.store.ledger_query.clone(),
            aggregates: stored.store.aggregates.clone(),
            replays: stored.replays.clone(),
            logs: self.ports.ends.clone()?,
        }))
    }
}

/// What batches are committed to in steps.
fn steps(store: &StorePorts) -> Option<SteppedPorts> {
    let sessions: Arc<dyn SessionStore> = match store.session_cache.clone() {
        Some(cache) => Arc::new(CachedSessions::new(cache, store.sessions.clone())),
        None => store.sessions.clone(),
    };
    Some(SteppedPorts {
        ledger: store.ledger.clone(),
        events: store.events.clone(),
        sessions,
        aggregates: store.aggregates.clone(),
        replays: store.replays.clone(),
        dead_letters: store.dead_letters.clone()?,
    })
}
