use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gosight_e2e::PATIENCE;

/// How a process is started.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub binary: PathBuf,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
}

/// One of the binaries, running. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    start: Start,
    child: Child,
    output: Arc<Mutex<String>>,
    url: String,
    /// The same, for those who go on when it is started again.
    latest_url: Arc<Mutex<String>>,
}

impl Process {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(start: Start) -> Self {
        let mut command = Command::new(&start.binary);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GOSIGHT_")) {
            command.env_remove(name);
        }
        command.args(&start.args).envs(&start.env).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("piped"), &output);
        collect(child.stderr.take().expect("piped"), &output);
        let mut process = Self { start, child, output, url: String::new(), latest_url: Arc::default() };
        let since = Instant::now();
        while process.url.is_empty() {
            let text = process.output();
            assert!(process.status().is_none(), "it did not start:\n{text}");
            assert!(since.elapsed() < PATIENCE, "it does not come up:\n{text}");
            let said = text.lines().find_map(|line| line.split_once(" listens on "));
            process.url = said.map(|(_, url)| url.to_owned()).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(5));
        }
        process.tell_url();
        process
    }

    fn tell_url(&self) {
        self.latest_url.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.url);
    }

    /// Where it listens, such as `http://127.0.0.1:41234`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells where it listens, also after it was started again.
    pub fn follow(&self) -> impl Fn() -> String + Send + Sync + 'static {
        let latest = self.latest_url.clone();
        move || latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Memory that it takes, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// How it ended, if it did.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.wait();
    }

    /// Stops it with SIGTERM.
    pub fn stop(&mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        self.wait()
    }

    /// Starts it again as it was. It must have ended.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// Starts it again with these variables too, this once.
    pub fn restart_with(&mut self, env: &[(&str, &str)]) {
        let plain = self.start.clone();
        let mut start = plain.clone();
        start.env.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let latest_url = self.latest_url.clone();
        *self = Self::start(start);
        self.start = plain;
        self.latest_url = latest_url;
        self.tell_url();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn collect(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = output.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = output.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
        }
    });
}
