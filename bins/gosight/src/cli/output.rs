//! What commands print: results to standard output, all else to standard error.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use gosight_runtime::with_causes;

/// Writes a line to standard output. A reader that has gone away is no error of ours.
pub(super) fn line(text: impl Display) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Writes `bytes` to standard output as they are.
pub(super) fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Writes a line that is no result to standard error.
pub(super) fn note(text: impl Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stderr(), "{text}")?)
}

/// Says why a command failed.
pub(super) fn failure(error: &anyhow::Error) -> ExitCode {
    // Nowhere is left to say that this failed.
    let _ = writeln!(std::io::stderr(), "error: {}", with_causes(error.as_ref()));
    ExitCode::FAILURE
}
