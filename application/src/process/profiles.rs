use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gosight_domain::decoded::DecodedEvent;
use gosight_domain::profile::{ProfileKind, context_of, item_id};
use gosight_domain::{JsonObject, ProjectId};
use moka::sync::Cache;

use super::status::EnrichmentStats;
use crate::ports::{ProfileStore, ProfileStoreError};
use crate::telemetry::{Metric, Telemetry};

/// How profiles are cached.
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

/// Adds what is known about users and items to events. One lookup per batch and kind, and only for what the cache does
/// not have. When the source is away events go on without.
#[derive(Debug)]
pub struct ProfileEnricher {
    source: Arc<dyn ProfileStore>,
    cache: Cache<ProfileKey, Option<JsonObject>>,
    stats: Arc<EnrichmentStats>,
    telemetry: Telemetry,
}

impl ProfileEnricher {
    /// Looks profiles up in `source`.
    pub fn new(source: Arc<dyn ProfileStore>, config: ProfileCacheConfig, telemetry: Telemetry) -> Self {
        let cache = Cache::builder().max_capacity(config.capacity).time_to_live(config.life).build();
        Self { source, cache, stats: Arc::default(), telemetry }
    }

    /// How often profiles were looked up and found.
    pub fn stats(&self) -> &Arc<EnrichmentStats> {
        &self.stats
    }

    pub(super) async fn enrich(&self, mut events: Vec<&mut DecodedEvent>) {
        let wanted: Vec<Wanted> = events.iter().map(|event| Wanted::of(event)).collect();
        let keys: BTreeSet<&ProfileKey> = wanted.iter().flat_map(Wanted::keys).collect();
        let known = match self.look_up(keys).await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "profiles cannot be read, events go on without");
                self.stats.failures.fetch_add(1, Ordering::Relaxed);
                self.telemetry.count(Metric::EnrichmentFailures, &[], 1);
                return;
            }
        };
        let mut enriched = 0;
        for (event, wanted) in events.iter_mut().zip(&wanted) {
            let profile = |key: &Option<ProfileKey>| known.get(key.as_ref()?)?.as_ref();
            let (user, item) = (profile(&wanted.user), profile(&wanted.item));
            if user.is_some() || item.is_some() {
                event.set_context(context_of(event.event(), event.payload(), user, item));
                enriched += 1;
            }
        }
        self.stats.enriched.fetch_add(enriched, Ordering::Relaxed);
        self.telemetry.count(Metric::EventsEnriched, &[], enriched);
        self.telemetry.gauge(Metric::EnrichmentCacheHitRatio, &[], self.stats.cache_hit_ratio());
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
        let names_item = ["item_id", "product_id"].iter().any(|name| event.payload.as_str().contains(name));
        let item = names_item.then(|| item_id(decoded.payload())).flatten();
        Self {
            user: event.user_id.as_ref().map(|id| key(ProfileKind::User, id.to_string())),
            item: item.map(|id| key(ProfileKind::Item, id)),
        }
    }

    fn keys(&self) -> impl Iterator<Item = &ProfileKey> {
        self.user.iter().chain(&self.item)
    }
}
