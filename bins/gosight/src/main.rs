//! The command `gosight`.

use std::process::ExitCode;

/// Events are made on one thread and freed on another all the time, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gosight::cli::main()
}
