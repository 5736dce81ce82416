//! Servers of a test's own, to be killed.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;

use crate::cache::Cache;
use crate::guard::Guard;
use crate::ports::Port;
use crate::process::{Process, spawn, wait_ready};
use crate::server::{self, Place};
use crate::{Proxy, S3Access, Service};

/// Longest time for a server to end in good order.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// A server of a test's own, on a port and with data of its own. It is killed and its data deleted when this is
/// dropped, or when the test's process dies in whatever way.
///
/// All functions wait for the server, and block the thread meanwhile. They panic when it does not do what it should.
pub struct Instance {
    service: Service,
    cache: Cache,
    place: Place,
    running: Mutex<Option<Child>>,
    // Dropped last: first the server ends, then its folder is deleted, then others may have its ports.
    guard: Guard,
    _ports: Vec<Port>,
}

/// Ports and a folder for a server that is not there yet.
pub(crate) struct Reserved {
    service: Service,
    cache: Cache,
    ports: Vec<Port>,
    dir: PathBuf,
    guard: Guard,
}

impl Reserved {
    pub(crate) fn new(service: Service) -> anyhow::Result<Self> {
        let cache = Cache::open()?;
        let kind = server::of(service);
        if kind.version(&cache).is_err() {
            let _lock = cache.lock()?;
            kind.install(&cache).context("install")?;
        }
        let ports = (0..4).map(|_| Port::take(&cache)).collect::<anyhow::Result<Vec<_>>>()?;
        let dir =
            tempfile::Builder::new().prefix(&format!("gosight-{}-", service.as_str())).tempdir()?.keep();
        let guard = Guard::new(&dir)?;
        Ok(Self { service, cache, ports, dir, guard })
    }

    fn port(&self, index: usize) -> u16 {
        self.ports.get(index).map_or(0, Port::number)
    }

    /// The first of the ports that no client uses.
    pub(crate) fn inner_port(&self) -> u16 {
        self.port(1)
    }

    /// Makes its data and its configuration.
    pub(crate) fn prepare(self, settings: &[(&str, &str)]) -> anyhow::Result<Instance> {
        let kind = server::of(self.service);
        let settings = kind.private_settings().iter().chain(settings);
        let place = Place {
            port: self.port(0),
            more_ports: [self.port(1), self.port(2)],
            proxy_port: self.port(3),
            dir: self.dir.clone(),
            settings: settings.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        kind.prepare(&self.cache, &place).context("prepare")?;
        let Self { service, cache, ports, guard, .. } = self;
        Ok(Instance { service, cache, place, running: Mutex::new(None), guard, _ports: ports })
    }
}

/// How often a server is started whose port was taken just before it listened there. Those that a server opens by itself, such
/// as the bus of a Redis cluster, cannot be reserved.
const ATTEMPTS: usize = 3;
/// What all servers say then.
const PORT_TAKEN: &str = "Address already in use";

impl Instance {
    /// Starts a server, and waits until it answers. What it has acknowledged is still there after [`Instance::kill`],
    /// also in Redis, which writes an append-only file.
    ///
    /// # Panics
    /// When it does not start, quoting the end of its log.
    pub fn start(service: Service) -> Self {
        Self::start_with(service, &[])
    }

    /// Starts a server with settings beside the usual ones, in the server's own words: arguments of `redis-server`
    /// without the dashes (`("appendonly", "no")` for one that forgets), lines of Kafka's `server.properties`, or with
    /// dashes of its formatter (`("--add-scram", …)`) and its JVM (`("-Xmx", "256m")`), `-c` of `postgres`, paths in
    /// `ClickHouse`'s configuration (`("merge_tree.old_parts_lifetime", "5")`), environment of `MinIO`.
    ///
    /// # Panics
    /// As [`Instance::start`].
    pub fn start_with(service: Service, settings: &[(&str, &str)]) -> Self {
        let mut attempt = 1;
        loop {
            match Self::try_start(service, settings) {
                Ok(instance) => return instance,
                Err(error) if attempt < ATTEMPTS && format!("{error:#}").contains(PORT_TAKEN) => attempt += 1,
                Err(error) => panic!("{}: {error:#}", service.as_str()),
            }
        }
    }

    fn try_start(service: Service, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let instance = Reserved::new(service)?.prepare(settings)?;
        instance.run()?;
        Ok(instance)
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut running = self.running();
        let kind = server::of(self.service);
        let log = self.place.log();
        let mut child = spawn(kind.command(&self.cache, &self.place)?, &log)?;
        self.guard.watch(Some(child.id()))?;
        let ready = wait_ready(&mut child, &log, || kind.answers(self.place.address()));
        *running = Some(child);
        ready
    }

    fn end(&self, how: impl FnOnce(Process) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut running = self.running();
        let Some(child) = running.as_mut() else { return Ok(()) };
        if let Some(process) = Process::find(child.id()) {
            how(process)?;
        }
        child.wait()?;
        *running = None;
        self.guard.watch(None)
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn must(&self, what: &str, result: anyhow::Result<()>) {
        if let Err(error) = result {
            panic!("{}: {what}: {error:#}", self.service.as_str());
        }
    }

    /// Kills it with SIGKILL, and its children too, and waits until they are gone.
    ///
    /// # Panics
    /// When the kernel does not let it go.
    pub fn kill(&self) {
        self.must("kill", self.end(Process::kill));
    }

    /// Asks it to end in good order, and waits until it has.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub fn stop(&self) {
        let signal = server::of(self.service).stop_signal();
        self.must("stop", self.end(|process| process.stop(signal, STOP_DEADLINE).map(|_| ())));
    }

    /// Starts it again on the same port with its data, and waits until it answers. One that still runs is killed.
    ///
    /// # Panics
    /// When it does not start, quoting the end of its log.
    pub fn start_again(&self) {
        self.kill();
        self.must("start again", self.run());
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.place.address()
    }

    /// What clients are given: a URL, or `host:port` for Kafka.
    pub fn url(&self) -> String {
        self.service.url(self.address())
    }

    /// How to reach it as an object store.
    pub fn s3_access(&self) -> S3Access {
        S3Access::at(self.address())
    }

    /// Number of the process that runs, or none while it is ended.
    pub fn process_id(&self) -> Option<u32> {
        self.running().as_ref().map(Child::id)
    }

    /// The file that it prints to.
    pub fn log(&self) -> PathBuf {
        self.place.log()
    }

    /// A proxy before it. Kafka tells those who come through it to go on through it; so it can have but one at a time.
    ///
    /// # Panics
    /// When there is no port for it, or Kafka's is in use.
    pub fn proxy(&self) -> Proxy {
        if self.service == Service::Kafka {
            let listener = SocketAddr::from(([127, 0, 0, 1], self.place.more_ports[1]));
            Proxy::on(self.place.proxy_port, listener)
        } else {
            Proxy::to(self.address())
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("service", &self.service)
            .field("address", &self.address())
            .field("process_id", &self.process_id())
            .finish_non_exhaustive()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let signal = server::of(self.service).discard_signal();
        // If it cannot be ended, the guard kills it.
        let _ = self.end(|process| process.stop(signal, STOP_DEADLINE).map(|_| ()));
    }
}
