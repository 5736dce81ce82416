//! Enrichers that do what they should, and others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gosight_application::circuit_breaker::CircuitBreakerConfig;
use gosight_application::enrich::{ChosenEnricher, EnricherLimits};
use gosight_application::ports::{EnricherError, Enrichment, EventEnricher};
use gosight_domain::ProjectId;
use gosight_domain::decoded::DecodedEvent;
use serde_json::{Map, Value, json};

fn context(name: &str, value: Value) -> Enrichment {
    Enrichment { context: Map::from_iter([(name.to_owned(), value)]), ..Enrichment::default() }
}

/// Knows the number of each call.
#[derive(Debug, Default)]
pub struct Good(AtomicU64);

#[async_trait]
impl EventEnricher for Good {
    fn name(&self) -> &'static str {
        "good"
    }

    fn may_block(&self) -> bool {
        false
    }

    async fn enrich(&self, events: &[DecodedEvent]) -> Result<Vec<Enrichment>, EnricherError> {
        let call = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(events.iter().map(|_| context("call", json!(call))).collect())
    }
}

/// What is wrong with an enricher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Hangs,
    /// Keeps its thread until it is healed.
    Blocks,
    Fails,
    Panics,
    GivesTooFew,
    GivesTooMany,
    GivesTooMuch,
    NestsTooDeep,
    SaysNul,
}

/// Does harm to all projects, or to one, until it is healed.
#[derive(Debug)]
pub struct Hostile {
    fault: Fault,
    only: Option<ProjectId>,
    is_healed: AtomicBool,
    pub calls: AtomicU64,
}

impl Hostile {
    pub fn new(fault: Fault, only: Option<ProjectId>) -> Arc<Self> {
        Arc::new(Self { fault, only, is_healed: AtomicBool::new(false), calls: AtomicU64::new(0) })
    }

    pub fn heal(&self) {
        self.is_healed.store(true, Ordering::SeqCst);
    }

    fn is_healed(&self) -> bool {
        self.is_healed.load(Ordering::SeqCst)
    }

    fn spares(&self, events: &[DecodedEvent]) -> bool {
        let is_other = |only: &ProjectId| events.iter().all(|event| event.event().project_id != *only);
        self.is_healed() || self.only.as_ref().is_some_and(is_other)
    }
}

/// No test waits for longer.
const PATIENCE: Duration = Duration::from_mins(1);

#[async_trait]
impl EventEnricher for Hostile {
    fn name(&self) -> &'static str {
        "hostile"
    }

    async fn enrich(&self, events: &[DecodedEvent]) -> Result<Vec<Enrichment>, EnricherError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let known: Vec<Enrichment> = events.iter().map(|_| context("hostile", json!(true))).collect();
        if self.spares(events) {
            return Ok(known);
        }
        let with = |value: Value| Ok(events.iter().map(|_| context("hostile", value.clone())).collect());
        match self.fault {
            Fault::Hangs => std::future::pending().await,
            Fault::Blocks => {
                let since = Instant::now();
                while !self.is_healed() && since.elapsed() < PATIENCE {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(known)
            }
            Fault::Fails => Err(EnricherError::transient("hostile", "no")),
            Fault::Panics => panic!("an enricher panics, as the test wants"),
            Fault::GivesTooFew => Ok(known.into_iter().skip(1).collect()),
            Fault::GivesTooMany => Ok([known, vec![context("hostile", json!(true))]].concat()),
            Fault::GivesTooMuch => with(json!("x".repeat(1 << 20))),
            Fault::NestsTooDeep => with((0..100).fold(json!(1), |inner, _| json!([inner]))),
            Fault::SaysNul => with(json!("\0")),
        }
    }
}

/// With a time limit that a call to memory keeps, and a test does not notice.
pub fn chosen(enricher: Arc<dyn EventEnricher>, timeout_ms: u64, failures: u32) -> ChosenEnricher {
    let breaker = CircuitBreakerConfig { failures, cool_down: Duration::from_secs(30) };
    ChosenEnricher {
        enricher,
        limits: EnricherLimits { timeout: Duration::from_millis(timeout_ms), breaker },
    }
}
