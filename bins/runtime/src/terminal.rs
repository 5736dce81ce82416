//! What commands print: results to standard output, all else to standard error.

use std::error::Error;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use crate::with_causes;

/// Writes a line to standard output. A reader that has gone away is no error of ours.
///
/// # Errors
/// Any other failure to write, as of all of these.
pub fn line(text: impl Display) -> std::io::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes `bytes` to standard output as they are.
///
/// # Errors
/// A failure to write.
pub fn bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a line that is no result to standard error.
///
/// # Errors
/// A failure to write.
pub fn note(text: impl Display) -> std::io::Result<()> {
    writeln!(std::io::stderr(), "{text}")
}

/// Says why a command failed.
pub fn failure(error: &(dyn Error + 'static)) -> ExitCode {
    // Nowhere is left to say that this failed.
    let _ = writeln!(std::io::stderr(), "error: {}", with_causes(error));
    ExitCode::FAILURE
}
