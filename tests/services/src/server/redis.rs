//! Redis, of the Linux distribution.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Context;

use super::{Place, Server, create_dir, in_path, install_packages};
use crate::ask::ask;
use crate::cache::Cache;
use crate::process::output;

#[derive(Debug)]
pub(crate) struct Redis;

const PROGRAM: &str = "redis-server";

impl Server for Redis {
    fn install(&self, cache: &Cache) -> anyhow::Result<()> {
        if in_path(PROGRAM) { Ok(()) } else { install_packages(cache, &["redis-server"]) }
    }

    fn prepare(&self, _: &Cache, place: &Place) -> anyhow::Result<()> {
        create_dir(&place.data())
    }

    fn command(&self, _: &Cache, place: &Place) -> anyhow::Result<Command> {
        let mut command = Command::new(PROGRAM);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.args(["--port", &place.port.to_string()]).arg("--dir").arg(place.data());
        for (key, value) in &place.settings {
            command.arg(format!("--{key}")).arg(value);
        }
        Ok(command)
    }

    fn answers(&self, address: SocketAddr) -> bool {
        ask(address, b"PING\r\n", 7).is_ok_and(|answer| answer == b"+PONG\r\n")
    }

    fn private_settings(&self) -> &'static [(&'static str, &'static str)] {
        &[("appendonly", "yes")]
    }

    fn version(&self, _: &Cache) -> anyhow::Result<String> {
        let text = output(Command::new(PROGRAM).arg("--version"))?;
        let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
        Ok(version.context("redis-server says no version")?.to_owned())
    }
}
