//! Replays: how fast they go in, move to the archive and come out, and what they take on disk and in memory.
#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark that cannot run ends")]
#![allow(clippy::print_stdout, reason = "the result")]
#![allow(clippy::cast_precision_loss, reason = "ratios need no more digits")]

mod archive;
mod chunks;
mod codecs;
mod first_byte;
#[path = "../common/ingest.rs"]
mod ingest;
mod memory;
mod path;
mod sizes;

use std::time::Duration;

use criterion::Criterion;
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if memory::is_asked_for() {
        return memory::drain();
    }
    let mut criterion = Criterion::default().configure_from_args();
    path::bench(&mut criterion);
    archive::bench(&mut criterion);
    criterion.final_summary();
    for (name, measure) in [
        ("sizes", sizes::measure as fn()),
        ("codecs", codecs::measure),
        ("memory", memory::measure),
        ("first byte", first_byte::measure),
    ] {
        if is_wanted(name) {
            println!("\n{name}");
            measure();
        }
    }
}

/// Whether times count; otherwise it is only seen whether all works.
fn is_measured() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// Whether the command line names this part, or none.
fn is_wanted(name: &str) -> bool {
    let mut filters = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    filters.peek().is_none() || filters.any(|filter| name.contains(&filter))
}

/// Time that this process was on processors.
fn on_processors() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("a time after the start")
}
