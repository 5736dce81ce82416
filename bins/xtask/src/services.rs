//! The servers that tests need.

use clap::{Args, Subcommand};
use gosight_services::{Service, Status};

use crate::tools::{print, say};

#[derive(Debug, Args)]
pub(crate) struct ServicesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install and start those that do not run, and wait until they answer.
    Up(Which),
    /// Stop them.
    Down {
        #[command(flatten)]
        which: Which,
        /// Delete their data and logs too.
        #[arg(long)]
        delete_data: bool,
    },
    /// Say which run, where, and in which version.
    Status(Which),
    /// Print their addresses as lines for a shell.
    Env(Which),
}

#[derive(Debug, Args)]
struct Which {
    /// kafka, clickhouse, redis, postgres, s3; all of them when none is named.
    #[arg(value_name = "SERVICE", value_parser = parse)]
    services: Vec<Service>,
}

impl Which {
    fn services(&self) -> &[Service] {
        if self.services.is_empty() { &Service::ALL } else { &self.services }
    }
}

fn parse(name: &str) -> Result<Service, String> {
    Service::named(name).ok_or_else(|| {
        let names: Vec<&str> = Service::ALL.iter().map(|service| service.as_str()).collect();
        format!("one of {}", names.join(", "))
    })
}

impl ServicesArgs {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        match &self.command {
            Command::Up(which) => gosight_services::up(which.services()),
            Command::Down { which, delete_data } => gosight_services::down(which.services(), *delete_data),
            Command::Status(which) => {
                gosight_services::status(which.services())?.iter().for_each(|status| print(&line(status)));
                Ok(())
            }
            Command::Env(which) => {
                which.services().iter().for_each(|service| {
                    for (name, value) in service.environment() {
                        print(&format!("export {name}='{value}'"));
                    }
                });
                Ok(())
            }
        }
    }
}

fn line(status: &Status) -> String {
    let process = match (status.answers, status.process_id) {
        (true, Some(pid)) => format!("runs, process {pid}"),
        (true, None) => "runs, not started by `up`".to_owned(),
        (false, Some(pid)) => format!("process {pid} does not answer"),
        (false, None) => "does not run".to_owned(),
    };
    format!(
        "{:<11} {:<16} {process:<28} version {}, log {}",
        status.service.as_str(),
        status.service.address(),
        status.version.as_deref().unwrap_or("unknown: not installed"),
        status.log.display(),
    )
}

/// Starts all of them, as a step of the tests.
pub(crate) fn up() -> anyhow::Result<()> {
    say("\n== servers");
    gosight_services::up(&Service::ALL)
}
