//! A server of the test's own, to be stopped and killed. It listens on a socket in its directory, so no port can be
//! taken by others while it is down.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A server with the superuser `gosight`.
#[derive(Debug)]
pub struct Instance {
    dir: TempDir,
    programs: PathBuf,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// Sessions are ended, and everything is written.
    Fast,
    /// As in a crash.
    Kill,
}

impl Instance {
    /// Makes and starts a server.
    pub fn start_new() -> Self {
        let instance = Self { dir: tempfile::tempdir().unwrap(), programs: programs() };
        if is_root() {
            // The server refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(instance.dir.path()));
        }
        let data = instance.data();
        run(instance.program("initdb").arg("-D").arg(&data).args([
            "-U",
            "gosight",
            "-A",
            "trust",
            "--no-sync",
        ]));
        instance.start();
        instance
    }

    /// Starts the server, and waits until it answers.
    pub fn start(&self) {
        let options = format!("-c listen_addresses='' -k {}", self.dir.path().display());
        let log = self.dir.path().join("log");
        let data = self.data();
        run(self
            .program("pg_ctl")
            .args(["start", "-w", "-D"])
            .arg(data)
            .arg("-l")
            .arg(log)
            .args(["-o", &options]));
    }

    /// Stops the server, and waits until it is gone.
    pub fn stop(&self, how: Stop) {
        match how {
            Stop::Fast => {
                run(self.program("pg_ctl").args(["stop", "-w", "-m", "fast", "-D"]).arg(self.data()));
            }
            Stop::Kill => self.kill(),
        }
    }

    /// Kills the first process; the others follow. The lock file stays, as after a crash.
    fn kill(&self) {
        let pid_file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let pid = pid_file.lines().next().unwrap();
        run(self.program("pg_ctl").args(["kill", "KILL", pid]));
        while Path::new("/proc").join(pid).exists() {
            std::thread::yield_now();
        }
    }

    /// URL of the database `name`.
    pub fn url(&self, user: &str, name: &str) -> String {
        let socket = self.dir.path().display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{socket}/{name}")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.dir.path());
        command
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "-w", "-m", "immediate", "-D"]).arg(self.data());
        // It may be stopped already.
        let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// The directory of the server's programs: as `pg_config` says, else where Debian keeps the newest.
fn programs() -> PathBuf {
    let said = Command::new("pg_config").arg("--bindir").output();
    let said = said.ok().map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let of_debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = of_debian.map(|version| version.path().join("bin")).collect();
    found.sort();
    found.extend(said);
    let has_server = |dir: &PathBuf| dir.join("pg_ctl").exists() && dir.join("initdb").exists();
    found.into_iter().rev().find(has_server).expect("PostgreSQL's server programs have to be installed")
}

fn run(command: &mut Command) {
    // What runs on after pg_ctl must not hold the test's output.
    let log = tempfile::tempfile().unwrap();
    let status = command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log.try_clone().unwrap())
        .status()
        .unwrap();
    if !status.success() {
        let mut text = String::new();
        let mut log = log;
        std::io::Seek::rewind(&mut log).unwrap();
        std::io::Read::read_to_string(&mut log, &mut text).unwrap();
        panic!("{command:?}: {status}\n{text}");
    }
}
