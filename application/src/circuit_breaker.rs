//! Leaves a part alone that fails, for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gosight_domain::Timestamp;

use crate::ports::Clock;

/// When a circuit breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreakerConfig {
    /// Failures in a row that open it; 0 counts as 1.
    pub failures: u32,
    /// How long it stays open before one call is let through to see whether the part is well again.
    pub cool_down: Duration,
}

impl Default for CircuitBreakerConfig {
    /// 5 failures in a row, 30 seconds.
    fn default() -> Self {
        Self { failures: 5, cool_down: Duration::from_secs(30) }
    }
}

/// What a circuit breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// Every call.
    Closed,
    /// None.
    Open,
    /// One call, whose outcome closes or opens it.
    HalfOpen,
}

impl CircuitState {
    /// The name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Counts failures in a row, and refuses calls after too many of them. Nobody waits for it: its lock is held for the time
/// of a comparison.
///
/// ```
/// use std::sync::Arc;
/// use gosight_application::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitState};
/// use gosight_application::ports::SystemClock;
///
/// let config = CircuitBreakerConfig { failures: 1, ..CircuitBreakerConfig::default() };
/// let breaker = Arc::new(CircuitBreaker::new(config, Arc::new(SystemClock)));
/// breaker.permit().expect("is closed").failed();
/// assert_eq!(breaker.state(), CircuitState::Open);
/// assert!(breaker.permit().is_none());
/// ```
#[derive(Debug)]
pub struct CircuitBreaker {
    config: CircuitBreakerConfig,
    clock: Arc<dyn Clock>,
    circuit: Mutex<Circuit>,
}

#[derive(Debug)]
struct Circuit {
    position: Position,
    /// Grows with each change of position. What calls of an earlier one come to is of no interest any more.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    Closed { failures: u32 },
    Open { since: Timestamp },
    HalfOpen { since: Timestamp },
}

impl Circuit {
    fn change(&mut self, position: Position) {
        self.position = position;
        self.generation += 1;
    }
}

impl CircuitBreaker {
    /// A closed one, which takes the time from `clock`.
    pub fn new(config: CircuitBreakerConfig, clock: Arc<dyn Clock>) -> Self {
        let circuit = Circuit { position: Position::Closed { failures: 0 }, generation: 0 };
        Self { config, clock, circuit: Mutex::new(circuit) }
    }

