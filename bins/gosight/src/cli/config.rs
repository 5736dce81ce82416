use std::process::ExitCode;

use anyhow::anyhow;
use clap::Subcommand;
use gosight_runtime::config::to_yaml;

use gosight_runtime::terminal as output;

use super::ConfigArgs;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check all settings and print those that are in effect, with secrets masked. Touches nothing.
    Check {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl ConfigCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Check { config } = self;
        let config = config.load(Vec::new())?;
        if let Some(path) = config.enrich.geoip.database_path.as_ref().filter(|path| !path.exists()) {
            output::note(format!(
                "warning: enrich.geoip.database_path: there is no {}; events get no country until there is",
                path.display()
            ))?;
        }
        output::line(to_yaml(&config).map_err(|reason| anyhow!(reason))?)?;
        Ok(ExitCode::SUCCESS)
    }
}
