//! Payloads that the columns are read from.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Event types with payloads, as they may stand in the log.
const CASES: [(&str, &[&str]); 10] = [
    (
        "click",
        &[
            "{}",
            r##"{"x":415.4,"y":-2,"target":{"selector":"#buy","tag":"button","role":"link","text":"Buy"},"more":[1]}"##,
            r#"{"x":0.5,"y":-0.5}"#,
            r#"{"x":1.5,"y":-1.5}"#,
            r#"{"x":2.5,"y":-2.5}"#,
            r#"{"x":0.49999999999999994,"y":-0.49999999999999994}"#,
            r#"{"x":32767.4,"y":-32768.4}"#,
            r#"{"x":32766.5,"y":-32767.5}"#,
            r#"{"x":1e2,"y":1.25E+1}"#,
            r#"{"x":-0,"y":-0.0}"#,
            r#"{"x":null,"y":7,"target":null}"#,
            r#"{"X":3,"Target":{"tag":"a"}}"#,
            r#"{"target":{}}"#,
            r#"{"target":{"selector":"","tag":null,"text":"12"}}"#,
            r#"{"target":{"target":{"tag":"inner"},"x":1},"a":{"x":5,"y":6}}"#,
            r#"{ "y" : 3 , "target" : { "tag" : "a" } , "\u0078" : 4 }"#,
            r#"{"target":{"text":"a \"b\" \\ \/ \n\té 😀 é","selector":"a[href=\"x\"]"}}"#,
            r#"{"x":5,"n":123456789012345678901234567890}"#,
            r#"{"x":5,"n":[-123456789012345678901],"target":{"text":"\"n\":123456789012345678901,\\","tag":"-1234567890123456789012"}}"#,
            r#"{"x":5,"n":18446744073709551615,"m":-9223372036854775808,"l":0.1234567890123456789012345,"k":1e-400}"#,
            r#"{"x":5,"same":1,"same":2}"#,
        ],
    ),
    (
        "scroll",
        &[
            "{}",
            r#"{"depth_percent":0}"#,
            r#"{"depth_percent":99.5}"#,
            r#"{"depth_percent":100.4}"#,
            r#"{"depth_percent":null,"x":4}"#,
            r#"{"depth":50}"#,
        ],
    ),
    (
        "js_error",
        &[
            r#"{"message":"m","stack":"a\n  at b","errorType":"TypeError"}"#,
            r#"{"message":"","error_type":"RangeError"}"#,
            r#"{"stack":null,"errorType":null}"#,
            r#"{"message":"{\"message\":\"inner\"}","n":99999999999999999999}"#,
            r#"{"name":"other","target":{"tag":"a"}}"#,
        ],
    ),
    (
        "web_vitals",
        &[
            r#"{"lcp":348,"fid":1,"inp":0,"cls":0,"ttfb":54}"#,
            r#"{"lcp":1234.5,"fid":0.4999,"inp":7.5000001,"cls":0.123456789,"ttfb":0.5}"#,
            r#"{"lcp":4294967295,"ttfb":4294967294.5}"#,
            r#"{"lcp":4294967295.4}"#,
            r#"{"cls":1e-7}"#,
            r#"{"cls":1e-400}"#,
            r#"{"cls":-0.0}"#,
            r#"{"cls":3.4e38}"#,
            r#"{"cls":0.30000000000000004}"#,
            r#"{"cls":16777217}"#,
            r#"{"cls":123456789012345678901234567890}"#,
            r#"{"cls":null,"x":1,"rating":{"lcp":9}}"#,
        ],
    ),
    ("mouse_move", &[r#"{"x":1,"y":2,"positions":[{"x":3,"y":4}]}"#]),
    ("page_view", &[r#"{"x":1,"y":"2","target":{"tag":"a"},"lcp":5,"message":"m","depth_percent":300}"#]),
    ("Click", &[r#"{"x":1,"target":{"tag":"a"}}"#]),
    ("web_vitals2", &[r#"{"lcp":"5","cls":true}"#]),
    ("purchase", &[r#"{"x":70000,"target":"a","cls":-1,"lcp":[1],"errorType":{}}"#]),
    ("js_errors", &[r#"{"message":"m","stack":"s","error_type":"t"}"#]),
];

/// An event type and a payload.
pub type Case = (String, String);

/// What is easily read wrong.
pub fn written() -> Vec<Case> {
    let pairs =
        CASES.iter().flat_map(|(name, payloads)| payloads.iter().map(move |payload| (*name, *payload)));
    let pairs = pairs.map(|(name, payload)| (name.to_owned(), payload.to_owned()));
    let deep = format!(r#"{{"x":5,"a":{}1{}}}"#, "[".repeat(63), "]".repeat(63));
    pairs.chain([("click".to_owned(), deep)]).collect()
}

#[derive(Deserialize)]
struct Request {
    path: String,
    body: Box<RawValue>,
}

#[derive(Deserialize)]
struct Body {
    events: Vec<Sent>,
}

#[derive(Deserialize)]
struct Sent {
    r#type: String,
    payload: Box<RawValue>,
}

/// What browsers have sent.
pub fn recorded() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/browser-sessions");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let recordings = files.filter(|file| file.extension().is_some_and(|extension| extension == "gz"));
    recordings.flat_map(|file| events(&file)).collect()
}

fn events(file: &std::path::Path) -> Vec<Case> {
    let lines = BufReader::new(GzDecoder::new(File::open(file).unwrap())).lines();
    let requests = lines.map(|line| serde_json::from_str::<Request>(&line.unwrap()).unwrap());
    let events = requests.filter(|request| request.path == "/v1/events").flat_map(|request| {
        let Body { events } = serde_json::from_str(request.body.get()).unwrap();
        events.into_iter().map(|event| (event.r#type, event.payload.get().to_owned())).collect::<Vec<_>>()
    });
    events.collect()
}
