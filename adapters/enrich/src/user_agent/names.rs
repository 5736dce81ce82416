//! Names and versions of browsers and operating systems, as people know them.
//!
//! woothee's names are kept, but for these:
//!
//! | woothee | here |
//! | --- | --- |
//! | iPhone, iPad, iPod | iOS |
//! | Mac OSX | macOS; on a tablet iOS, whose version is not known |
//! | Windows 10 with version `NT 10.0` (Windows 11 says so too) | Windows, version `10` |
//! | ChromeOS with version `x86_64 14541.0.0` | ChromeOS, version `14541.0.0` |
//! | BSD with version `amd64` | BSD |
//! | Chrome, for a browser without a window | Headless Chrome |
//! | HTTP Library with version `curl` | curl |

use std::sync::Arc;

use woothee::parser::WootheeResult;
use woothee::woothee::VALUE_UNKNOWN;

use super::kind::DeviceKind;

/// What a device runs. Absent: not known.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) browser: Option<Arc<str>>,
    pub(super) browser_version: Option<Arc<str>>,
    pub(super) os: Option<Arc<str>>,
    pub(super) os_version: Option<Arc<str>>,
}

/// Longest name or version that is believed, in bytes.
const MAX_BYTES: usize = 64;

impl Names {
    /// What woothee found in `user_agent`, in the names of this module.
    pub(super) fn of(user_agent: &str, kind: DeviceKind, found: &WootheeResult<'_>) -> Self {
        let (browser, browser_version) = browser(user_agent, found.name, found.version);
        let (os, os_version) = os(found.os, &found.os_version, kind);
        Self {
            browser: known(browser),
            browser_version: known(browser_version),
            os: known(os),
            os_version: known(os_version),
        }
    }
}

fn known(text: &str) -> Option<Arc<str>> {
    let told = !text.is_empty() && text != VALUE_UNKNOWN && text.len() <= MAX_BYTES;
    told.then(|| Arc::from(text))
}

fn browser<'a>(user_agent: &str, name: &'a str, version: &'a str) -> (&'a str, &'a str) {
    match name {
        "Chrome" if user_agent.contains("HeadlessChrome") => ("Headless Chrome", version),
        "HTTP Library" => (version, ""),
        _ => (name, version),
    }
}

fn os<'a>(name: &'a str, version: &'a str, kind: DeviceKind) -> (&'a str, &'a str) {
    match name {
        "iPhone" | "iPad" | "iPod" => ("iOS", version),
        "Mac OSX" if kind == DeviceKind::Tablet => ("iOS", ""),
        "Mac OSX" => ("macOS", version),
        "ChromeOS" => (name, version.split_whitespace().next_back().unwrap_or_default()),
        "BSD" => (name, ""),
        "Windows Phone OS" => ("Windows Phone", version),
        "Windows UNKNOWN Ver" => ("Windows", ""),
        _ => name.strip_prefix("Windows ").map_or((name, version), |edition| ("Windows", edition)),
    }
}
