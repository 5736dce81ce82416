//! The parts of the pipeline against the least that the machine has to do for them.
#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark that cannot run ends")]

#[path = "../common/ingest.rs"]
mod ingest;
mod ingest_api;
mod input;
mod log;
mod store;

use criterion::Criterion;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    ingest_api::bench(&mut criterion);
    log::bench(&mut criterion);
    store::bench(&mut criterion);
    criterion.final_summary();
}