    /// What it lets through. One that was open for its time stays [`Open`](CircuitState::Open) until a call is made.
    pub fn state(&self) -> CircuitState {
        match self.lock().position {
            Position::Closed { .. } => CircuitState::Closed,
            Position::Open { .. } => CircuitState::Open,
            Position::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Leave to make a call, whose outcome has to be reported to the permit; `None` while it is open.
    pub fn permit(self: &Arc<Self>) -> Option<Permit> {
        let now = self.clock.now();
        let mut circuit = self.lock();
        match circuit.position {
            Position::Closed { .. } => {}
            Position::Open { since } if self.has_cooled_down(since, now) => {
                circuit.change(Position::HalfOpen { since });
            }
            Position::Open { .. } | Position::HalfOpen { .. } => return None,
        }
        Some(Permit { breaker: self.clone(), generation: circuit.generation, is_told: false })
    }

    /// A clock that was set back does not keep it open.
    fn has_cooled_down(&self, since: Timestamp, now: Timestamp) -> bool {
        let open_ms = now.as_millis().saturating_sub(since.as_millis());
        u64::try_from(open_ms).map_or(true, |open_ms| Duration::from_millis(open_ms) >= self.config.cool_down)
    }

    /// The circuit, if it is as it was when the call of `permit` began.
    fn unchanged(&self, permit: &Permit) -> Option<MutexGuard<'_, Circuit>> {
        Some(self.lock()).filter(|circuit| circuit.generation == permit.generation)
    }

    /// Its value is whole after each statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to make one call. A call that is given up without an outcome says nothing about the part: another one may be made
/// in its place.
#[derive(Debug)]
#[must_use = "the circuit breaker has to be notified of the outcome"]
pub struct Permit {
    breaker: Arc<CircuitBreaker>,
    generation: u64,
    is_told: bool,
}

impl Permit {
    /// The call did what it should.
    pub fn succeeded(mut self) {
        self.is_told = true;
        if let Some(mut circuit) = self.breaker.unchanged(&self) {
            match circuit.position {
                Position::HalfOpen { .. } => circuit.change(Position::Closed { failures: 0 }),
                Position::Closed { .. } => circuit.position = Position::Closed { failures: 0 },
                Position::Open { .. } => {}
            }
        }
    }

    /// The call failed.
    pub fn failed(mut self) {
        self.is_told = true;
        let now = self.breaker.clock.now();
        if let Some(mut circuit) = self.breaker.unchanged(&self) {
            match circuit.position {
                Position::Closed { failures } if failures + 1 < self.breaker.config.failures => {
                    circuit.position = Position::Closed { failures: failures + 1 };
                }
                Position::Closed { .. } | Position::HalfOpen { .. } => {
                    circuit.change(Position::Open { since: now });
                }
                Position::Open { .. } => {}
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_told {
            return;
        }
        if let Some(mut circuit) = self.breaker.unchanged(self)
            && let Position::HalfOpen { since } = circuit.position
        {
            circuit.change(Position::Open { since });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Hands(AtomicI64);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    fn breaker() -> (Arc<CircuitBreaker>, Arc<Hands>) {
        let clock = Arc::new(Hands::default());
        let config = CircuitBreakerConfig { failures: 3, cool_down: Duration::from_secs(10) };
        (Arc::new(CircuitBreaker::new(config, clock.clone())), clock)
    }

    fn fail(breaker: &Arc<CircuitBreaker>, times: usize) {
        (0..times).for_each(|_| breaker.permit().unwrap().failed());
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_begins_anew() {
        let (breaker, _) = breaker();
        fail(&breaker, 2);
        breaker.permit().unwrap().succeeded();
        fail(&breaker, 2);
        assert_eq!(breaker.state(), CircuitState::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Open);
        assert!(breaker.permit().is_none());
    }

    #[test]
    fn after_its_time_one_call_decides() {
        let (breaker, clock) = breaker();
        fail(&breaker, 3);
        clock.0.store(9_999, Ordering::SeqCst);
        assert!(breaker.permit().is_none());
        clock.0.store(10_000, Ordering::SeqCst);
        let probe = breaker.permit().unwrap();
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        assert!(breaker.permit().is_none(), "one call is enough to see");
        probe.failed();
        assert!(breaker.permit().is_none(), "it is open for its whole time again");
        clock.0.store(20_000, Ordering::SeqCst);
        breaker.permit().unwrap().succeeded();
        assert_eq!(breaker.state(), CircuitState::Closed);
        fail(&breaker, 2);
        assert_eq!(breaker.state(), CircuitState::Closed, "failures of before do not count");
    }

    #[test]
    fn a_call_that_is_given_up_makes_room_for_another() {
        let (breaker, clock) = breaker();
        fail(&breaker, 3);
        clock.0.store(10_000, Ordering::SeqCst);
        drop(breaker.permit().unwrap());
        assert_eq!(breaker.state(), CircuitState::Open);
        breaker.permit().unwrap().succeeded();
        assert_eq!(breaker.state(), CircuitState::Closed);
    }

    #[test]
    fn calls_that_began_before_it_opened_say_nothing_afterwards() {
        let (breaker, clock) = breaker();
        let (early, late) = (breaker.permit().unwrap(), breaker.permit().unwrap());
        fail(&breaker, 3);
        early.succeeded();
        assert_eq!(breaker.state(), CircuitState::Open);
        clock.0.store(10_000, Ordering::SeqCst);
        let probe = breaker.permit().unwrap();
        late.failed();
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        probe.succeeded();
        assert_eq!(breaker.state(), CircuitState::Closed);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_it_open() {
        let (breaker, clock) = breaker();
        clock.0.store(1_000_000, Ordering::SeqCst);
        fail(&breaker, 3);
        clock.0.store(0, Ordering::SeqCst);
        assert!(breaker.permit().is_some());
    }
}
