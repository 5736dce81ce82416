//! `gosight replay`: recordings of sessions, from a server.

mod client;
mod export;
mod manifest;
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
}

impl ReplayCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Show(args) => args.run().await,
            Self::Export(args) => args.run().await,
        }
    }
}
