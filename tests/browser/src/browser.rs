use std::cell::RefCell;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::devtools::DevTools;
use crate::{PATIENCE, Page};

/// A browser with a profile of its own. It ends when this is dropped, and also when this process dies: it ends itself
/// when nobody holds the other end of its pipe.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    tools: RefCell<Option<DevTools>>,
    _dir: TempDir,
}

/// Gives the browser its pipes in the places where it looks for them.
const PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#;

const FLAGS: [&str; 12] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--window-size=1280,900",
];

impl Browser {
    /// Starts a browser; fetches it first when there is none.
    pub fn start() -> Self {
        let chromium = gosight_services::chromium().unwrap_or_else(|error| panic!("{error:#}"));
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("sh");
        command.args(["-c", PIPES]).arg(chromium.get_program()).args(FLAGS);
        command.arg(format!("--user-data-dir={}", dir.path().join("profile").display()));
        for (name, value) in chromium.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let log = dir.path().join("log");
        let mut child = command
            .env("HOME", dir.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("sh runs");
        let (commands, messages) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let browser =
            Self { child, tools: RefCell::new(Some(DevTools::new(commands, messages, log))), _dir: dir };
        browser.with_tools(|tools| tools.call(None, "Browser.getVersion", &json!({})));
        browser
    }

    /// Opens an empty page.
    pub fn page(&self) -> Page<'_> {
        Page::open(self)
    }

    pub(crate) fn with_tools<T>(&self, work: impl FnOnce(&mut DevTools) -> T) -> T {
        work(self.tools.borrow_mut().as_mut().expect("it runs"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closes the pipes, upon which it ends.
        self.tools.take();
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
