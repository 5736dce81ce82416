//! Reads replay chunks from Kafka and stores them in `ClickHouse`.

use std::process::ExitCode;

use gosight_runtime::Role;

/// Events are made on one thread and freed on another all the time, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gosight_runtime::thin::main(Role::ReplayProcessor)
}
