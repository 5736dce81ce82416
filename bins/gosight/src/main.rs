//! The command `gosight`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gosight::cli::main()
}
