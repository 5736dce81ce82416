use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The binary `gosight`, built from the sources as they are, with the points at which tests can kill it.
pub fn gosight() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built(&["gosight"], &[]).remove(0))
}

/// The binaries of `packages`, in the same order, built as [`gosight`] is, with these `features` beside; in release mode
/// when the tests are.
///
/// # Panics
/// When they do not build.
pub fn built(packages: &[&str], features: &[&str]) -> Vec<PathBuf> {
    let failpoints: Vec<String> = packages.iter().map(|package| format!("{package}/failpoints")).collect();
    let features: Vec<&str> = features.iter().copied().chain(failpoints.iter().map(String::as_str)).collect();
    // As fast as the tests themselves.
    let release: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    build(packages, &[release, &["--features", &features.join(",")]].concat())
}

/// The binaries of `packages`, in the same order, as they are released, with these `features`.
///
/// # Panics
/// When they do not build.
pub fn released(packages: &[&str], features: &[&str]) -> Vec<PathBuf> {
    build(packages, &["--release", "--features", &features.join(",")])
}

fn build(packages: &[&str], how: &[&str]) -> Vec<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--message-format", "json-render-diagnostics"]).args(how);
    for package in packages {
        command.args(["--package", package]);
    }
    let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(built.status.success(), "{packages:?} do not build:\n{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8_lossy(&built.stdout);
    let messages: Vec<serde_json::Value> =
        messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let executable = |package: &&str| {
        let of_package = |message: &&serde_json::Value| {
            let manifest = message["manifest_path"].as_str().unwrap_or_default();
            let folder = package.trim_start_matches("gosight-");
            message["executable"].is_string() && manifest.ends_with(&format!("/{folder}/Cargo.toml"))
        };
        let message = messages.iter().rev().find(of_package).expect("cargo says where the binary is");
        PathBuf::from(message["executable"].as_str().expect("a path"))
    };
    packages.iter().map(executable).collect()
}
