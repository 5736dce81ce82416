//! Starting and ending servers.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::say;

/// Longest time from the start of a server until it answers. A broker that recovers its log beside a build takes long.
const START_DEADLINE: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How often a long command is reported.
const REPORT: Duration = Duration::from_secs(20);
/// Lines of a log that an error quotes.
const QUOTED_LINES: usize = 15;

/// A process, distinguished from a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub pid: u32,
    /// In ticks since the machine started.
    started: u64,
}

impl Process {
    /// The process of this number, if there is one that has not ended.
    pub(crate) fn find(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        (!stat.ended).then_some(Self { pid, started: stat.started })
    }

    /// What [`Self::save`] wrote, if that process still runs.
    pub(crate) fn load(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let saved = Self { pid: pid.parse().ok()?, started: started.parse().ok()? };
        saved.runs().then_some(saved)
    }

    /// Writes it down.
    pub(crate) fn save(self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, format!("{} {}\n", self.pid, self.started))
            .with_context(|| path.display().to_string())
    }

    /// Whether it has not ended. One that nobody has waited for has ended too.
    pub(crate) fn runs(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Sends a signal. A process that is gone needs none.
    pub(crate) fn signal(self, signal: Signal) {
        if self.runs()
            && let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
        {
            // It may end at this moment.
            let _ = kill_process(pid, signal);
        }
    }

    /// Asks it to end, and kills it when it does not within the deadline. Says whether it ended by itself.
    pub(crate) fn stop(self, signal: Signal, deadline: Duration) -> anyhow::Result<bool> {
        let family = self.family();
        self.signal(signal);
        let by_itself = wait_until(deadline, || !family.iter().any(|process| process.runs()));
        if !by_itself {
            kill_all(&family)?;
        }
        Ok(by_itself)
    }

    /// Kills it and its children, and waits until they are gone.
    pub(crate) fn kill(self) -> anyhow::Result<()> {
        kill_all(&self.family())
    }

    /// The process and all that it has started, itself first.
    fn family(self) -> Vec<Self> {
        let mut family = vec![self];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(children(parent.pid));
            next += 1;
        }
        family
    }
}

fn kill_all(family: &[Process]) -> anyhow::Result<()> {
    for process in family {
        process.signal(Signal::KILL);
    }
    if !wait_until(Duration::from_secs(20), || !family.iter().any(|process| process.runs())) {
        bail!("killed, but not gone: {family:?}");
    }
    Ok(())
}

fn children(parent: u32) -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| Stat::read(*pid).is_some_and(|stat| stat.parent == parent))
        .filter_map(Process::find)
        .collect()
}

/// What the kernel says about a process.
struct Stat {
    ended: bool,
    parent: u32,
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold spaces and parentheses; what follows the last one is the state, the parent, and so on.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self {
            ended: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

/// Looks at a condition until it holds or the time is over, and says which.
pub(crate) fn wait_until(deadline: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(POLL);
    }
}

/// Starts a server in a process group of its own, so that neither Ctrl-C nor the end of the terminal reaches it. Its
/// output is added to the log.
pub(crate) fn spawn(mut command: Command, log: &Path) -> anyhow::Result<Child> {
    let output = open_log(log)?;
    command.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    command.spawn().with_context(|| format!("{} cannot be started", command.get_program().display()))
}

/// Waits until the server answers. One that does not is killed, and the error quotes its log.
pub(crate) fn wait_ready(
    child: &mut Child,
    log: &Path,
    mut answers: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    let mut ended = None;
    let ready = wait_until(START_DEADLINE, || match child.try_wait() {
        Ok(None) => answers(),
        Ok(Some(status)) => {
            ended = Some(status);
            true
        }
        Err(_) => false,
    });
    if ready && ended.is_none() {
        return Ok(());
    }
    let what = if let Some(status) = ended {
        format!("ended ({status})")
    } else {
        // It may end at this moment.
        let _ = child.kill();
        let _ = child.wait();
        format!("did not answer within {} s", START_DEADLINE.as_secs())
    };
    bail!("{what}; its log {} ends with:\n{}", log.display(), last_lines(log))
}

/// Runs a command to its end. Its output goes to the log, which the error names.
pub(crate) fn run(command: &mut Command, log: &Path) -> anyhow::Result<()> {
    let output = open_log(log)?;
    let program = command.get_program().display().to_string();
    let status = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .with_context(|| format!("{program} cannot be run: is it installed?"))?;
    if !status.success() {
        bail!("{program} failed ({status}); its log {} ends with:\n{}", log.display(), last_lines(log));
    }
    Ok(())
}

/// Runs a command that takes long, and says from time to time that it still runs.
pub(crate) fn run_long(what: &str, command: &mut Command, log: &Path) -> anyhow::Result<()> {
    say(&format!("{what}; its log is {}", log.display()));
    let started = Instant::now();
    let (send, done) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while done.recv_timeout(REPORT) == Err(RecvTimeoutError::Timeout) {
                say(&format!("{what}: {} s so far", started.elapsed().as_secs()));
            }
        });
        let result = run(command, log);
        drop(send);
        result
    })?;
    say(&format!("{what}: done in {} s", started.elapsed().as_secs()));
    Ok(())
}

/// What a command prints.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{program} cannot be run"))?;
    if !output.status.success() {
        bail!("{program} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn open_log(log: &Path) -> anyhow::Result<File> {
    if let Some(dir) = log.parent() {
        std::fs::create_dir_all(dir)?;
    }
    OpenOptions::new().create(true).append(true).open(log).with_context(|| log.display().to_string())
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}
