//! The player in an exported page.

use std::path::Path;

use gosight_browser::{Browser, Page};

/// A page that has been opened.
pub struct Player<'b> {
    page: Page<'b>,
    url: String,
}

impl<'b> Player<'b> {
    pub fn open(browser: &'b Browser, file: &Path) -> Self {
        let page = browser.page();
        let url = format!("file://{}", file.display());
        page.go_to(&url);
        Self { page, url }
    }

    pub fn page(&self) -> &Page<'b> {
        &self.page
    }

    /// Goes to a time of the recording, in epoch ms, and stays there.
    pub fn go_to(&self, time: i64) {
        let go = format!("gosightPlayer.goto({time} - gosightPlayer.getMetaData().startTime, false)");
        self.page.value(&go);
    }

    /// Plays from the start, as fast as that goes, and waits for the end. Has to be done first: a player that was sent
    /// to its last event says a moment later that it has ended.
    pub fn play(&self) {
        self.page.value(
            "new Promise(done => {
                gosightPlayer.getReplayer().on('finish', () => done());
                gosightPlayer.setSpeed(32);
                gosightPlayer.goto(0, true);
            })",
        );
    }

    /// An expression about the document that is replayed.
    pub fn replayed(&self, expression: &str) -> String {
        let inside = "const document = gosightPlayer.getReplayer().iframe.contentDocument;";
        self.page.text(&format!("(() => {{ {inside} return {expression}; }})()"))
    }

    /// The heading of the page that is replayed.
    pub fn heading(&self) -> String {
        self.replayed("document.querySelector('h1').textContent.trim()")
    }

    /// What can be read of the part of the page with this id; empty when it cannot be seen.
    pub fn visible(&self, id: &str) -> String {
        let expression = format!(
            "(() => {{
                const part = document.getElementById('{id}');
                return part.checkVisibility() && part.getClientRects().length > 0 ? part.innerText : '';
            }})()"
        );
        self.page.text(&expression)
    }

    /// Checks that nothing went wrong and nothing was fetched but the page; gives the addresses that were refused.
    pub fn assert_offline(&self) -> Vec<String> {
        let happened = self.page.happened();
        assert_eq!(happened.errors, [""; 0]);
        assert_eq!(happened.fetched, [self.url.as_str()]);
        happened.blocked
    }

    /// Checks that, and that nothing had to be refused.
    pub fn assert_quiet(&self) {
        let happened = self.page.happened();
        assert_eq!((happened.errors, happened.refused, happened.blocked), (vec![], vec![], vec![]));
        assert_eq!(happened.fetched, [self.url.as_str()]);
    }
}
