//! How busy a worker is.

use std::time::Duration;

/// The part of the last minute in which a worker was busy. Times are since some moment before the first of them.
#[derive(Debug, Clone)]
pub(super) struct Utilization {
    began: Duration,
    busy_since: Option<Duration>,
    slots: [Slot; SLOTS],
}

/// Time in which the worker was busy, in one part of the window.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    number: u128,
    busy: Duration,
}

const SLOTS: usize = 12;
const SLOT: Duration = Duration::from_secs(5);

impl Utilization {
    pub(super) fn new(now: Duration) -> Self {
        Self { began: now, busy_since: None, slots: [Slot::default(); SLOTS] }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy_since.is_some()
    }

    /// The worker begins to work, or goes on.
    pub(super) fn begin(&mut self, now: Duration) {
        self.note(now);
        self.busy_since = Some(now);
    }

    /// The worker waits.
    pub(super) fn end(&mut self, now: Duration) {
        self.note(now);
        self.busy_since = None;
    }

    /// Percent of the window, 0 to 100. The window is shorter than a minute until the worker is as old.
    pub(super) fn percent(&mut self, now: Duration) -> f64 {
        self.note(now);
        let first = first_slot(now);
        let window = now.saturating_sub(start(first).max(self.began));
        let busy: Duration =
            self.slots.iter().filter(|slot| slot.number >= first).map(|slot| slot.busy).sum();
        if window.is_zero() {
            return 0.0;
        }
        (100.0 * busy.as_secs_f64() / window.as_secs_f64()).min(100.0)
    }

    /// Writes down the work until `now`.
    fn note(&mut self, now: Duration) {
        let Some(since) = self.busy_since.replace(now) else {
            self.busy_since = None;
            return;
        };
        // What lies before the window is not of interest.
        let mut from = since.max(start(first_slot(now)));
        while from < now {
            let number = slot_of(from);
            let to = start(number + 1).min(now);
            self.add(number, to.saturating_sub(from));
            from = to;
        }
    }

    fn add(&mut self, number: u128, busy: Duration) {
        let Ok(place) = usize::try_from(number % SLOTS as u128) else { return };
        let slot = &mut self.slots[place];
        if slot.number != number {
            *slot = Slot { number, busy: Duration::ZERO };
        }
        slot.busy += busy;
    }
}

fn slot_of(time: Duration) -> u128 {
    time.as_nanos() / SLOT.as_nanos()
}

/// When a slot begins.
fn start(slot: u128) -> Duration {
    SLOT.saturating_mul(u32::try_from(slot).unwrap_or(u32::MAX))
}

/// The first slot of the window that ends in the slot of `now`.
fn first_slot(now: Duration) -> u128 {
    (slot_of(now) + 1).saturating_sub(SLOTS as u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[track_caller]
    fn assert_percent(utilization: &mut Utilization, now: Duration, expected: f64) {
        let percent = utilization.percent(now);
        assert!((percent - expected).abs() < 0.01, "{percent}, not {expected}");
    }

    #[test]
    fn work_is_a_part_of_the_time_since_the_worker_began() {
        let mut utilization = Utilization::new(s(3));
        assert_percent(&mut utilization, s(3), 0.0);
        assert_percent(&mut utilization, s(4), 0.0);
        utilization.begin(s(4));
        assert_percent(&mut utilization, s(5), 50.0);
        utilization.end(s(7));
        // 3 s of 20 s.
        assert_percent(&mut utilization, s(23), 15.0);
    }

    #[test]
    fn work_that_goes_on_is_counted_while_it_does() {
        let mut utilization = Utilization::new(s(0));
        utilization.begin(s(0));
        for now in [1, 9, 61, 400] {
            assert_percent(&mut utilization, s(now), 100.0);
        }
        utilization.end(s(400));
        // Of the last minute, which is 55 s and what there is of the running slot, 20 s are idle.
        assert_percent(&mut utilization, s(420), 100.0 * 35.0 / 55.0);
    }

    #[test]
    fn what_is_long_past_does_not_count() {
        let mut utilization = Utilization::new(s(0));
        utilization.begin(s(10));
        utilization.end(s(30));
        assert_percent(&mut utilization, s(60), 100.0 * 20.0 / 55.0);
        assert_percent(&mut utilization, s(90), 0.0);
        assert_percent(&mut utilization, s(10_000), 0.0);
    }
}
