use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The binary `gosight`, built from the sources as they are, with the points at which tests can kill it.
pub fn gosight() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "gosight", "--features", "failpoints"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(
            built.status.success(),
            "gosight does not build:\n{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let messages = String::from_utf8_lossy(&built.stdout);
        let executable = messages.lines().rev().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            message["executable"].as_str().map(PathBuf::from)
        });
        executable.expect("cargo says where the binary is")
    })
}
