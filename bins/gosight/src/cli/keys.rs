use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use gosight_application::keys::{KeyRequest, Keys, NewKey};
use gosight_application::ports::{Clock, SystemClock};
use gosight_domain::key::{ApiKey, Scope};
use gosight_domain::{ProjectId, Timestamp};
use uuid::Uuid;

use gosight_runtime::storage::Storage;
use gosight_runtime::terminal as output;

use super::ConfigArgs;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key and print it, this once. A data directory that is not there is made.
    Create(CreateArgs),
    /// List keys, without the keys themselves.
    List {
        #[command(flatten)]
        config: ConfigArgs,
        /// Only keys of this project.
        #[arg(long)]
        project: Option<String>,
    },
    /// Revoke a key. Running servers refuse it within `keys.cache_life`, and with Redis `redis.key_life` more.
    Revoke {
        #[command(flatten)]
        config: ConfigArgs,
        /// Id of the key, as `gosight keys list` shows it.
        key_id: Uuid,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Project that the key is for; made if there is none.
    #[arg(long, default_value = "default")]
    project: String,
    /// What the key may do; several are given one by one or with commas between them.
    #[arg(long = "scope", required = true, value_delimiter = ',', value_parser = parse_scope, value_name = "ingest|read|admin")]
    scopes: Vec<Scope>,
    /// What the key is for, in your words.
    #[arg(long, default_value = "")]
    name: String,
    /// When the key ends, from now, such as `90days`.
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    expires_in: Option<Duration>,
    /// Make a key that starts with `gs_test_` instead of `gs_live_`.
    #[arg(long)]
    test: bool,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::from_name(text).ok_or_else(|| "must be ingest, read or admin".to_owned())
}

impl KeysCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(args) => args.run().await?,
            Self::List { config, project } => {
                let project = project.map(ProjectId::new).transpose().context("--project")?;
                let keys = keys(&config).await?.list(project.as_ref()).await?;
                output::line(table(&keys, &SystemClock))?;
            }
            Self::Revoke { config, key_id } => {
                if !keys(&config).await?.revoke(key_id).await? {
                    bail!("there is no key {key_id}; see `gosight keys list`");
                }
                output::line(format!("revoked {key_id}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The keys that there are.
async fn keys(config: &ConfigArgs) -> anyhow::Result<Keys> {
    let config = config.load(Vec::new())?;
    Ok(Storage::of(&config).accounts().await?.keys)
}

impl CreateArgs {
    async fn run(self) -> anyhow::Result<()> {
        let project_id = ProjectId::new(self.project.as_str()).context("--project")?;
        let config = self.config.load(Vec::new())?;
        let (accounts, new_dir) = Storage::of(&config).new_accounts().await?;
        if let Some(dir) = new_dir {
            output::note(format!("made a new data directory at {}", dir.display()))?;
        }
        let request = KeyRequest {
            project_id,
            name: self.name,
            scopes: self.scopes,
            expires_in: self.expires_in,
            is_test: self.test,
        };
        let NewKey { key, .. } = accounts.keys.create(request).await?;
        Ok(output::line(key.reveal())?)
    }
}

/// A time in UTC, to the second.
fn shown_time(at: Option<Timestamp>) -> String {
    let since_epoch = at.and_then(|at| u64::try_from(at.as_millis()).ok()).map(Duration::from_millis);
    let time = since_epoch.and_then(|since_epoch| SystemTime::UNIX_EPOCH.checked_add(since_epoch));
    time.map_or_else(|| "-".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

fn table(keys: &[ApiKey], clock: &dyn Clock) -> String {
    let now = clock.now();
    let mut lines = vec![format!(
        "{:<36}  {:<16}  {:<14}  {:<18}  {:<8}  {:>8}  {:<20}  {:<20}  {:<20}  {}",
        "ID", "PROJECT", "KEY", "SCOPES", "STATE", "REQUESTS", "CREATED", "EXPIRES", "LAST USED", "NAME"
    )];
    for key in keys {
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        let state = match key.grant(now) {
            Ok(_) => "active",
            Err(gosight_domain::key::KeyRefusal::Expired) => "expired",
            Err(_) => "revoked",
        };
        lines.push(format!(
            "{:<36}  {:<16}  {:<14}  {:<18}  {:<8}  {:>8}  {:<20}  {:<20}  {:<20}  {}",
            key.key_id,
            key.project_id,
            format!("{}…", key.prefix),
            scopes.join(","),
            state,
            key.request_count,
            shown_time(Some(key.created_at)),
            shown_time(key.expires_at),
            shown_time(key.last_used_at),
            key.name
        ));
    }
    lines.join("\n")
}
