use proptest::prelude::*;

use super::*;

const CHROME: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36";

fn agents() -> UserAgents {
    UserAgents::new(UserAgentConfig::default())
}

/// Everything that `user_agent` tells, in the form of `agents.txt`.
fn told(agents: &UserAgents, user_agent: &str) -> String {
    let device = agents.device(user_agent);
    let parts = [device.device_type, device.browser, device.browser_version, device.os, device.os_version];
    parts.map(|part| part.as_deref().unwrap_or("-").to_owned()).join(" | ")
}

#[test]
fn user_agents_tell_their_devices() {
    let agents = agents();
    let rows = include_str!("agents.txt").lines().filter(|row| !row.is_empty() && !row.starts_with('#'));
    let mut checked = 0;
    for row in rows {
        let user_agent = row.splitn(6, " | ").last().unwrap();
        assert_eq!(format!("{} | {user_agent}", told(&agents, user_agent)), row);
        checked += 1;
    }
    assert!(checked > 70, "{checked}");
}

#[test]
fn nothing_comes_of_nothing() {
    for user_agent in ["", "-", " ", "\t"] {
        assert!(agents().device(user_agent).is_empty(), "{user_agent:?}");
    }
}

#[test]
fn a_very_long_user_agent_is_not_read() {
    let padded = |length: usize| format!("{CHROME:x<length$}");
    assert_eq!(agents().device(&padded(1_024)).browser.as_deref(), Some("Chrome"));
    assert!(agents().device(&padded(1_025)).is_empty());
}

#[test]
fn an_absurd_version_is_left_out() {
    let user_agent = CHROME.replace("139.0.0.0", &"1".repeat(65));
    let device = agents().device(&user_agent);
    assert_eq!(device.browser.as_deref(), Some("Chrome"));
    assert_eq!(device.browser_version, None);
}

#[test]
fn what_was_read_is_remembered() {
    let agents = agents();
    let first = agents.device(CHROME).browser.unwrap();
    let again = agents.device(&format!(" {CHROME} ")).browser.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
}

#[test]
fn only_so_many_are_remembered() {
    let agents = UserAgents::new(UserAgentConfig { cache_entries: 10, ..UserAgentConfig::default() });
    for n in 0..1_000 {
        agents.device(&CHROME.replace("139", &n.to_string()));
    }
    agents.cache.run_pending_tasks();
    assert!(agents.cache.entry_count() <= 10, "{}", agents.cache.entry_count());
    assert!(!format!("{agents:?}").contains("Chrome"));
}

proptest! {
    #[test]
    fn any_text_has_a_kind(text in "\\PC{1,200}") {
        let device = agents().device(&text);
        prop_assert_eq!(device.device_type.is_some(), !matches!(text.trim(), "" | "-"));
    }

    #[test]
    fn any_mix_of_known_words_has_a_kind(
        words in prop::collection::vec(prop::sample::select(vec![
            "Mozilla/5.0", "(", ")", ";", "Windows NT", "Windows Phone OS", "Android", "Android-", "iPhone", "like Mac OS X",
            "Mac OS X 10_", "CrOS ", "Chrome/", "Version/", "OPR/", "MSIE ", "Trident/", "Edg/1", "Safari/", "DoCoMo/",
            "KDDI-", "SoftBank/1.0/", "Tablet", "Tablet PC", "é", "Cubot", "bot", "UNKNOWN", "Xbox", "jig browser", "wv",
        ]), 1..12),
    ) {
        let device = agents().device(&words.concat());
        prop_assert!(device.device_type.is_some());
        for part in [device.browser, device.browser_version, device.os, device.os_version] {
            prop_assert!(part.is_none_or(|part| !part.is_empty() && &*part != "UNKNOWN"));
        }
    }
}
