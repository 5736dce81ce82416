use std::time::Duration;

/// When replays move, and how many at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivePolicy {
    /// A session is archived this long after its last chunk was received.
    pub hot_retention: Duration,
    /// An archived replay is deleted this long after it was archived.
    pub cold_retention: Duration,
    /// What was archived stays in the hot store this long, for those who are reading it there.
    pub grace: Duration,
    /// Sessions that are listed at once.
    pub batch: usize,
    /// Sessions that are archived at the same time.
    pub parallel: usize,
    /// How long a session is one process's own. Longer than archiving the largest takes.
    pub lease: Duration,
    /// Level of gzip, from 1 to 9.
    pub level: u32,
}

impl Default for ArchivePolicy {
    /// 30 days hot, 90 days cold, 10 minutes of grace.
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            hot_retention: 30 * DAY,
            cold_retention: 90 * DAY,
            grace: Duration::from_mins(10),
            batch: 100,
            parallel: 2,
            lease: Duration::from_mins(30),
            level: 9,
        }
    }
}
