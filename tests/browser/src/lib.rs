//! A real browser, headless, for tests: opens pages and tells what came of it.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod browser;
mod devtools;
mod page;

pub use browser::Browser;
pub use page::{Happened, Page};

use std::time::Duration;

/// How long the browser may take for one thing. Far more than it takes.
const PATIENCE: Duration = Duration::from_mins(2);
