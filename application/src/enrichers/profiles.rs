//! Profiles: what is known of users and items besides their events.

mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::{JsonObject, ProjectId};
use moka::sync::Cache;

use crate::ports::{EnricherError, Enrichment, EventEnricher, ProfileKind, ProfileStore, ProfileStoreError};
use crate::telemetry::{Metric, Telemetry};
use rules::{context_of, item_id, names_item};

/// How profiles are cached in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileCacheConfig {
    /// How long a profile, or that there is none, is believed.
    pub life: Duration,
    /// Most profiles that are kept.
    pub capacity: u64,
}

impl Default for ProfileCacheConfig {
    /// 5 minutes, 100,000 profiles.
    fn default() -> Self {
        Self { life: Duration::from_mins(5), capacity: 100_000 }
    }
}

type ProfileKey = (ProjectId, ProfileKind, String);
type Known = HashMap<ProfileKey, Option<JsonObject>>;

/// Gives events what is known of their user and item, and what follows from that. One look-up for each kind, and only for
/// what the cache does not have.
#[derive(Debug)]
pub struct ProfileEnricher {
    source: Arc<dyn ProfileStore>,
    cache: Cache<ProfileKey, Option<JsonObject>>,
    stats: Arc<ProfileStats>,
    telemetry: Telemetry,
}

impl ProfileEnricher {
    /// Its name in the configuration and in metrics.
    pub const NAME: &str = "profiles";

    /// Looks profiles up in `source`.
    pub fn new(source: Arc<dyn ProfileStore>, config: ProfileCacheConfig, telemetry: Telemetry) -> Self {
        let cache = Cache::builder().max_capacity(config.capacity).time_to_live(config.life).build();
        Self { source, cache, stats: Arc::default(), telemetry }
    }

    /// How often the cache had them.
    pub fn stats(&self) -> &Arc<ProfileStats> {
        &self.stats
    }

    async fn look_up(&self, keys: BTreeSet<&ProfileKey>) -> Result<Known, ProfileStoreError> {
        let mut known = Known::with_capacity(keys.len());
        let mut missing: BTreeMap<(ProjectId, ProfileKind), Vec<String>> = BTreeMap::new();
        for key in keys {
            match self.cache.get(key) {
                Some(profile) => drop(known.insert(key.clone(), profile)),
                None => missing.entry((key.0.clone(), key.1)).or_default().push(key.2.clone()),
            }
        }
        let misses: usize = missing.values().map(Vec::len).sum();
        self.stats.cache_hits.fetch_add(known.len() as u64, Ordering::Relaxed);
        self.stats.cache_misses.fetch_add(misses as u64, Ordering::Relaxed);
        for ((project_id, kind), ids) in missing {
            let mut found = self.source.get(&project_id, kind, &ids).await?;
            for id in ids {
                let profile = found.remove(&id);
                let key = (project_id.clone(), kind, id);
                self.cache.insert(key.clone(), profile.clone());
                known.insert(key, profile);
            }
        }
        Ok(known)
    }
}

#[async_trait]
impl EventEnricher for ProfileEnricher {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn may_block(&self) -> bool {
        false
    }

    async fn enrich(&self, events: &[DecodedEvent]) -> Result<Vec<Enrichment>, EnricherError> {
        let wanted: Vec<Wanted> = events.iter().map(Wanted::of).collect();
        let known = self.look_up(wanted.iter().flat_map(Wanted::keys).collect()).await?;
        self.telemetry.gauge(Metric::EnrichmentCacheHitRatio, &[], self.stats.cache_hit_ratio());
        let enrichment = |(event, wanted): (&DecodedEvent, &Wanted)| {
            let profile = |key: &Option<ProfileKey>| known.get(key.as_ref()?)?.as_ref();
            let context = context_of(event, profile(&wanted.user), profile(&wanted.item));
            Enrichment { context, ..Enrichment::default() }
        };
        Ok(events.iter().zip(&wanted).map(enrichment).collect())
    }
}

/// The profiles that an event asks for.
struct Wanted {
    user: Option<ProfileKey>,
    item: Option<ProfileKey>,
}

impl Wanted {
    fn of(decoded: &DecodedEvent) -> Self {
        let event = decoded.event();
        let key = |kind, id: String| (event.project_id.clone(), kind, id);
        // Most events are about no item; parsing is for those that name one.
        let item = names_item(&event.payload).then(|| item_id(decoded.payload())).flatten();
        Self {
            user: event.user_id.as_ref().map(|id| key(ProfileKind::User, id.to_string())),
            item: item.map(|id| key(ProfileKind::Item, id)),
        }
    }

    fn keys(&self) -> impl Iterator<Item = &ProfileKey> {
        self.user.iter().chain(&self.item)
    }
}

/// How often the cache of the process had profiles.
#[derive(Debug, Default)]
pub struct ProfileStats {
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
}

impl ProfileStats {
    /// Look-ups that the cache answered.
    pub fn cache_hits(&self) -> u64 {
        self.cache_hits.load(Ordering::Relaxed)
    }

    /// Look-ups that went to the source.
    pub fn cache_misses(&self) -> u64 {
        self.cache_misses.load(Ordering::Relaxed)
    }

    /// Part of look-ups that the cache answered; 0 before the first.
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
    pub fn cache_hit_ratio(&self) -> f64 {
        let (hits, misses) = (self.cache_hits() as f64, self.cache_misses() as f64);
        if hits + misses > 0.0 { hits / (hits + misses) } else { 0.0 }
    }
}
