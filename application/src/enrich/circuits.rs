//! The circuit breakers of one enricher: one for each project, so that a project whose look-ups fail costs only itself.

use std::sync::Arc;
use std::time::Duration;

use gosight_domain::ProjectId;
use moka::sync::Cache;

use super::call::Overdue;
use crate::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitState};
use crate::ports::Clock;

/// Most projects that are known; those that were not heard of for longest are forgotten, with their failures.
const MAX_PROJECTS: u64 = 10_000;
/// A project without events is forgotten after this.
const LIFE: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub(super) struct Circuits {
    by_project: Cache<ProjectId, Arc<Circuit>>,
    config: CircuitBreakerConfig,
    clock: Arc<dyn Clock>,
}

/// One project's.
#[derive(Debug)]
pub(super) struct Circuit {
    pub breaker: Arc<CircuitBreaker>,
    pub overdue: Overdue,
}

impl Circuits {
    pub fn new(config: CircuitBreakerConfig, clock: Arc<dyn Clock>) -> Self {
        let by_project = Cache::builder().max_capacity(MAX_PROJECTS).time_to_idle(LIFE).build();
        Self { by_project, config, clock }
    }

    pub fn of(&self, project_id: &ProjectId) -> Arc<Circuit> {
        if let Some(circuit) = self.by_project.get(project_id) {
            return circuit;
        }
        self.by_project.get_with(project_id.clone(), || {
            let breaker = Arc::new(CircuitBreaker::new(self.config, self.clock.clone()));
            Arc::new(Circuit { breaker, overdue: Overdue::default() })
        })
    }

    /// The worst state of all, and how many are not closed.
    pub fn state(&self) -> (CircuitState, usize) {
        let mut worst = CircuitState::Closed;
        let mut unclosed = 0;
        for (_, circuit) in &self.by_project {
            let state = circuit.breaker.state();
            if state == CircuitState::Open || worst == CircuitState::Closed {
                worst = state;
            }
            unclosed += usize::from(state != CircuitState::Closed);
        }
        (worst, unclosed)
    }
}
