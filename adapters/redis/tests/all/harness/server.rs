use std::process::Command;

use deadpool_redis::redis::{Value, cmd};
use gosight_redis::{Redis, RedisConfig};
use gosight_services::{Instance, Service};

use super::{patient, raw};

/// A server of a test's own, to be killed, paused and emptied.
pub struct Server(Instance);

impl Server {
    /// One that has forgotten everything when it is started again.
    pub fn forgetful() -> Self {
        Self::with(&[("appendonly", "no")])
    }

    pub fn with(settings: &[(&str, &str)]) -> Self {
        Self(Instance::start_with(Service::Redis, settings))
    }

    pub fn kill(&self) {
        self.0.kill();
    }

    pub fn start_again(&self) {
        self.0.start_again();
    }

    /// Stops the process without ending it: the server hangs.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.0.process_id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub fn instance(&self) -> &Instance {
        &self.0
    }

    pub fn config(&self) -> RedisConfig {
        RedisConfig { url: self.0.url().as_str().into(), ..patient() }
    }

    pub fn redis(&self) -> Redis {
        Redis::new(&self.config()).unwrap()
    }

    /// Runs a command, given in words.
    pub async fn command(&self, words: &str) {
        let mut words = words.split(' ');
        let mut command = cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        let _: Value = command.query_async(&mut raw(&self.config()).await).await.unwrap();
    }
}

impl Drop for Server {
    /// One that is paused could not end.
    fn drop(&mut self) {
        if self.0.process_id().is_some() {
            self.resume();
        }
    }
}
