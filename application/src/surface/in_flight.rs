use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory that the requests of all surfaces share while they are in flight, in bytes. Clones share it.
///
/// ```
/// use std::time::Duration;
///
/// use gosight_application::surface::{InFlightBudget, Overloaded};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Overloaded> {
/// let budget = InFlightBudget::new(1_000, Duration::ZERO);
/// let mut first = budget.permit();
/// first.grow(700).await?;
/// assert_eq!(budget.permit().grow(700).await, Err(Overloaded));
/// drop(first);
/// budget.permit().grow(700).await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct InFlightBudget {
    bytes: Arc<Semaphore>,
    /// The part of it that bodies take while they come in and nobody knows yet whose they are.
    unauthenticated: Arc<Semaphore>,
    wait: Duration,
}

/// Unauthenticated bodies take at most one part in so many, so that they cannot keep out those with a key.
const UNAUTHENTICATED_PART: usize = 4;

/// No memory was free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are in flight, try again later")]
pub struct Overloaded;

impl InFlightBudget {
    /// The most bytes that a budget can count.
    pub const MAX_BYTES: usize = Semaphore::MAX_PERMITS;

    /// A budget of `bytes`; a request that finds none free waits for `wait`.
    pub fn new(bytes: usize, wait: Duration) -> Self {
        let bytes = bytes.min(Self::MAX_BYTES);
        let unauthenticated = Arc::new(Semaphore::new(bytes / UNAUTHENTICATED_PART));
        Self { bytes: Arc::new(Semaphore::new(bytes)), unauthenticated, wait }
    }

    /// An empty permit.
    pub fn permit(&self) -> Permit {
        Permit { budget: self.bytes.clone(), wait: self.wait, held: None }
    }

    /// An empty permit on the part for unauthenticated requests, to be held beside the other one while a body comes in.
    pub fn unauthenticated(&self) -> Permit {
        Permit { budget: self.unauthenticated.clone(), wait: self.wait, held: None }
    }
}

/// The memory that one request may hold, given back when dropped.
///
/// It grows as the bytes come, not by what a client announces: who announces much and sends nothing blocks nobody.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Semaphore>,
    wait: Duration,
    held: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// Takes `bytes` more, waiting a while if need be.
    ///
    /// # Errors
    /// [`Overloaded`] when they do not become free in time.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), Overloaded> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // Mostly there is room, and then no timer is needed.
        let at_once = self.budget.clone().try_acquire_many_owned(bytes);
        let permit = if let Ok(permit) = at_once {
            permit
        } else {
            let more = self.budget.clone().acquire_many_owned(bytes);
            match tokio::time::timeout(self.wait, more).await {
                Ok(Ok(permit)) => permit,
                _ => return Err(Overloaded),
            }
        };
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        Ok(())
    }

    /// Gives back what is held beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        if let Some(held) = &mut self.held {
            drop(held.split(held.num_permits().saturating_sub(bytes)));
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_permit_grows_shrinks_and_is_given_back() {
        let budget = InFlightBudget::new(100, Duration::from_millis(10));
        let mut first = budget.permit();
        first.grow(60).await.unwrap();
        first.grow(20).await.unwrap();
        let mut second = budget.permit();
        assert_eq!(second.grow(30).await, Err(Overloaded));
        first.shrink_to(70);
        assert_eq!((first.bytes(), second.grow(30).await), (70, Ok(())));
        drop(first);
        second.grow(70).await.unwrap();
        assert_eq!(second.bytes(), 100);
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back() {
        let budget = InFlightBudget::new(10, Duration::from_mins(1));
        let mut first = budget.permit();
        first.grow(10).await.unwrap();
        let mut second = budget.permit();
        let (grown, ()) = tokio::join!(second.grow(5), async { drop(first) });
        assert_eq!((grown, second.bytes()), (Ok(()), 5));
    }

    #[tokio::test]
    async fn the_unauthenticated_have_a_part_of_it() {
        let budget = InFlightBudget::new(100, Duration::ZERO);
        let mut unauthenticated = budget.unauthenticated();
        unauthenticated.grow(25).await.unwrap();
        assert_eq!(budget.unauthenticated().grow(1).await, Err(Overloaded));
        budget.permit().grow(100).await.unwrap();
    }
}
