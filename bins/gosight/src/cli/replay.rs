//! `gosight replay`: recordings of sessions, from a server.

mod client;
mod export;
mod manifest;
mod operate;
mod page;
mod playable;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum ReplayCommand {
    /// Say what there is of a recording: its times, its chunks, what is missing.
    Show(show::ShowArgs),
    /// Write a recording into one HTML file that plays it, without a server and without a network.
    ///
    /// The file shows what a person saw and did: keep it as carefully as the recording.
    Export(export::ExportArgs),
    /// List the replays that are archived, and those in quarantine. Needs a key of scope `admin`, as all that follows.
    List(operate::ListArgs),
    /// Archive replays now. Asked again after `archive.grace`, it deletes what was archived in the hot store.
    Archive(operate::ArchiveArgs),
    /// Read archived replays and compare their SHA-256 with the catalogue's.
    Verify(operate::VerifyArgs),
    /// Delete everything of replays, hot and archived. Says what that is, and does it with --yes.
    Purge(operate::PurgeArgs),
}

impl ReplayCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show(args) => args.run().await,
            Self::Export(args) => args.run().await,
            Self::List(args) => args.run().await,
            Self::Archive(args) => args.run().await,
            Self::Verify(args) => args.run().await,
            Self::Purge(args) => args.run().await,
        }
    }
}
