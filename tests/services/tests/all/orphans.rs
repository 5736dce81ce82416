//! A server does not outlive the process of its test, however that dies.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gosight_services::{Instance, Service};

/// Set for the process that is to be killed: this same test, which then only starts a server.
const VICTIM: &str = "GOSIGHT_SERVICES_VICTIM";

#[test]
fn a_server_dies_with_a_killed_test() {
    if std::env::var_os(VICTIM).is_some() {
        let instance = Instance::start(Service::Redis);
        let (pid, log) = (instance.process_id().unwrap(), instance.log());
        println!("victim {pid} {}", log.parent().unwrap().display());
        std::io::stdout().flush().unwrap();
        loop {
            std::thread::park();
        }
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "orphans::a_server_dies_with_a_killed_test", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find_map(|line| Some(line.split_once("victim ")?.1.to_owned())).unwrap();
    let (pid, dir) = line.split_once(' ').unwrap();
    let process = Path::new("/proc").join(pid);
    assert!(process.exists() && Path::new(dir).exists());

    victim.kill().unwrap();
    victim.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while Path::new(dir).exists() || runs(&process) {
        assert!(Instant::now() < deadline, "{line} is left");
        std::thread::yield_now();
    }
}

/// One that nobody has waited for is a zombie, and does not run.
fn runs(process: &Path) -> bool {
    std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
