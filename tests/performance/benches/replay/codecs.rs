//! gzip against zstd, on chunks and on whole recordings. Rates are those of one core.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::chunks::{gunzip, gzip, recorded};
use crate::{is_measured, on_processors};

/// How long each is repeated, for the quickest run to be a good one.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
enum Codec {
    Gzip(u32),
    Zstd(i32),
}

impl Codec {
    fn name(self) -> String {
        match self {
            Self::Gzip(level) => format!("gzip {level}"),
            Self::Zstd(level) => format!("zstd {level}"),
        }
    }

    fn pack(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip(level) => gzip(text, level),
            Self::Zstd(level) => zstd::encode_all(text, level).expect("compressed"),
        }
    }

    fn unpack(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip(_) => gunzip(data),
            Self::Zstd(_) => zstd::decode_all(data).expect("zstd"),
        }
    }
}

const CODECS: [Codec; 6] =
    [Codec::Gzip(1), Codec::Gzip(6), Codec::Gzip(9), Codec::Zstd(3), Codec::Zstd(9), Codec::Zstd(19)];

pub(crate) fn measure() {
    let mut sessions: BTreeMap<String, String> = BTreeMap::new();
    let mut chunks = Vec::new();
    for chunk in recorded() {
        let events = chunk.events[1..chunk.events.len() - 1].to_owned();
        let text = sessions.entry(chunk.session_id).or_default();
        text.push(if text.is_empty() { '[' } else { ',' });
        text.push_str(&events);
        chunks.push(chunk.events);
    }
    compare("single chunks", &chunks);
    let objects: Vec<String> = sessions.into_values().map(|text| text + "]").collect();
    compare("whole recordings", &objects);
}

fn compare(what: &str, texts: &[String]) {
    let raw: usize = texts.iter().map(String::len).sum();
    println!("{what}: {}, {:.1} KiB each", texts.len(), raw as f64 / texts.len() as f64 / 1024.0);
    println!("{:<10} {:>8} {:>10} {:>16} {:>16}", "", "of raw", "of gzip 6", "compressed", "decompressed");
    let usual: usize = texts.iter().map(|text| Codec::Gzip(6).pack(text.as_bytes()).len()).sum();
    for codec in CODECS {
        let packed: Vec<Vec<u8>> = texts.iter().map(|text| codec.pack(text.as_bytes())).collect();
        let bytes: usize = packed.iter().map(Vec::len).sum();
        let pack = quickest(|| texts.iter().for_each(|text| drop(black_box(codec.pack(text.as_bytes())))));
        let unpack = quickest(|| packed.iter().for_each(|data| drop(black_box(codec.unpack(data)))));
        let rate = |took: Duration| raw as f64 / took.as_secs_f64() / 1e6;
        println!(
            "{:<10} {:>8.4} {:>10.3} {:>11.0} MB/s {:>11.0} MB/s",
            codec.name(),
            bytes as f64 / raw as f64,
            bytes as f64 / usual as f64,
            rate(pack),
            rate(unpack),
        );
    }
}

/// The shortest time on processors that `work` took.
fn quickest(mut work: impl FnMut()) -> Duration {
    let mut time = || {
        let start = on_processors();
        work();
        on_processors().saturating_sub(start)
    };
    let start = Instant::now();
    let mut shortest = time();
    while is_measured() && start.elapsed() < PATIENCE {
        shortest = shortest.min(time());
    }
    shortest
}
