//! What can be wrong with a store of replay chunks.

use super::lists::{IdleFault, RecordedFault};

/// What is wrong with a store of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An upsert.
    PutOverwrites,
    /// `INSERT OR IGNORE`, and what it ignored was the same.
    PutLooksAtNamesOnly,
    /// The stored chunks are asked once, before the first is written.
    PutDoesNotSeeItsOwn,
    /// The primary key lacks the project.
    ProjectsShareChunks,
    /// Chunks are acknowledged before they are flushed.
    PutIsLostOnACrash,
    /// The fence is a parameter that nobody uses.
    PutIgnoresTheFence,
    /// Chunks are there before the fence is looked at, and stay.
    PutLooksAtTheFenceTooLate,
    /// Only its own ledger tells it of fences.
    NewerFencesAreNotHeardOf,
    /// The rows of `SELECT … IN (…)` as they come.
    ContentsComeInOrderOfNames,
    /// Only the rows that there are.
    ContentsComeWithoutGaps,
    /// The condition of the project is missing.
    ContentsOfAnyProject,
    /// The index is a part of a name.
    HeadersComeInOrderOfText,
    /// The index is a part of a key, its low byte first.
    HeadersComeInOrderOfBytes,
    /// `SELECT *`.
    HeadersHaveData,
    /// A scan of all names that start with that of the session.
    HeadersOfAPrefix,
    /// The rows of `SELECT … IN (…)` as they come.
    DataComesInOrderOfNames,
    /// Only the rows that there are.
    DataComesWithoutGaps,
    /// What is no UTF-8 is replaced.
    DataIsText,
    /// A delete does not tell what it found.
    DeleteCountsWhatWasAsked,
    /// The condition of the index is missing.
    DeleteTakesTheSession,
    /// The condition of the project is missing.
    DeleteTakesThoseOfEveryProject,
    /// Many are given, and one is bound.
    DeleteTakesTheFirst,
    /// Only chunks are asked.
    MarksDoNotCount,
    /// A mark that is taken back stays.
    MarksStay,
    /// Only marks are asked.
    ChunksDoNotCount,
    /// The rows of `SELECT … IN (…)` as they come.
    RecordingsComeInOrderOfNames,
    /// A list of a project's sessions.
    Recorded(RecordedFault),
    /// A list of idle sessions.
    Idle(IdleFault),
}
