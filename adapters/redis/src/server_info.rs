//! What a server says about itself.

/// What is asked of a server's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerInfo {
    version: Option<(u32, u32)>,
    eviction: String,
    max_memory: u64,
    is_loading: bool,
    is_replica: bool,
}

/// Version from which on `SET` knows `NX` and `GET` together.
const MIN_VERSION: (u32, u32) = (7, 0);

impl ServerInfo {
    /// Reads the answer to `INFO`.
    pub fn parse(info: &str) -> Self {
        let value = |key: &str| {
            let mut values = info.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            values.next().unwrap_or_default().trim()
        };
        let mut numbers = value("redis_version").split('.').map(|number| number.parse().ok());
        Self {
            version: numbers.next().flatten().zip(numbers.next().flatten()),
            eviction: value("maxmemory_policy").to_owned(),
            max_memory: value("maxmemory").parse().unwrap_or(0),
            is_loading: value("loading") == "1",
            is_replica: value("role") == "slave",
        }
    }

    /// Why the server takes nothing, though it answers.
    pub fn takes_nothing(&self) -> Option<&'static str> {
        match self {
            Self { is_loading: true, .. } => Some("is still reading its data"),
            Self { is_replica: true, .. } => Some("is a replica"),
            _ => None,
        }
    }

    /// What the server would do that no adapter can make up for: forget single marks, without anybody noticing.
    pub fn evicts(&self) -> Option<String> {
        let evicts = self.max_memory > 0 && self.eviction != "noeviction";
        evicts.then(|| {
            format!(
                "maxmemory-policy is {}, which drops marks of known events; set it to noeviction, or keep marks on a \
                 server of their own",
                self.eviction
            )
        })
    }

    /// What makes the server unfit for marks of known events.
    pub fn unfit_for_marks(&self) -> Option<String> {
        match self.version {
            Some((major, minor)) if (major, minor) < MIN_VERSION => {
                Some(format!("Redis {major}.{minor} is too old; 7.0 is needed"))
            }
            _ => self.evicts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, max_memory: u64, policy: &str) -> ServerInfo {
        ServerInfo::parse(&format!(
            "# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory:{max_memory}\r\n\
             maxmemory_human:0B\r\nmaxmemory_policy:{policy}\r\n"
        ))
    }

    #[test]
    fn a_server_that_drops_marks_is_unfit() {
        for (info, fit) in [
            (info("7.0.15", 0, "allkeys-lru"), true),
            (info("7.0.15", 1 << 30, "noeviction"), true),
            (info("8.2.1", 1 << 30, "volatile-ttl"), false),
            (info("7.2.4", 1 << 30, "allkeys-lru"), false),
            (info("6.2.14", 0, "noeviction"), false),
            (info("unstable", 0, "noeviction"), true),
        ] {
            assert_eq!(info.unfit_for_marks().is_none(), fit, "{info:?}");
        }
    }

    #[test]
    fn a_server_that_answers_may_still_take_nothing() {
        for (info, reason) in [
            ("loading:0\r\nrole:master\r\n", None),
            ("loading:1\r\nrole:master\r\n", Some("is still reading its data")),
            ("loading:0\r\nrole:slave\r\n", Some("is a replica")),
        ] {
            assert_eq!(ServerInfo::parse(info).takes_nothing(), reason);
        }
    }
}
