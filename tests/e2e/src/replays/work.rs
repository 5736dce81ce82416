//! Work that a server is killed in.

use super::{Apis, Cut, Replays};

/// How often the work may be done before the point at which the server dies has to be reached.
const ATTEMPTS: usize = 100;

/// What is done until the server dies of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Chunks come in and are stored.
    Store,
    /// They are archived too, and deleted in the hot store.
    Archive,
    /// They are purged too, wherever they are.
    Purge,
}

impl Work {
    /// Looks at what the last server left, then works until this one is dead.
    ///
    /// # Panics
    /// When it does not die, or anything is lost or there twice.
    pub async fn until_killed(self, replays: &mut Replays, apis: &Apis) -> Cut {
        for _ in 0..ATTEMPTS {
            if let Err(cut) = self.once(replays, apis).await {
                return cut;
            }
        }
        panic!("the point was not reached")
    }

    async fn once(self, replays: &mut Replays, apis: &Apis) -> Result<(), Cut> {
        Replays::processed(apis).await?;
        replays.check(apis).await?;
        replays.burst(apis).await?;
        if self != Self::Store {
            Replays::processed(apis).await?;
            replays.archive(apis).await?;
        }
        if self == Self::Purge {
            replays.purge(apis).await?;
        }
        Ok(())
    }
}
