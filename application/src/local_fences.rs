//! Fences of stores that one process writes to.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::ports::{Fence, FencedOff, LogPartition};

/// The last fence of each partition.
///
/// A store grants and checks where it holds what makes its writes one after the other: its lock, or its one connection.
#[derive(Debug, Default)]
pub struct LocalFences(Mutex<HashMap<LogPartition, (u64, Uuid)>>);

impl LocalFences {
    fn lock(&self) -> MutexGuard<'_, HashMap<LogPartition, (u64, Uuid)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a new fence of `place`. Older ones are good no more.
    pub fn grant(&self, place: &LogPartition) -> Fence {
        let owner = Uuid::from_u128(rand::random());
        let mut fences = self.lock();
        let epoch = fences.get(place).map_or(1, |(epoch, _)| epoch + 1);
        fences.insert(place.clone(), (epoch, owner));
        Fence::granted(place.clone(), epoch, owner)
    }

    /// Takes over a fence that another ledger, or this one before it was opened again, has given.
    ///
    /// # Errors
    /// [`FencedOff`] when a newer one is known.
    pub fn adopt(&self, fence: &Fence) -> Result<(), FencedOff> {
        let mut fences = self.lock();
        let found = (fence.epoch(), fence.owner());
        let newest = fences.entry(fence.place().clone()).or_insert(found);
        if found < *newest {
            return Err(FencedOff(fence.place().clone()));
        }
        *newest = found;
        Ok(())
    }

    /// Checks that `fence` is the last of its partition.
    ///
    /// # Errors
    /// [`FencedOff`] when it is not.
    pub fn check(&self, fence: &Fence) -> Result<(), FencedOff> {
        if self.lock().get(fence.place()) == Some(&(fence.epoch(), fence.owner())) {
            return Ok(());
        }
        Err(FencedOff(fence.place().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fence_of_a_partition_is_good() {
        let fences = LocalFences::default();
        let place = |partition| LogPartition { log: "l".into(), partition };
        let (old, other) = (fences.grant(&place(0)), fences.grant(&place(1)));
        assert_eq!(fences.check(&old), Ok(()));
        let new = fences.grant(&place(0));
        assert_eq!(fences.check(&old), Err(FencedOff(place(0))));
        assert_eq!((fences.check(&new), fences.check(&other)), (Ok(()), Ok(())));
        assert!(new.epoch() > old.epoch());
        let theirs = |epoch| Fence::granted(place(3), epoch, Uuid::nil());
        assert_eq!((fences.adopt(&theirs(7)), fences.check(&theirs(7))), (Ok(()), Ok(())));
        assert_eq!((fences.adopt(&theirs(9)), fences.adopt(&theirs(9))), (Ok(()), Ok(())));
        assert_eq!(fences.adopt(&theirs(8)), Err(FencedOff(place(3))));
        assert_eq!(fences.check(&theirs(7)), Err(FencedOff(place(3))));
        let never_granted = Fence::granted(place(2), 1, Uuid::nil());
        assert_eq!(fences.check(&never_granted), Err(FencedOff(place(2))));
    }
}
