//! Time on processors, by process: unlike a rate, it says what an event costs whatever else runs on the machine.

use std::collections::BTreeMap;

/// What `/proc` counts in: Linux tells programs hundredths of seconds on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds on processors so far, by process.
pub struct Usage(BTreeMap<&'static str, f64>);

impl Usage {
    /// Of these processes, and of this one, which sends.
    pub fn of(processes: impl Iterator<Item = (&'static str, u32)>) -> Self {
        let all = processes.chain([("sender", std::process::id())]);
        Self(all.map(|(name, id)| (name, seconds(id))).collect())
    }

    /// What was used since `before`, for each of `events`.
    pub fn print_since(&self, before: &Self, events: u64) {
        let used = |(name, now): (&&'static str, &f64)| {
            // A process that was started again counts from its start.
            let then = before.0.get(name).copied().filter(|then| then <= now).unwrap_or(0.0);
            format!("{name} {:.1}", (now - then) * 1e6 / events as f64)
        };
        println!("µs of a core for each event: {}", self.0.iter().map(used).collect::<Vec<_>>().join(", "));
    }
}

/// None for a process that has ended.
fn seconds(id: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { return 0.0 };
    // The name, in brackets, may have spaces in it; 11 fields later are the times as a user and in the kernel.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}
