use std::process::Stdio;

use gosight_redis::{Redis, RedisConfig};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::until;

/// A server of a test's own, on a socket in a directory of its own. Keeps nothing when it is killed, unless told to.
pub struct Server {
    directory: TempDir,
    settings: Vec<&'static str>,
    process: Child,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(&["--save", ""]).await
    }

    pub async fn with(settings: &[&'static str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Self { process: run(&directory, settings), directory, settings: settings.to_vec() };
        server.wait_ready().await;
        server
    }

    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub async fn start_again(&mut self) {
        self.process = run(&self.directory, &self.settings);
        self.wait_ready().await;
    }

    /// Stops the process without ending it: the server hangs.
    pub async fn pause(&self) {
        self.signal("-STOP").await;
    }

    pub async fn resume(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }

    pub fn socket(&self) -> String {
        socket(&self.directory)
    }

    pub fn config(&self) -> RedisConfig {
        RedisConfig { url: format!("unix://{}", self.socket()).into(), ..RedisConfig::default() }
    }

    pub fn redis(&self) -> Redis {
        Redis::new(&self.config()).unwrap()
    }

    /// Runs a command, given in words.
    pub async fn command(&self, words: &str) -> String {
        let socket = self.socket();
        let output =
            Command::new("redis-cli").args(["-s", &socket]).args(words.split(' ')).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    async fn wait_ready(&mut self) {
        until("the server is ready", async || {
            let answer = self.command("PING").await;
            answer == "PONG" || answer.starts_with("NOAUTH")
        })
        .await;
    }
}

fn socket(directory: &TempDir) -> String {
    directory.path().join("redis.sock").to_str().unwrap().to_owned()
}

fn run(directory: &TempDir, settings: &[&str]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            "0",
            "--unixsocket",
            &socket(directory),
            "--dir",
            directory.path().to_str().unwrap(),
        ])
        .args(settings)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("redis-server is installed")
}
