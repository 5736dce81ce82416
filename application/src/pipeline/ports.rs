use std::fmt;
use std::sync::Arc;

use super::Combination;
use crate::enrich::{ChosenEnricher, EnricherLimits};
use crate::enrichers::ProfileCacheConfig;
use crate::ports::{
    AcceptedChunks, AggregateStore, BatchStore, Clock, DeadLetters, Deduplicator, EventQuery, EventRows,
    EventSink, EventSource, HealthCheck, KeyAdmin, KeyLookup, KeyUsageStore, KeyValidator, Ledger,
    LedgerQuery, LogEnds, Maintenance, ProfileStore, RateLimiter, RecordLog, ReplayArchive, ReplayCatalogue,
    ReplayStore, SessionCache, SessionStore, StoredEvents,
};
use crate::telemetry::Telemetry;

/// What a pipeline is made of. What is not there is not done: a process that only answers questions takes nothing in.
#[derive(Debug, Clone)]
pub struct PipelinePorts {
    /// Where events and replay chunks are taken in.
    pub intake: Option<IntakePorts>,
    /// The logs that are processed here, each as read by its group.
    pub sources: Vec<Arc<dyn EventSource>>,
    /// How far the processed logs go. Questions are answered where this and the store are there.
    pub ends: Option<Vec<Arc<dyn LogEnds>>>,
    /// Where results are stored.
    pub store: Option<StorePorts>,
    /// Knows the replay chunks that were accepted.
    pub chunks: Arc<dyn AcceptedChunks>,
    /// Objects of archived replays.
    pub archive: Option<Arc<dyn ReplayArchive>>,
    /// Projects, keys and profiles.
    pub accounts: AccountPorts,
    /// What tells more about events that are processed, in order.
    pub enrichers: Vec<EnricherPart>,
    /// What has to clean up now and then.
    pub maintenance: Vec<Arc<dyn Maintenance>>,
    /// What readiness depends on.
    pub health: Vec<Arc<dyn HealthCheck>>,
    /// What the parts are, which decides whether they go together.
    pub combination: Combination,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where numbers go.
    pub telemetry: Telemetry,
}

/// What takes events and replay chunks in.
#[derive(Debug, Clone)]
pub struct IntakePorts {
    /// Takes accepted events.
    pub events: Arc<dyn EventSink>,
    /// Takes replay chunks and reports of what was refused.
    pub records: Arc<dyn RecordLog>,
    /// Limits how much a project sends.
    pub limiter: Arc<dyn RateLimiter>,
    /// What tells more about those who send events, in order.
    pub enrichers: Vec<ChosenEnricher>,
}

/// An enricher of events that are processed.
#[derive(Debug, Clone)]
pub enum EnricherPart {
    /// What is known of users and items, from the profiles of the accounts.
    Profiles {
        /// How the process caches them.
        cache: ProfileCacheConfig,
        /// How long a batch waits for them.
        limits: EnricherLimits,
    },
    /// Any other.
    PlugIn(ChosenEnricher),
}

impl EnricherPart {
    /// Profiles with the usual cache and limits.
    pub fn profiles() -> Self {
        Self::Profiles { cache: ProfileCacheConfig::default(), limits: EnricherLimits::default() }
    }
}

/// A store by its ports.
#[derive(Debug, Clone)]
pub struct StorePorts {
    /// Commits batches as one, if the store can. Without it they are committed in steps
    /// ([`Stepped`](crate::process::Stepped)).
    pub batches: Option<Arc<dyn BatchStore>>,
    /// Says which batches count.
    pub ledger: Arc<dyn Ledger>,
    /// Rows of events.
    pub events: Arc<dyn EventRows>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Folds of live sessions in front of them.
    pub session_cache: Option<Arc<dyn SessionCache>>,
    /// Window aggregates.
    pub aggregates: Arc<dyn AggregateStore>,
    /// Replay chunks.
    pub replays: Arc<dyn ReplayStore>,
    /// Records that cannot be processed. Nothing is processed without.
    pub dead_letters: Option<Arc<dyn DeadLetters>>,
    /// Tells which events are stored.
    pub stored: Arc<dyn StoredEvents>,
    /// Tells which events were seen before.
    pub deduplicator: Arc<dyn Deduplicator>,
    /// Metrics and events.
    pub event_query: Arc<dyn EventQuery>,
    /// What became of records.
    pub ledger_query: Arc<dyn LedgerQuery>,
}

/// What is known of projects.
#[derive(Clone)]
pub struct AccountPorts {
    /// Finds keys to be validated.
    pub lookup: Arc<dyn KeyLookup>,
    /// Projects and their keys.
    pub admin: Arc<dyn KeyAdmin>,
    /// How often keys are used.
    pub usage: Arc<dyn KeyUsageStore>,
    /// What is known of users and items.
    pub profiles: Arc<dyn ProfileStore>,
    /// Which replays are archived.
    pub catalogue: Arc<dyn ReplayCatalogue>,
    /// Stands before the validator of stored keys, if anything does besides the cache of the process.
    pub key_link: Option<KeyLink>,
}

/// Puts a validator before another one.
pub type KeyLink = Arc<dyn Fn(Arc<dyn KeyValidator>, Arc<dyn Clock>) -> Arc<dyn KeyValidator> + Send + Sync>;

impl fmt::Debug for AccountPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountPorts").field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl StorePorts {
    /// The ports of a store that has them all but these two.
    pub fn of<S>(
        store: &Arc<S>,
        deduplicator: Arc<dyn Deduplicator>,
        dead_letters: Option<Arc<dyn DeadLetters>>,
    ) -> Self
    where
        S: Ledger
            + EventRows
            + SessionStore
            + AggregateStore
            + ReplayStore
            + StoredEvents
            + EventQuery
            + LedgerQuery
            + 'static,
    {
        Self {
            batches: None,
            ledger: store.clone(),
            events: store.clone(),
            sessions: store.clone(),
            session_cache: None,
            aggregates: store.clone(),
            replays: store.clone(),
            dead_letters,
            stored: store.clone(),
            deduplicator,
            event_query: store.clone(),
            ledger_query: store.clone(),
        }
    }
}

impl AccountPorts {
    /// The ports of one store of accounts.
    pub fn of<A>(accounts: &Arc<A>) -> Self
    where
        A: KeyLookup + KeyAdmin + KeyUsageStore + ProfileStore + ReplayCatalogue + 'static,
    {
        Self {
            lookup: accounts.clone(),
            admin: accounts.clone(),
            usage: accounts.clone(),
            profiles: accounts.clone(),
            catalogue: accounts.clone(),
            key_link: None,
        }
    }
}
