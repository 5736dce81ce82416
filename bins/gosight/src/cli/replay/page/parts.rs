//! The fixed parts of a page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const PLAYER_SCRIPT: &str = include_str!("../../../../assets/rrweb-player/rrweb-player.min.js");
const PLAYER_STYLE: &str = include_str!("../../../../assets/rrweb-player/rrweb-player.min.css");
const PAGE_SCRIPT: &str = include_str!("../../../../assets/replay-page/page.js");
const PAGE_STYLE: &str = include_str!("../../../../assets/replay-page/page.css");
const BODY: &str = include_str!("../../../../assets/replay-page/body.html");

/// Whose work is inside.
const NOTICE: &str = "Made by `gosight replay export`. Holds rrweb-player 2.1.7, MIT License, \
    Copyright (c) 2018 Contributors (https://github.com/rrweb-io/rrweb/graphs/contributors) and SmartX Inc.";

/// All up to where the events stand.
pub(super) fn head() -> String {
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <!-- {NOTICE} -->\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta http-equiv=\"x-dns-prefetch-control\" content=\"off\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Session replay</title>\n\
         <style>{PLAYER_STYLE}</style>\n\
         <style>{PAGE_STYLE}</style>\n\
         </head>\n\
         <body>\n\
         {BODY}",
        policy()
    )
}

/// All from the last event on.
pub(super) fn foot() -> String {
    format!("<script>{PLAYER_SCRIPT}</script>\n<script>{PAGE_SCRIPT}</script>\n</body>\n</html>\n")
}

/// Only the two scripts run; nothing is fetched. What a recording brings along itself (styles, and images and fonts as
/// data) is shown. The player's frame has the same policy.
fn policy() -> String {
    format!(
        "default-src 'none'; script-src {} {}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; \
         media-src data: blob:; base-uri 'none'; form-action 'none'",
        hash(PLAYER_SCRIPT),
        hash(PAGE_SCRIPT)
    )
}

fn hash(script: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_ends_its_element() {
        for script in [PLAYER_SCRIPT, PAGE_SCRIPT] {
            let script = script.to_lowercase();
            for mark in ["</script", "<script", "<!--", "\r"] {
                assert!(!script.contains(mark), "{mark}");
            }
        }
        for style in [PLAYER_STYLE, PAGE_STYLE] {
            assert!(!style.to_lowercase().contains("</style"));
        }
    }

    #[test]
    fn the_parts_name_nothing_that_would_be_fetched() {
        for style in [PLAYER_STYLE, PAGE_STYLE] {
            let mut urls = style.split("url(").skip(1).map(|url| url.trim_start_matches(['"', '\'']));
            assert!(urls.all(|url| url.starts_with("data:")) && !style.contains("@import"));
        }
        for mark in ["src=", "href=", " on"] {
            assert!(!BODY.contains(mark), "{mark}");
        }
    }

    #[test]
    fn the_player_is_the_one_that_its_readme_names() {
        let readme = include_str!("../../../../assets/rrweb-player/README.md");
        for part in [PLAYER_SCRIPT, PLAYER_STYLE] {
            let digest = Sha256::digest(part.as_bytes());
            let hex = digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            assert!(readme.contains(&hex), "{hex}");
        }
        let version = NOTICE.split("rrweb-player ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
        assert!(readme.starts_with(&format!("# rrweb-player {version}\n")));
    }
}
