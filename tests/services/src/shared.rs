//! The shared set: one server of each kind, on its known port, left running between tests.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::cache::Cache;
use crate::process::{Process, spawn, wait_ready};
use crate::server::{self, Place, Server};
use crate::{Service, say};

/// Longest time for a server to end in good order.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How often, and how far apart, a start is tried in the folder of a server that was killed.
const ATTEMPTS_AFTER_KILL: u32 = 5;
const PAUSE_AFTER_KILL: Duration = Duration::from_secs(1);

/// What is known about a server of the shared set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which one.
    pub service: Service,
    /// Whether it answers on its port.
    pub answers: bool,
    /// The process, when [`up`] has started it.
    pub process_id: Option<u32>,
    /// The version that is installed.
    pub version: Option<String>,
    /// Where it prints to.
    pub log: PathBuf,
}

/// Installs and starts the servers that do not run yet, and waits until they answer.
///
/// # Errors
/// When one cannot be installed or does not start; the others are started all the same.
pub fn up(services: &[Service]) -> anyhow::Result<()> {
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    each(services, |service| start(&cache, service))
}

/// Stops the servers that [`up`] has started, and deletes their data if that is asked for.
///
/// # Errors
/// When one cannot be stopped, or its data not be deleted.
pub fn down(services: &[Service], delete_data: bool) -> anyhow::Result<()> {
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    each(services, |service| stop(&cache, service, delete_data))
}

/// Which servers run.
///
/// # Errors
/// When the folder of the servers cannot be found.
pub fn status(services: &[Service]) -> anyhow::Result<Vec<Status>> {
    let cache = Cache::open()?;
    services.iter().map(|service| status_of(&cache, *service)).collect()
}

fn status_of(cache: &Cache, service: Service) -> anyhow::Result<Status> {
    let kind = server::of(service);
    let place = place(cache, service)?;
    Ok(Status {
        service,
        answers: kind.answers(place.address()),
        process_id: Process::load(&place.process_file()).map(|process| process.pid),
        version: kind.version(cache).ok(),
        log: place.log(),
    })
}

/// Does it for all at once, to the end, and gives all that went wrong.
fn each(services: &[Service], work: impl Fn(Service) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    let failures: Vec<String> = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            services.iter().map(|service| (service, scope.spawn(move || work(*service)))).collect();
        let ended = threads.into_iter().map(|(service, thread)| (service, thread.join()));
        ended
            .filter_map(|(service, result)| match result {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{}: {error:#}", service.as_str())),
                Err(_) => Some(format!("{}: panicked", service.as_str())),
            })
            .collect()
    });
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n")) }
}

fn place(cache: &Cache, service: Service) -> anyhow::Result<Place> {
    let port = service.port();
    Ok(Place {
        port,
        more_ports: [port + 1, port + 2],
        proxy_port: port + 3,
        dir: server::of(service).shared_dir(cache.server(service.as_str()))?,
        settings: Vec::new(),
    })
}

fn start(cache: &Cache, service: Service) -> anyhow::Result<()> {
    let name = service.as_str();
    let kind = server::of(service);
    let place = place(cache, service)?;
    let started = Instant::now();
    // Also when somebody else has started it.
    if kind.answers(place.address()) {
        say(&format!("{name}: runs on {}", place.address()));
        return Ok(());
    }
    kind.install(cache).context("install")?;
    std::fs::create_dir_all(&place.dir).with_context(|| place.dir.display().to_string())?;
    if let Some(process) = Process::load(&place.process_file()) {
        say(&format!("{name}: process {} does not answer, so it is started again", process.pid));
        process.stop(kind.stop_signal(), STOP_DEADLINE)?;
    }
    kind.prepare(cache, &place).context("prepare")?;
    // One that was killed may leave children, or its own number, that keep the next one from starting for a moment.
    let attempts = if place.process_file().exists() { ATTEMPTS_AFTER_KILL } else { 1 };
    for attempt in 1..=attempts {
        match start_process(kind, cache, &place) {
            Ok(()) => break,
            Err(error) if attempt == attempts => return Err(error).context("start"),
            Err(_) => {
                say(&format!("{name}: what was killed is in its way, trying again"));
                thread::sleep(PAUSE_AFTER_KILL);
            }
        }
    }
    say(&format!("{name}: started on {} in {:.1} s", place.address(), started.elapsed().as_secs_f64()));
    Ok(())
}

fn start_process(kind: &dyn Server, cache: &Cache, place: &Place) -> anyhow::Result<()> {
    let mut child = spawn(kind.command(cache, place)?, &place.log())?;
    if let Some(process) = Process::find(child.id()) {
        process.save(&place.process_file())?;
    }
    wait_ready(&mut child, &place.log(), || kind.answers(place.address()))
}

fn stop(cache: &Cache, service: Service, delete_data: bool) -> anyhow::Result<()> {
    let name = service.as_str();
    let kind = server::of(service);
    let place = place(cache, service)?;
    if let Some(process) = Process::load(&place.process_file()) {
        let by_itself = process.stop(kind.stop_signal(), STOP_DEADLINE)?;
        std::fs::remove_file(place.process_file())?;
        say(&format!("{name}: {}", if by_itself { "stopped" } else { "did not stop, so it was killed" }));
    } else if kind.answers(place.address()) {
        bail!("runs on {}, but was not started by `up`: stop it the way it was started", place.address());
    } else {
        say(&format!("{name}: does not run"));
    }
    if delete_data && place.dir.exists() {
        std::fs::remove_dir_all(&place.dir).with_context(|| place.dir.display().to_string())?;
        say(&format!("{name}: deleted {}", place.dir.display()));
    }
    Ok(())
}
