//! What commands print: results to standard output, all else to standard error.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Writes a line to standard output. A reader that has gone away is no error of ours.
pub(super) fn line(text: impl Display) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Says why a command failed.
pub(super) fn failure(error: &anyhow::Error) -> ExitCode {
    // Nowhere is left to say that this failed.
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}
