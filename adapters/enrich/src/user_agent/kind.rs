//! What kind of device a user agent is of.
//!
//! woothee's category decides, after rules for what it does not know or knows only of some. The first that fits:
//!
//! 1. **bot**: a word that ends in `bot`, `crawler` or `spider` (but not `Cubot`, a make of phones), and browsers that
//!    say that no person looks at them (`HeadlessChrome`, `PhantomJS`, `Lighthouse`, Google's inspection tools).
//! 2. **other**: television sets and what is plugged into them, which run Android or Linux.
//! 3. **tablet**: `iPad`; an Android browser that does not say `Mobi`, which is how browsers tell tablets from phones
//!    (Opera Mini never says it, and is taken for a phone's); `Tablet`, but not the `Tablet PC` of old desktop Windows;
//!    `Kindle`, `Silk` and `PlayBook`; a Mac with a browser that only iOS has.
//! 4. What woothee says: **bot** for a crawler, **mobile** for a smartphone or mobile phone, **desktop** for a PC.
//! 5. **mobile** if it says `Mobi` or `Opera Mini`, else **other**: consoles, HTTP libraries, and what nobody knows.
//!
//! Safari on an iPad asks for desktop pages, its default since iPadOS 13, in the very words of a Mac: it is a
//! **desktop** here, and only the size of its screen could tell.

/// Kinds of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeviceKind {
    Desktop,
    Mobile,
    Tablet,
    Bot,
    Other,
}

/// Endings of words that only bots have.
const BOT_ENDINGS: [&str; 3] = ["bot", "crawler", "spider"];
/// Text that only bots have, in lower case.
const BOTS: [&str; 5] = ["headlesschrome", "phantomjs", "lighthouse", "google-inspectiontool", "googleother"];
/// What ends like a bot and is none, in lower case.
const NO_BOT: &str = "cubot";
/// Text of television sets and what is plugged into them.
const TELEVISIONS: [&str; 11] = [
    "SmartTV",
    "SMART-TV",
    "Smart TV",
    "Android TV",
    "GoogleTV",
    "Google TV",
    "HbbTV",
    "BRAVIA",
    "CrKey",
    "Web0S",
    "; AFT",
];
/// Text that only tablets have.
const TABLETS: [&str; 4] = ["iPad", "Kindle", "Silk/", "PlayBook"];
/// Text of phones, some of which run Android.
const PHONES: [&str; 3] = ["Mobi", "Opera Mini", "Windows Phone"];
/// Text of browsers that run on iOS alone.
const IOS_BROWSERS: [&str; 4] = ["Mobile/", "CriOS/", "FxiOS/", "EdgiOS/"];

impl DeviceKind {
    /// The kind of device of a user agent, which woothee puts into `category`.
    pub(super) fn of(user_agent: &str, category: &str) -> Self {
        if is_bot(&user_agent.to_ascii_lowercase()) {
            Self::Bot
        } else if has_any(user_agent, &TELEVISIONS) {
            Self::Other
        } else if is_tablet(user_agent) {
            Self::Tablet
        } else {
            Self::of_category(category, user_agent)
        }
    }

    fn of_category(category: &str, user_agent: &str) -> Self {
        match category {
            "crawler" => Self::Bot,
            "smartphone" | "mobilephone" => Self::Mobile,
            "pc" => Self::Desktop,
            "appliance" => Self::Other,
            _ if has_any(user_agent, &PHONES) => Self::Mobile,
            _ => Self::Other,
        }
    }

    /// The name in events.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Bot => "bot",
            Self::Other => "other",
        }
    }
}

fn has_any(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

fn is_bot(lowercase: &str) -> bool {
    has_any(lowercase, &BOTS) || BOT_ENDINGS.iter().any(|ending| has_word_ending_in(lowercase, ending))
}

fn has_word_ending_in(lowercase: &str, ending: &str) -> bool {
    lowercase.match_indices(ending).any(|(at, _)| {
        let (so_far, rest) = lowercase.split_at(at + ending.len());
        !rest.starts_with(|next: char| next.is_ascii_alphabetic()) && !so_far.ends_with(NO_BOT)
    })
}

fn is_tablet(user_agent: &str) -> bool {
    let says = |word: &str| user_agent.contains(word);
    // Apps on Android do not say which kind they run on; browsers do.
    let android_browser = says("Android") && user_agent.starts_with("Mozilla/");
    has_any(user_agent, &TABLETS)
        || android_browser && !has_any(user_agent, &PHONES)
        || says("Macintosh") && has_any(user_agent, &IOS_BROWSERS)
        || user_agent.match_indices("Tablet").any(|(at, _)| !user_agent[at..].starts_with("Tablet PC"))
}
