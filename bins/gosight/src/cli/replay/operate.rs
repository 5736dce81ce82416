//! `gosight replay list`, `archive`, `verify` and `purge`: what operators do, with a key of scope `admin`.

use std::process::ExitCode;

use clap::Args;
use gosight_runtime::terminal as output;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::client::{Client, ServerArgs};

/// Flags of `gosight replay list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// Flags of `gosight replay archive`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ArchiveArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Sessions to archive, whatever their age.
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Flags of `gosight replay verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Sessions to verify; all that are archived when there is none.
    #[arg(value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Flags of `gosight replay purge`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PurgeArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Sessions whose replays are deleted.
    #[arg(required_unless_present = "user", conflicts_with = "user", value_name = "SESSION")]
    sessions: Vec<String>,
    /// Delete the replays of all sessions of this user.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Delete. Without it, only say what would be deleted.
    #[arg(long)]
    yes: bool,
}

/// An archived replay, or one in quarantine.
#[derive(Debug, Deserialize)]
struct Archived {
    session_id: String,
    object: Option<String>,
    bytes: Option<u64>,
    quarantine: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Page {
    replays: Vec<Archived>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    outcome: String,
}

#[derive(Debug, Deserialize)]
struct Verified {
    state: String,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Purged {
    hot_chunks: u64,
    archived_chunks: u64,
    objects: u64,
}

#[derive(Debug, Deserialize)]
struct Sessions {
    sessions: Vec<Session>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Session {
    session_id: String,
}

/// Asks for all pages of what is archived.
async fn archived(client: &Client) -> anyhow::Result<Vec<Archived>> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let query: Vec<(&str, &str)> = after.as_deref().map(|after| ("after", after)).into_iter().collect();
        let Page { replays, next } = client.get_json(client.archived_url(&query)?).await?;
        all.extend(replays);
        after = next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

impl ListArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        for Archived { session_id, object, bytes, quarantine } in archived(&self.server.client()?).await? {
            let place = match (object, quarantine) {
                (_, Some(reason)) => format!("quarantine  {reason}"),
                (Some(object), None) => format!("{:>10}  {object}", bytes.unwrap_or_default()),
                (None, None) => "-".to_owned(),
            };
            // Senders choose these ids; a terminal must not obey them.
            output::line(format!("{:<36}  {place}", session_id.escape_debug().to_string()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl ArchiveArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        for session in &self.sessions {
            let url = client.replay_url(session, &["archive"], &[])?;
            let Outcome { outcome } = client.post_json(url).await?;
            output::line(format!("{session}: {outcome}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl VerifyArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let sessions = if self.sessions.is_empty() {
            let objects = archived(&client).await?.into_iter().filter(|replay| replay.object.is_some());
            objects.map(|replay| replay.session_id).collect()
        } else {
            self.sessions
        };
        let progress = ProgressBar::new(sessions.len() as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos} of {len} verified, {eta} left")?);
        let mut whole = 0;
        for session in &sessions {
            let Verified { state, reason } =
                client.get_json(client.replay_url(session, &["verify"], &[])?).await?;
            if state == "whole" {
                whole += 1;
            } else {
                let reason = reason.unwrap_or_default();
                progress.suspend(|| output::line(format!("{session}: {state} {reason}")))?;
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        output::line(format!("{whole} of {} are whole", sessions.len()))?;
        Ok(if whole == sessions.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl PurgeArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let sessions = match &self.user {
            Some(user) => sessions_of(&client, user).await?,
            None => self.sessions,
        };
        let dry_run = if self.yes { "false" } else { "true" };
        let mut code = ExitCode::SUCCESS;
        for session in &sessions {
            let purged =
                async { client.delete_json(client.replay_url(session, &[], &[("dry_run", dry_run)])?).await };
            let Purged { hot_chunks, archived_chunks, objects } = match purged.await {
                Ok(purged) => purged,
                Err(error) => {
                    code = output::failure(error.as_ref());
                    continue;
                }
            };
            let verb = if self.yes { "deleted" } else { "would delete" };
            output::line(format!(
                "{session}: {verb} {hot_chunks} hot chunks, {archived_chunks} archived chunks, {objects} objects"
            ))?;
        }
        if sessions.is_empty() {
            output::note("no recordings were found")?;
        } else if !self.yes {
            output::note("nothing was deleted; --yes does it")?;
        }
        Ok(code)
    }
}

async fn sessions_of(client: &Client, user: &str) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("user_id", user), ("has_replay", "true")];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let Sessions { sessions, next } = client.get_json(client.sessions_url(&query)).await?;
        all.extend(sessions.into_iter().map(|session| session.session_id));
        after = next;
        if after.is_none() {
            return Ok(all);
        }
    }
}
