//! `gosight dlq`: records that could not be processed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use gosight_application::ports::{DeadLetter, DeadLetters, LogPosition};
use serde_json::json;

use gosight_runtime::storage::Storage;
use gosight_runtime::terminal as output;

use super::ConfigArgs;

#[derive(Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// List what was dead-lettered, one JSON object per line. Works while the server runs.
    List(ListArgs),
    /// Show one with its record. Works while the server runs.
    Show {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(flatten)]
        place: Place,
        /// Print the record alone, byte for byte, to be repaired.
        #[arg(long)]
        record: bool,
    },
    /// Put records back into their log, to be processed once more.
    ///
    /// A server on a data directory must be stopped, because one process at a time writes to its log; it processes them
    /// when it starts.
    Replay {
        #[command(flatten)]
        config: ConfigArgs,
        /// Positions, as `gosight dlq list` shows them.
        #[arg(required = true, value_name = "POSITION", value_parser = parse_position)]
        positions: Vec<LogPosition>,
        /// File with the repaired record, to be taken in place of the one that was dead-lettered.
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
    /// Forget records for good. Works while the server runs.
    Drop {
        #[command(flatten)]
        config: ConfigArgs,
        /// Positions, as `gosight dlq list` shows them.
        #[arg(required = true, value_name = "POSITION", value_parser = parse_position)]
        positions: Vec<LogPosition>,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only those after this position.
    #[arg(long, value_name = "POSITION", value_parser = parse_position)]
    after: Option<LogPosition>,
    /// Most of them.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Args)]
pub(super) struct Place {
    /// Position, as `gosight dlq list` shows it.
    #[arg(value_name = "POSITION", value_parser = parse_position)]
    position: LogPosition,
}

/// Reads `LOG/PARTITION/OFFSET`.
fn parse_position(text: &str) -> Result<LogPosition, String> {
    let read = || {
        let (rest, offset) = text.rsplit_once('/')?;
        let (log, partition) = rest.rsplit_once('/')?;
        Some(LogPosition {
            log: log.into(),
            partition: partition.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    };
    read().ok_or_else(|| "must be LOG/PARTITION/OFFSET, such as gosight.events.raw/0/17".to_owned())
}

impl DlqCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(ListArgs { config, after, limit }) => {
                let letters = dead_letters(&config).await?;
                let listed = letters.list(after.as_ref(), limit).await?;
                for letter in &listed {
                    output::line(summary(letter))?;
                }
                if let Some(last) = listed.last().filter(|_| listed.len() == limit) {
                    output::note(format!("there may be more: --after {}", last.position))?;
                }
            }
            Self::Show { config, place, record } => {
                let letter = get(&*dead_letters(&config).await?, &place.position).await?;
                if record {
                    output::bytes(&letter.record)?;
                } else {
                    output::line(whole(&letter))?;
                }
            }
            Self::Replay { config, positions, record } => replay(&config, &positions, record).await?,
            Self::Drop { config, positions } => {
                let letters = dead_letters(&config).await?;
                for position in &positions {
                    get(&*letters, position).await?;
                    letters.remove(position).await?;
                    output::line(format!("dropped {position}"))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn dead_letters(config: &ConfigArgs) -> anyhow::Result<Arc<dyn DeadLetters>> {
    let config = config.load(Vec::new())?;
    Storage::of(&config).dead_letters().await
}

async fn get(letters: &dyn DeadLetters, position: &LogPosition) -> anyhow::Result<DeadLetter> {
    let found = letters.get(position).await?;
    found.ok_or_else(|| anyhow!("there is no dead letter {position}; see `gosight dlq list`"))
}

async fn replay(
    config: &ConfigArgs,
    positions: &[LogPosition],
    repaired: Option<PathBuf>,
) -> anyhow::Result<()> {
    if repaired.is_some() && positions.len() > 1 {
        bail!("--record goes with one position");
    }
    let repaired = match &repaired {
        Some(path) => Some(std::fs::read(path).with_context(|| path.display().to_string())?.into()),
        None => None,
    };
    let config = config.load(Vec::new())?;
    let replay = Storage::of(&config).letters_to_replay().await?;
    let mut result = Ok(());
    for position in positions {
        result =
            replay.letters.replay(position, repaired.clone()).await.with_context(|| position.to_string());
        if result.is_err() {
            break;
        }
        output::line(format!("put {position} back; it is processed {}", replay.when))?;
    }
    replay.close().await?;
    result
}

fn summary(letter: &DeadLetter) -> serde_json::Value {
    let DeadLetter { position, project_id, reason, detail, at, record } = letter;
    json!({
        "position": position.to_string(),
        "project_id": project_id.as_ref().map(ToString::to_string),
        "reason": &**reason,
        "detail": detail,
        "at": at.as_millis(),
        "record_bytes": record.len(),
    })
}

/// The letter with its record as text; bytes that are none are replaced, and given by `--record`.
fn whole(letter: &DeadLetter) -> String {
    let mut shown = summary(letter);
    shown["record"] = json!(String::from_utf8_lossy(&letter.record));
    format!("{shown:#}")
}
