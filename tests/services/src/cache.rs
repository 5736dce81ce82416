//! Where downloads, data and logs are kept between runs, outside of the project.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::say;

/// The folder that everything is kept in.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `GOSIGHT_CACHE_DIR`, or `gosight/services` in the user's folder for caches.
    pub(crate) fn open() -> anyhow::Result<Self> {
        let root = match std::env::var_os("GOSIGHT_CACHE_DIR") {
            Some(dir) => std::path::absolute(dir)?,
            None => user_cache()?.join("gosight/services"),
        };
        std::fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        Ok(Self { root })
    }

    /// The folder of a tool. Its name holds the version, so that another version is another folder.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.root.join("tools").join(name)
    }

    /// The folder of a server of the shared set: its data, log and process id.
    pub(crate) fn server(&self, name: &str) -> PathBuf {
        self.root.join("servers").join(name)
    }

    /// The folder of marks for ports that are in use.
    pub(crate) fn ports(&self) -> PathBuf {
        self.root.join("ports")
    }

    /// Waits until nobody else installs, starts or stops anything. Ends when the file is dropped, or its process dies.
    pub(crate) fn lock(&self) -> anyhow::Result<File> {
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                say("waiting for another command that installs or starts servers");
            }
            Err(TryLockError::Error(error)) => return Err(error).context("lock the cache"),
        }
        file.lock().context("lock the cache")?;
        Ok(file)
    }

    /// Makes the folder of a tool with `fill`, which writes into a folder beside it: it is there whole, or not at all.
    /// Nothing is done when it is there.
    pub(crate) fn install(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let done = self.tool(name);
        if done.exists() {
            return Ok(());
        }
        let partial = self.tool(&format!("{name}.partial"));
        if partial.exists() {
            std::fs::remove_dir_all(&partial)?;
        }
        std::fs::create_dir_all(&partial)?;
        fill(&partial)?;
        std::fs::rename(&partial, &done).with_context(|| done.display().to_string())
    }
}

fn user_cache() -> anyhow::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(dir));
    }
    Ok(PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"))
}
