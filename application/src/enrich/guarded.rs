//! An enricher behind its limits.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gosight_domain::ProjectId;
use tokio::time::Instant;

use super::call::{CallFailure, Caller, Overdue};
use super::circuits::Circuits;
use super::status::{Counts, Reason};
use super::{ChosenEnricher, EnricherLimits, EnricherStatus};
use crate::circuit_breaker::{CircuitState, Permit};
use crate::ports::{Clock, EnricherError, EventEnricher};
use crate::telemetry::{Metric, Telemetry};

/// Most calls of one enricher that may have been given up without being over. Beyond, it is left alone.
const MAX_OVERDUE: usize = 16;

/// An enricher, with what keeps it from doing harm.
#[derive(Debug)]
pub(super) struct Guarded {
    pub enricher: Arc<dyn EventEnricher>,
    pub limits: EnricherLimits,
    name: Arc<str>,
    circuits: Circuits,
    overdue: Overdue,
    counts: Counts,
    /// Whether a circuit may not be closed; they are counted only then.
    has_failed: AtomicBool,
    telemetry: Telemetry,
}

/// Leave to make one call for a project.
pub(super) struct Admission {
    permit: Permit,
    overdue: Overdue,
}

impl Guarded {
    pub fn new(chosen: ChosenEnricher, clock: Arc<dyn Clock>, telemetry: Telemetry) -> Self {
        let ChosenEnricher { enricher, limits } = chosen;
        let guarded = Self {
            name: enricher.name().into(),
            circuits: Circuits::new(limits.breaker, clock),
            enricher,
            limits,
            overdue: Overdue::default(),
            counts: Counts::default(),
            has_failed: AtomicBool::new(true),
            telemetry,
        };
        guarded.show_circuits();
        guarded
    }

    /// Lets a call of the project through, unless its circuit breaker is open or calls of before are not over.
    pub fn admit(&self, project_id: &ProjectId) -> Option<Admission> {
        let circuit = self.circuits.of(project_id);
        let is_stuck = circuit.overdue.count() > 0 || self.overdue.count() >= MAX_OVERDUE;
        let permit = if is_stuck { None } else { circuit.breaker.permit() };
        if permit.is_none() {
            self.count_failure(Reason::Open);
        }
        Some(Admission { permit: permit?, overdue: circuit.overdue.clone() })
    }

    /// Makes a call, and uses what it gives: `use_answer` says what it knew something of, or what was wrong with the answer.
    pub async fn call<T: Send + 'static>(
        &self,
        admission: Admission,
        deadline: Instant,
        work: impl Future<Output = Result<T, EnricherError>> + Send + 'static,
        use_answer: impl FnOnce(T) -> Used,
    ) {
        let Admission { permit, overdue } = admission;
        if Instant::now() >= deadline {
            // The time was up before its turn: that says nothing of this project's calls.
            self.count_failure(Reason::Timeout);
            return;
        }
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        let caller = Caller {
            name: &self.name,
            may_block: self.enricher.may_block(),
            overdue: [overdue, self.overdue.clone()],
        };
        match caller.call(deadline, work).await {
            Ok(Ok(answer)) => self.used(permit, use_answer(answer)),
            Ok(Err(error)) => self.failed(permit, Reason::Error, &error),
            Err(CallFailure::Timeout) => {
                let text = format!("no answer within {:?}", self.limits.timeout);
                self.failed(permit, Reason::Timeout, &text);
            }
            Err(CallFailure::Panic) => self.failed(permit, Reason::Panic, &"it panicked"),
            Err(CallFailure::NoThread(error)) => self.failed(permit, Reason::Error, &error),
        }
    }

    /// Notes what was answered from memory.
    pub fn answered(&self, admission: Admission, used: Used) {
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        self.used(admission.permit, used);
    }

    /// Notes that it panicked where it was to answer from memory.
    pub fn panicked(&self, admission: Admission) {
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        self.failed(admission.permit, Reason::Panic, &"it panicked");
    }

    fn used(&self, permit: Permit, used: Used) {
        self.counts.enriched.fetch_add(used.enriched, Ordering::Relaxed);
        match used.rubbish {
            // One profile that cannot be used is no reason to do without the others.
            Some(reason) if used.enriched > 0 => {
                permit.succeeded();
                self.report(Reason::Rubbish, &reason);
            }
            Some(reason) => self.failed(permit, Reason::Rubbish, &reason),
            None => permit.succeeded(),
        }
    }

    fn failed(&self, permit: Permit, reason: Reason, error: &dyn std::fmt::Display) {
        permit.failed();
        self.has_failed.store(true, Ordering::Relaxed);
        self.report(reason, error);
    }

    fn report(&self, reason: Reason, error: &dyn std::fmt::Display) {
        let (enricher, reason_name) = (&*self.name, reason.as_str());
        tracing::warn!(enricher, reason = reason_name, %error, "an enricher failed, events go on without it");
        self.count_failure(reason);
    }

    fn count_failure(&self, reason: Reason) {
        self.counts.failed(reason);
        let labels = [("enricher", &*self.name), ("reason", reason.as_str())];
        self.telemetry.count(Metric::EnrichmentFailures, &labels, 1);
    }

    /// Counts open circuits, if there may be any.
    pub fn show_circuits(&self) {
        if self.has_failed.load(Ordering::Relaxed) {
            let (_, open) = self.circuits.state();
            self.has_failed.store(open > 0, Ordering::Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more digits")]
            let open = open as f64;
            let labels = [("dependency", &*self.name), ("call", "enrich")];
            self.telemetry.gauge(Metric::CircuitBreakersOpen, &labels, open);
        }
    }

    pub fn status(&self) -> EnricherStatus {
        let (state, open_circuits) = self.circuits.state();
        EnricherStatus {
            name: self.name.clone(),
            state,
            open_circuits,
            overdue_calls: self.overdue.count(),
            calls: self.counts.calls.load(Ordering::Relaxed),
            failures: self.counts.failures(),
            enriched: self.counts.enriched.load(Ordering::Relaxed),
        }
    }

    /// What is wrong with it, for readiness.
    pub fn trouble(&self) -> Option<String> {
        let (state, open) = self.circuits.state();
        let is_open = state != CircuitState::Closed;
        is_open.then(|| format!("{} is left alone after failures, for {open} project(s)", self.name))
    }
}

/// What came of an answer.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Events of which something was known.
    pub enriched: u64,
    /// What could not be used, if anything.
    pub rubbish: Option<String>,
}
