//! Recorded sessions in a browser show what their visitors saw.

use std::path::PathBuf;

use gosight_browser::Browser;
use gosight_e2e::recordings;
use serde_json::Value;

use crate::player::Player;
use crate::recorder::Recorder;

/// What is known of the sessions of a special case.
fn with_case(case: &str) -> Vec<Value> {
    let is_it = |session: &Value| session["cases"].as_array().unwrap().iter().any(|found| found == case);
    recordings::truth().into_iter().filter(is_it).collect()
}

fn file(session: &Value) -> PathBuf {
    recordings::folder().join(session["file"].as_str().unwrap())
}

fn id(session: &Value) -> &str {
    session["session_id"].as_str().unwrap()
}

/// The pages of a session: when it was half over, by the page's clock, and its heading.
fn pages(session: &Value) -> Vec<(i64, &str)> {
    let at = |value: &Value| value.as_i64().unwrap() + session["clock_offset_ms"].as_i64().unwrap();
    let pages = session["pages"].as_array().unwrap();
    let starts = pages.iter().map(|page| at(&page["at_ms"]));
    let ends = starts.clone().skip(1).chain([at(&session["ended_at_ms"])]);
    let headings = pages.iter().map(|page| page["heading"].as_str().unwrap());
    starts.zip(ends).map(|(start, end)| i64::midpoint(start, end)).zip(headings).collect()
}

/// Checks that a recording without gaps shows every page, at its time and at its end.
fn assert_shows_the_session(player: &Player, session: &Value) {
    let name = &session["file"];
    player.play();
    assert_eq!(player.heading(), pages(session).last().unwrap().1, "{name} at its end");
    for (time, heading) in pages(session) {
        player.go_to(time);
        assert_eq!(player.heading(), heading, "{name} at {time}");
    }
    assert_eq!(player.visible("notes"), "", "{name}: there is nothing to note");
    assert!(player.visible("about").contains(id(session)), "{name}");
    player.assert_quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_what_the_visitor_saw() {
    let sessions: Vec<Value> =
        ["purchase", "chunks_out_of_order", "spa"].iter().map(|case| with_case(case).remove(0)).collect();
    let recorder = Recorder::start();
    recorder.send(&sessions.iter().map(file).collect::<Vec<_>>()).await;
    let browser = Browser::start();
    for session in &sessions {
        let (page, printed) = recorder.export(id(session));
        assert!(!printed.contains("missing") && !printed.contains("cannot"), "{printed}");
        assert_shows_the_session(&Player::open(&browser, &page), session);
    }
}

/// Checks that a page says what is missing, and plays on after it.
fn assert_shows_the_gap(player: &Player, session: &Value, missing: u64, manifest: &Value) {
    let name = &session["file"];
    let chunks = manifest["chunks"].as_array().unwrap();
    let time = |index: u64, field: &str| {
        chunks.iter().find(|chunk| chunk["chunk_index"] == index).unwrap()[field].as_i64().unwrap()
    };
    let (from, to) = (time(missing - 1, "timestamp_end"), time(missing + 1, "timestamp_start"));
    let notes = player.visible("notes");
    assert!(notes.contains(&format!("Chunk {missing} is missing: nothing is known of")), "{name}: {notes}");
    assert_eq!(player.page().value("document.querySelectorAll('[title=\"missing recording\"]').length"), 1);

    player.play();
    assert_eq!(player.heading(), pages(session).last().unwrap().1, "{name} at its end");
    player.go_to(from - 100);
    assert_eq!(player.visible("status"), "", "{name}");
    player.go_to(i64::midpoint(from, to));
    let status = player.visible("status");
    assert!(status.starts_with(&format!("Chunk {missing} is missing: the picture stands still")), "{status}");
    player.go_to(to + 100);
    assert_eq!(player.visible("status"), "", "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_what_is_missing() {
    let recorder = Recorder::start();
    let browser = Browser::start();
    let (session, lost) = (with_case("rage_click").remove(0), 3);
    // And those that have really lost one, where they are at hand.
    let really_lost = with_case("missing_chunk");
    let copy = recorder.lose_chunk(&file(&session), lost);
    recorder.send(&really_lost.iter().map(file).chain([copy]).collect::<Vec<_>>()).await;
    let of_truth = really_lost.into_iter().map(|session| {
        let lost = session["recorded"]["replay"]["missing_chunks"][0].as_u64().unwrap();
        (session, lost)
    });
    for (session, lost) in [(session, u64::from(lost))].into_iter().chain(of_truth) {
        let manifest: Value =
            serde_json::from_str(&recorder.printed(&["show", "--json", id(&session)])).unwrap();
        let shown = recorder.printed(&["show", id(&session)]);
        assert!(shown.contains(&format!("missing        chunk {lost}\n")), "{shown}");
        let (page, printed) = recorder.export(id(&session));
        assert!(printed.contains(&format!("missing: chunk {lost};")), "{printed}");
        let player = Player::open(&browser, &page);
        assert_shows_the_gap(&player, &session, lost, &manifest);
        for blocked in player.assert_offline() {
            assert!(blocked.starts_with("http://127.0.0.1:8173/"), "{blocked} is not of the recorded site");
        }
    }
}
