//! `gosight replay list`, `archive`, `verify` and `purge`: what operators do, with a key of scope `admin`.

use std::fmt;
use std::process::ExitCode;

use clap::{ArgGroup, Args};
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
#[command(group = ArgGroup::new("what").required(true).args(["sessions", "user", "project"]))]
pub(in crate::cli) struct PurgeArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Sessions whose replays are deleted.
    #[arg(value_name = "SESSION")]
    sessions: Vec<String>,
    /// Delete the replays of all sessions of this user.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Delete all replays of the key's project.
    #[arg(long)]
    project: bool,
    /// Delete. Without it, only say what would be deleted.
    #[arg(long)]
    yes: bool,
}

/// A replay, wherever it is.
#[derive(Debug, Deserialize)]
struct Replay {
    session_id: String,
    storage: Option<String>,
    object: Option<String>,
    bytes: Option<u64>,
    quarantine: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Page {
    replays: Vec<Replay>,
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

#[derive(Debug, Default, Deserialize)]
struct Purged {
    hot_chunks: u64,
    archived_chunks: u64,
    objects: u64,
}

impl Purged {
    fn add(&mut self, other: &Self) {
        self.hot_chunks += other.hot_chunks;
        self.archived_chunks += other.archived_chunks;
        self.objects += other.objects;
    }
}

impl fmt::Display for Purged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hot_chunks, archived_chunks, objects } = self;
        write!(f, "{hot_chunks} hot chunks, {archived_chunks} archived chunks, {objects} objects")
    }
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

/// Asks for all pages of replays.
async fn replays(client: &Client) -> anyhow::Result<Vec<Replay>> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let query: Vec<(&str, &str)> = after.as_deref().map(|after| ("after", after)).into_iter().collect();
        let Page { replays, next } = client.get_json(client.replays_url(&query)?).await?;
        all.extend(replays);
        after = next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

impl ListArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        for Replay { session_id, storage, object, bytes, quarantine } in
            replays(&self.server.client()?).await?
        {
            let storage = storage.unwrap_or_else(|| "-".to_owned());
            let place = match (object, quarantine) {
                (_, Some(reason)) => format!("{storage:<8}  quarantine: {reason}"),
                (Some(object), None) => format!("{storage:<8}  {:>10}  {object}", bytes.unwrap_or_default()),
                (None, None) => storage,
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
            output::line(format!("{}: {outcome}", session.escape_debug()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl VerifyArgs {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let sessions = if self.sessions.is_empty() {
            let objects = replays(&client).await?.into_iter().filter(|replay| replay.object.is_some());
            objects.map(|replay| replay.session_id).collect()
        } else {
            self.sessions
        };
        let progress = ProgressBar::new(sessions.len() as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos} of {len} verified, {eta} left")?);
        let mut whole = 0;
        for session in &sessions {
            let verified = async { client.get_json(client.replay_url(session, &["verify"], &[])?).await };
            match verified.await {
                Ok(Verified { state, .. }) if state == "whole" => whole += 1,
                Ok(Verified { state, reason }) => {
                    let said = format!("{session}: {state} {}", reason.unwrap_or_default());
                    progress.suspend(|| output::line(said.escape_debug()))?;
                }
                Err(error) => {
                    let error = error.context(session.escape_debug().to_string());
                    progress.suspend(|| output::failure(error.as_ref()));
                }
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
            None if self.project => {
                replays(&client).await?.into_iter().map(|replay| replay.session_id).collect()
            }
            None => self.sessions,
        };
        let dry_run = if self.yes { "false" } else { "true" };
        let verb = if self.yes { "deleted" } else { "would delete" };
        let mut code = ExitCode::SUCCESS;
        let mut sum = Purged::default();
        let progress = ProgressBar::new(sessions.len() as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos} of {len} replays, {eta} left")?);
        for session in progress.wrap_iter(sessions.iter()) {
            let purged =
                async { client.delete_json(client.replay_url(session, &[], &[("dry_run", dry_run)])?).await };
            match purged.await {
                Ok(purged) => {
                    sum.add(&purged);
                    let session = session.escape_debug();
                    progress.suspend(|| output::line(format!("{session}: {verb} {purged}")))?;
                }
                Err(error) => {
                    let error = error.context(session.escape_debug().to_string());
                    code = progress.suspend(|| output::failure(error.as_ref()));
                }
            }
        }
        progress.finish_and_clear();
        if sessions.len() > 1 {
            output::line(format!("{verb} {sum} of {} sessions", sessions.len()))?;
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
