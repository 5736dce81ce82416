use gosight_http::HttpConfig;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that the log, the database and everything else but connections may take.
const RESERVED_FILES: u64 = 256;

/// Lets this process open as many files as the system allows it to, instead of the few that it has by default. A
/// connection is an open file, and so is a part of the log: a process that runs out of them cannot write either.
///
/// For programs, not for libraries: the limit is the process's.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => tracing::debug!(from = ?limit.current, to = ?limit.maximum, "more files may be open"),
        Err(error) => {
            tracing::warn!(%error, limit = ?limit.current, "the limit on open files stays as it is");
        }
    }
}

/// The settings of a server, with no more connections than there are files for, the rest of the process left some.
pub fn fit_connections(config: HttpConfig) -> HttpConfig {
    let wanted = config.max_connections;
    let max_connections = fit(wanted, getrlimit(Resource::Nofile).current);
    if max_connections < wanted {
        tracing::warn!(
            wanted,
            max_connections,
            "http.max_connections is more than this process may open; raise its limit on open files"
        );
    }
    HttpConfig { max_connections, ..config }
}

fn fit(wanted: usize, open_files: Option<u64>) -> usize {
    let Some(open_files) = open_files else { return wanted };
    let room = open_files.saturating_sub(RESERVED_FILES).max(open_files / 4).max(1);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(fit(10_000, None), 10_000);
        assert_eq!(fit(10_000, Some(1_048_576)), 10_000);
        assert_eq!(fit(10_000, Some(1_024)), 768);
        assert_eq!(fit(10_000, Some(100)), 25);
        assert_eq!(fit(10, Some(1_024)), 10);
    }
}
