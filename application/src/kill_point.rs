//! Points at which a test can kill the process, to see that nothing is lost between two effects.
//!
//! Without the feature `failpoints` they are nothing. With it, the environment variable `FAILPOINTS` says which point
//! ends the process and when: `batch-committed=3*off->return` passes three times and ends at the fourth.

/// Ends the process at once, as SIGKILL would, if a test asked for that at the point `name`.
#[inline]
#[cfg_attr(
    not(feature = "failpoints"),
    expect(clippy::missing_const_for_fn, reason = "it is not with the feature")
)]
pub fn kill_point(name: &'static str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

/// Reads which points end the process. Call it once, early.
#[cfg(feature = "failpoints")]
pub fn read_kill_points() {
    // Kept for as long as the process lives.
    std::mem::forget(fail::FailScenario::setup());
}
