use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Api, PATIENCE, gosight};

/// The key that may send; the one in the recordings.
pub const INGEST_KEY: &str = "gs_test_project_key";
/// The key that may ask.
pub const READ_KEY: &str = "gs_test_read_key_00";
/// The key that may do everything.
pub const ADMIN_KEY: &str = "gs_test_admin_key_0";

/// How a server is started.
#[derive(Debug, Clone)]
pub struct ServerBuilder {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    chosen_keys: bool,
    listen: String,
    has_stderr: bool,
    /// Soft and hard limit on open files.
    open_files: Option<(u64, u64)>,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            env: BTreeMap::new(),
            chosen_keys: true,
            listen: "127.0.0.1:0".to_owned(),
            has_stderr: true,
            open_files: None,
        }
    }
}

impl ServerBuilder {
    /// Adds an argument of `gosight serve`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Listens on this address instead of a free port.
    #[must_use]
    pub fn listen(self, address: &str) -> Self {
        Self { listen: address.to_owned(), ..self }
    }

    /// Gives it a standard error that nothing can be written to.
    #[must_use]
    pub fn without_stderr(self) -> Self {
        Self { has_stderr: false, ..self }
    }

    /// Lets it open so many files, and raise that to so many.
    #[must_use]
    pub fn open_files(self, soft: u64, hard: u64) -> Self {
        Self { open_files: Some((soft, hard)), ..self }
    }

    /// Lets the first start make its own keys.
    #[must_use]
    pub fn with_new_keys(self) -> Self {
        Self { chosen_keys: false, ..self }
    }

    /// Starts in a directory of its own.
    pub fn start(self) -> Server {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().to_owned();
        let mut server = self.start_in(&path);
        server.temporary = Some(dir);
        server
    }

    /// Starts in `dir`, which stays.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_in(self, dir: &Path) -> Server {
        self.try_start_in(dir).unwrap_or_else(|output| panic!("gosight did not start:\n{output}"))
    }

    /// Starts in `dir`; gives the output when it ends instead.
    ///
    /// # Errors
    /// What it printed.
    pub fn try_start_in(self, dir: &Path) -> Result<Server, String> {
        let mut child = self.command(dir).spawn().expect("gosight runs");
        let output = Output::default();
        let stdout = child.stdout.take().expect("piped");
        if let Some(stderr) = child.stderr.take() {
            output.collect(stderr);
        }
        output.collect(stdout);
        let started = Instant::now();
        let url = loop {
            if let Some(url) = output.url() {
                break url;
            }
            if child.try_wait().expect("a child").is_some() {
                // What it said last may still be on its way.
                std::thread::sleep(Duration::from_millis(100));
                return Err(output.text());
            }
            assert!(started.elapsed() < PATIENCE, "gosight does not come up:\n{}", output.text());
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok(Server { child, output, url, dir: dir.to_owned(), builder: self, temporary: None })
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command = match self.open_files {
            None => Command::new(gosight()),
            Some((soft, hard)) => {
                let mut shell = Command::new("sh");
                let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
                shell.args(["-c", &limits]).arg(gosight());
                shell
            }
        };
        let stderr = if self.has_stderr {
            Stdio::piped()
        } else {
            File::options().write(true).open("/dev/full").expect("/dev/full").into()
        };
        command
            .args(["serve", "--http", &self.listen, "--data-dir"])
            .arg(dir)
            .args(&self.args)
            .stdout(Stdio::piped())
            .stderr(stderr);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GOSIGHT_")) {
            command.env_remove(name);
        }
        if self.chosen_keys {
            command
                .env("GOSIGHT_BOOTSTRAP_INGEST_KEY", INGEST_KEY)
                .env("GOSIGHT_BOOTSTRAP_READ_KEY", READ_KEY)
                .env("GOSIGHT_BOOTSTRAP_ADMIN_KEY", ADMIN_KEY);
        }
        command.envs(&self.env);
        command
    }
}

/// What a process printed so far.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<String>>);

impl Output {
    fn collect(&self, stream: impl Read + Send + 'static) {
        let output = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut text = output.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
            }
        });
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn url(&self) -> Option<String> {
        let text = self.text();
        text.lines().find_map(|line| line.strip_prefix("gosight listens on ")).map(str::to_owned)
    }
}

/// A server that runs. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    output: Output,
    url: String,
    dir: PathBuf,
    builder: ServerBuilder,
    temporary: Option<TempDir>,
}

impl Server {
    /// A server with the chosen keys in a directory of its own.
    pub fn start() -> Self {
        ServerBuilder::default().start()
    }

    /// Where it listens, such as `http://127.0.0.1:41234`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its data directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A client with `key`.
    pub fn api(&self, key: &str) -> Api {
        Api::new(&self.url, Some(key))
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Memory that it takes, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that it took since [`forget_peak`](Self::forget_peak), in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Forgets the most memory that it took so far (`clear_refs` in proc(5)).
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("a process");
    }

    /// A line of its `/proc/PID/status`, in bytes.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line for it");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// Sends it a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "gosight does not end:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Kills it with SIGKILL and starts it again as it was, in the same directory.
    #[must_use]
    pub fn kill_and_restart(mut self) -> Self {
        self.signal("KILL");
        self.wait();
        let builder = self.builder.clone();
        self.restart_as(builder)
    }

    /// Starts it again as `builder` says, in the same directory. It must have ended.
    #[must_use]
    pub fn restart_as(mut self, builder: ServerBuilder) -> Self {
        self.try_restart_as(builder).unwrap_or_else(|output| panic!("gosight did not start:\n{output}"))
    }

    /// The same of one that may end before it listens.
    ///
    /// # Errors
    /// What that one printed.
    pub fn try_restart_as(&mut self, builder: ServerBuilder) -> Result<Self, String> {
        let mut server = builder.try_start_in(&self.dir)?;
        server.temporary = self.temporary.take();
        Ok(server)
    }

    /// Stops it with SIGTERM, and gives its directory, if it was its own.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
