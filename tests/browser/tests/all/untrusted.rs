//! Recordings that are not as they should be.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;

use gosight_browser::{Browser, Page};
use serde_json::{Value, json};

use crate::player::Player;
use crate::recorder::Recorder;

const START: i64 = 1_795_204_300_000;

fn meta(after_ms: i64) -> Value {
    let data = json!({"href": "http://shop.example/", "width": 800, "height": 600});
    json!({"type": 4, "timestamp": START + after_ms, "data": data})
}

/// A full snapshot of a page with this in its body.
fn snapshot(after_ms: i64, head: &[Value], body: &[Value]) -> Value {
    let html = json!({"type": 2, "id": 2, "tagName": "html", "attributes": {}, "childNodes": [
        {"type": 2, "id": 3, "tagName": "head", "attributes": {}, "childNodes": head},
        {"type": 2, "id": 4, "tagName": "body", "attributes": {}, "childNodes": body},
    ]});
    let node = json!({"type": 0, "id": 1, "childNodes": [{"type": 1, "id": 5, "name": "html"}, html]});
    let data = json!({"node": node, "initialOffset": {"left": 0, "top": 0}});
    json!({"type": 2, "timestamp": START + after_ms, "data": data})
}

fn element(id: u64, tag: &str, attributes: &Value, text: &str) -> Value {
    let text = json!({"type": 3, "id": id + 100, "textContent": text});
    json!({"type": 2, "id": id, "tagName": tag, "attributes": attributes, "childNodes": [text]})
}

/// A change that adds an element to the body.
fn addition(after_ms: i64, node: &Value) -> Value {
    let adds = json!([{"parentId": 4, "nextId": null, "node": node}]);
    let data = json!({"source": 0, "texts": [], "attributes": [], "removes": [], "adds": adds});
    json!({"type": 3, "timestamp": START + after_ms, "data": data})
}

/// A change of attributes.
fn attributes(after_ms: i64, id: u64, attributes: &Value) -> Value {
    let changes = json!([{"id": id, "attributes": attributes}]);
    let data = json!({"source": 0, "texts": [], "attributes": changes, "removes": [], "adds": []});
    json!({"type": 3, "timestamp": START + after_ms, "data": data})
}

fn moved(after_ms: i64) -> Value {
    let positions = json!([{"x": 10, "y": 10, "id": 4, "timeOffset": 0}]);
    json!({"type": 3, "timestamp": START + after_ms, "data": {"source": 1, "positions": positions}})
}

/// Lets the browser connect to somewhere, so that the connections that it was to make before are made too.
fn connect_elsewhere(page: &Page<'_>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    });
    page.go_to(&url);
    server.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_breaks_out_of_nothing_and_reaches_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let away = format!("http://{}/away", listener.local_addr().unwrap());
    let run = "top.pwned = parent.pwned = window.pwned = 1";
    let escape = format!("</script></iframe><script>{run}</script><!--\u{2028}<script>");
    let head = [
        element(10, "link", &json!({"rel": "preconnect", "href": away}), ""),
        element(11, "link", &json!({"REL": "DNS-Prefetch preconnect", "href": away}), ""),
        element(12, "link", &json!({"rel": "stylesheet", "href": away}), ""),
        element(13, "meta", &json!({"http-equiv": "refresh", "content": format!("0;url={away}")}), ""),
        element(14, "base", &json!({"href": away}), ""),
        element(15, "script", &json!({"src": away}), run),
        element(
            16,
            "style",
            &json!({"_cssText": format!("@import url({away}); p {{ background: url({away}) }}")}),
            "",
        ),
    ];
    let body = [
        element(20, "h1", &json!({"title": escape}), &escape),
        element(21, "img", &json!({"src": away, "onerror": run, "srcset": format!("{away} 2x")}), ""),
        element(22, "iframe", &json!({"src": away}), ""),
        element(
            23,
            "iframe",
            &json!({"srcdoc": format!("<link rel=preconnect href='{away}'><script>{run}</script>")}),
            "",
        ),
        element(24, "a", &json!({"href": format!("javascript:{run}"), "ping": away}), "link"),
        element(25, "object", &json!({"data": away}), ""),
        element(26, "video", &json!({"src": away, "autoplay": true, "poster": away}), ""),
        element(27, "p", &json!({"onfocus": run, "tabindex": "0", "autofocus": true}), "text"),
    ];
    let events = [
        meta(0),
        snapshot(1, &head, &body),
        addition(500, &element(30, "link", &json!({"rel": "preconnect", "href": away}), "")),
        addition(600, &element(31, "script", &json!({}), run)),
        attributes(700, 23, &json!({"src": away, "SRCDOC": format!("<link rel=preconnect href='{away}'>")})),
        attributes(800, 10, &json!({"rel": "dns-prefetch preconnect", "href": away})),
        moved(1_000),
    ];
    let recorder = Recorder::start();
    let session = "a/b <script>top.pwned=1</script>\"&'";
    recorder.record(session, 0, &events).await;
    let browser = Browser::start();
    let (page, _) = recorder.export(session);
    let player = Player::open(&browser, &page);
    player.play();

    assert_eq!(player.heading(), escape);
    assert!(player.visible("about").starts_with(session));
    assert_eq!(player.page().value("document.querySelectorAll('body > script:not([type])').length"), 2);
    for window in ["window", "gosightPlayer.getReplayer().iframe.contentWindow"] {
        assert_eq!(player.page().value(&format!("String({window}.pwned)")), "undefined");
    }
    let blocked = player.assert_offline();
    assert!(!blocked.is_empty() && blocked.iter().all(|url| *url == away), "{blocked:?}");
    connect_elsewhere(player.page());
    let came = listener.accept().map(|(_, from)| from);
    assert_eq!(came.unwrap_err().kind(), ErrorKind::WouldBlock, "somebody was connected to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_lost_its_start_plays_from_the_first_full_snapshot() {
    let recorder = Recorder::start();
    let body = [element(20, "h1", &json!({}), "Late")];
    recorder.record("late", 1, &[moved(0), moved(200), snapshot(1_000, &[], &body), moved(2_000)]).await;
    let browser = Browser::start();
    let (page, printed) = recorder.export("late");
    assert!(printed.contains("2 changes before the first full snapshot cannot be shown"), "{printed}");
    let player = Player::open(&browser, &page);
    player.play();
    assert_eq!(player.heading(), "Late");
    let notes = player.visible("notes");
    for note in [
        "Chunk 0 is missing, before the first moment that can be shown.",
        "What happened before the first full snapshot, for 0:01.0, cannot be shown: 2 changes.",
        "The size of the page was not recorded.",
    ] {
        assert!(notes.contains(note), "{notes}");
    }
    player.assert_quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_played_is_said_and_no_file_is_left() {
    let recorder = Recorder::start();
    recorder.record("blind", 0, &[meta(0), moved(100), moved(200)]).await;
    for (session, reason) in [
        ("blind", "there is no full snapshot in its 3 events"),
        ("nobody", "there is no recording of this session"),
    ] {
        let output = recorder.replay(&["export", session, "--output", "page.html"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(reason), "{error}");
    }
    let left = std::fs::read_dir(recorder.dir()).unwrap().count();
    assert_eq!(left, 0, "nothing is written");
    let shown = recorder.printed(&["show", "blind"]);
    assert!(shown.contains("playable       no: there is no full snapshot"), "{shown}");
}
