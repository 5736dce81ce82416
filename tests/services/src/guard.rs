//! Nothing outlives the tests that have started it.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

/// Reads process ids until the tests end, then kills the last one and deletes the folder. "none" is no process.
const SCRIPT: &str = r#"
pid=none
while read -r line; do pid=$line; done
[ "$pid" = none ] || kill -KILL "$pid"
rm -rf -- "$0" || { sleep 1; rm -rf -- "$0"; }
"#;

/// A shell that outlives this process, however that ends, to kill a server and delete its folder. It waits for the end
/// of a pipe. (The kernel's own signal for the death of a parent comes when the *thread* ends that has started a child.)
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Mutex<Child>,
}

impl Guard {
    /// Guards a folder.
    pub(crate) fn new(dir: &Path) -> anyhow::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .arg(dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // So that Ctrl-C does not reach it.
            .process_group(0)
            .spawn()
            .context("sh cannot be started")?;
        Ok(Self { shell: Mutex::new(shell) })
    }

    /// Guards a process from now on, or none.
    pub(crate) fn watch(&self, pid: Option<u32>) -> anyhow::Result<()> {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = shell.stdin.as_mut().context("the guard has no pipe")?;
        let line = pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string());
        writeln!(pipe, "{line}").context("the guard has ended")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(shell.stdin.take());
        // Then the folder is gone.
        let _ = shell.wait();
    }
}
