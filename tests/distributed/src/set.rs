use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use gosight_e2e::{ADMIN_KEY, Api, INGEST_KEY, READ_KEY, built, released};
use serde_json::{Map, Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::process::{Process, Start};

/// One of the binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// Takes events.
    Ingestor,
    /// Processes events.
    EventProcessor,
    /// Processes replay chunks.
    ReplayProcessor,
    /// Answers questions.
    Api,
    /// Does all of that, and has the commands.
    Gosight,
}

const PACKAGES: [&str; 5] =
    ["gosight-ingestor", "gosight-event-processor", "gosight-replay-processor", "gosight-api", "gosight"];

fn path(binary: Binary, is_released: bool) -> PathBuf {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    static RELEASED: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let features = ["gosight/distributed"];
    let paths = if is_released {
        RELEASED.get_or_init(|| released(&PACKAGES, &features))
    } else {
        BUILT.get_or_init(|| built(&PACKAGES, &features))
    };
    paths[binary as usize].clone()
}

/// Addresses of the servers that a set uses.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are named by their servers")]
pub struct Servers {
    pub kafka: String,
    pub clickhouse: String,
    pub redis: String,
    pub postgres: String,
}

impl Servers {
    /// Those that `cargo xtask services up` started.
    pub fn shared() -> Self {
        Self {
            kafka: gosight_services::kafka_brokers(),
            clickhouse: gosight_services::clickhouse_url(),
            redis: gosight_services::redis_url(),
            postgres: gosight_services::postgres_url(),
        }
    }
}

/// Settings of processes that belong together.
#[derive(Debug, Clone)]
pub struct Set {
    env: BTreeMap<String, String>,
    is_released: bool,
    /// Where the store answers questions of the test's own.
    store: Api,
    database: String,
}

/// Partitions of each log.
const PARTITIONS: [(&str, u32); 4] = [
    ("gosight.events.raw", 6),
    ("gosight.events.dlq", 1),
    ("gosight.events.errors", 1),
    ("gosight.replay.chunks", 3),
];

/// The topics of the set called `name`, as a setting.
fn topics(name: &str) -> Value {
    let topic = |(log, partitions): (&str, u32)| {
        (log.to_owned(), json!({"name": format!("{name}.{log}"), "partitions": partitions}))
    };
    Value::Object(PARTITIONS.map(topic).into_iter().collect::<Map<String, Value>>())
}

/// Makes the database `name` on the server of `url`; gives its URL. Sets know the same sessions, and what one has archived
/// is no business of the others.
fn database_of_its_own(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    let (connect, create) = (url.to_owned(), format!("CREATE DATABASE {name}"));
    // A set is made inside of a runtime, which must not be blocked by another.
    let made = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&connect).await.expect("PostgreSQL");
            connection.execute(sqlx::AssertSqlSafe(create)).await.expect("a database");
        });
    });
    made.join().expect("made");
    format!("{server}/{name}")
}

impl Set {
    /// A set of its own on `servers`: no other has its topics, tables and keys.
    pub fn new(servers: &Servers) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let name = format!("t{}_{}", since.as_nanos(), std::process::id());
        let brokers: Vec<&str> = servers.kafka.split(',').collect();
        let mut env = BTreeMap::new();
        let mut set = |key: &str, value: String| drop(env.insert(format!("GOSIGHT_{key}"), value));
        set("KAFKA_BROKERS", json!(brokers).to_string());
        set("KAFKA_TOPICS", topics(&name).to_string());
        set("KAFKA_REPLICATION_FACTOR", brokers.len().to_string());
        set("CLICKHOUSE_URL", servers.clickhouse.clone());
        set("CLICKHOUSE_DATABASE", name.clone());
        set("REDIS_URL", servers.redis.clone());
        set("REDIS_PREFIX", format!("{name}:"));
        set("POSTGRES_URL", database_of_its_own(&servers.postgres, &name));
        set("BOOTSTRAP_INGEST_KEY", INGEST_KEY.into());
        set("BOOTSTRAP_READ_KEY", READ_KEY.into());
        set("BOOTSTRAP_ADMIN_KEY", ADMIN_KEY.into());
        Self { env, is_released: false, store: Api::new(&servers.clickhouse, None), database: name }
    }

    /// With a setting, by the name of its variable without `GOSIGHT_`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.insert(format!("GOSIGHT_{key}"), value.into());
        self
    }

    /// With an archive in a bucket of its own, that is cleaned up after at once.
    #[must_use]
    pub fn with_archive(self) -> Self {
        let access = gosight_services::s3_access();
        let bucket = self.database.replace('_', "-");
        self.with("ARCHIVE_ENABLED", "true")
            .with("ARCHIVE_GRACE", "0s")
            .with("S3_ENDPOINT", access.endpoint)
            .with("S3_REGION", access.region)
            .with("S3_ACCESS_KEY", access.access_key)
            .with("S3_SECRET_KEY", access.secret_key)
            .with("S3_BUCKET", bucket)
            .with("S3_CREATE_BUCKET", "true")
    }

    /// With binaries as they are released, which cannot be killed at chosen points.
    #[must_use]
    pub fn released(mut self) -> Self {
        self.is_released = true;
        self
    }

    /// Name of the database in `ClickHouse`.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Starts one process, with everything on servers.
    pub fn start(&self, binary: Binary) -> Process {
        if binary == Binary::Gosight { self.serve(&["--distributed"]) } else { self.run(binary, &[]) }
    }

    /// Starts `gosight serve` with these flags, and the backends of the settings.
    pub fn serve(&self, flags: &[&str]) -> Process {
        self.run(Binary::Gosight, &[&["serve"], flags].concat())
    }

    fn run(&self, binary: Binary, args: &[&str]) -> Process {
        let args = [args, &["--http", "127.0.0.1:0"]].concat().into_iter().map(str::to_owned).collect();
        Process::start(Start { binary: path(binary, self.is_released), args, env: self.env.clone() })
    }

    /// The settings, as environment variables.
    pub fn settings(&self) -> Vec<(String, String)> {
        let is_flag = |name: &str| name.starts_with("GOSIGHT_BOOTSTRAP_");
        self.env.clone().into_iter().filter(|(name, _)| !is_flag(name)).collect()
    }

    /// `gosight` with these arguments.
    pub fn gosight(&self, args: &[&str]) -> Command {
        let mut command = Command::new(path(Binary::Gosight, self.is_released));
        command.args(args).envs(&self.env);
        command
    }

    /// A setting of the processes, by the name of its variable without `GOSIGHT_`.
    pub fn setting(&self, key: &str) -> &str {
        &self.env[&format!("GOSIGHT_{key}")]
    }

    /// What the store itself says to `query`, without the new line at its end.
    pub async fn ask_store(&self, query: &str) -> String {
        let answer = self.store.post(&format!("/?database={}", self.database), query.to_owned()).await;
        assert!(answer.status.is_success(), "{query}: {}", answer.text);
        answer.text.trim_end().to_owned()
    }

    /// A client of `process` with the key that may ask.
    pub fn reader(process: &Process) -> Api {
        Api::new(process.url(), Some(READ_KEY))
    }

    /// A client of `process` with the key that may do everything.
    pub fn admin(process: &Process) -> Api {
        Api::new(process.url(), Some(ADMIN_KEY))
    }
}
