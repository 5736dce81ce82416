use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Subcommand, ValueEnum};
use gosight_application::ports::ProfileKind;
use gosight_domain::{JsonObject, ProjectId};
use serde::Deserialize;

use gosight_runtime::storage::Storage;
use gosight_runtime::terminal as output;

use super::ConfigArgs;

#[derive(Debug, Subcommand)]
pub(super) enum ProfilesCommand {
    /// Read profiles, one JSON object per line: `{"id": "u-1", "profile": {"type": "premium"}}`.
    ///
    /// A profile replaces the one with its id. A running server sees it within `process.profiles.cache_life`.
    Put {
        #[command(flatten)]
        config: ConfigArgs,
        /// Project of the profiles.
        #[arg(long, default_value = "default")]
        project: String,
        /// What the profiles are about.
        #[arg(long)]
        kind: Kind,
        /// File with the profiles; standard input when left out.
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    User,
    Item,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    profile: JsonObject,
}

impl ProfilesCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Put { config, project, kind, file } = self;
        let project = ProjectId::new(project).context("--project")?;
        let kind = match kind {
            Kind::User => ProfileKind::User,
            Kind::Item => ProfileKind::Item,
        };
        let profiles = match &file {
            Some(path) => {
                let name = path.display();
                let file = std::fs::File::open(path).with_context(|| name.to_string())?;
                read(std::io::BufReader::new(file)).with_context(|| name.to_string())?
            }
            None => read(std::io::stdin().lock()).context("standard input")?,
        };
        let config = config.load(Vec::new())?;
        Storage::of(&config).accounts().await?.projects.put_profiles(&project, kind, &profiles).await?;
        output::line(format!("{} profiles stored", profiles.len()))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read(input: impl BufRead) -> anyhow::Result<Vec<(String, JsonObject)>> {
    let mut profiles = Vec::new();
    for (number, line) in (1..).zip(input.lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let Line { id, profile } =
            serde_json::from_str(&line).map_err(|error| anyhow!("line {number}: {error}"))?;
        profiles.push((id, profile));
    }
    Ok(profiles)
}
