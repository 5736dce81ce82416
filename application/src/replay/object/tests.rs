use std::io::Read as _;

use flate2::bufread::GzDecoder;
use serde_json::json;

use super::*;

fn event(at: i64, chunk_index: u16, place: u64, bytes: usize) -> ReplayEvent {
    // Text that does not compress away.
    let noise: String =
        (0..bytes).map(|n| char::from(b"qwertyuiopasdfghjklzxcvbnm"[n * n / 7 % 26])).collect();
    let text = json!({"type": 3, "timestamp": at, "data": noise}).to_string();
    ReplayEvent::new(RawValue::from_string(text).unwrap(), chunk_index, place).unwrap()
}

/// An object with its bytes.
struct Whole {
    data: Vec<u8>,
    object: WrittenObject,
}

fn written(events: &[ReplayEvent]) -> Whole {
    let mut writer = ObjectWriter::new(6);
    let mut data = Vec::new();
    for event in events {
        if writer.is_full() {
            writer = writer.flushed().unwrap();
            data.extend_from_slice(&writer.take_part());
        }
        writer.push(event);
    }
    let (last, object) = writer.finish().unwrap();
    data.extend_from_slice(&last);
    assert_eq!((object.bytes, object.sha256), (data.len() as u64, ContentHash::of(&data)));
    Whole { data, object }
}

/// The array as text, by a decoder that reads one gzip member and no more.
fn decoded(whole: &Whole) -> String {
    let mut text = String::new();
    GzDecoder::new(&whole.data[..]).read_to_string(&mut text).unwrap();
    text
}

fn segment_data<'a>(whole: &'a Whole, segment: &Segment) -> &'a [u8] {
    let start = usize::try_from(segment.offset).unwrap();
    &whole.data[start..start + usize::try_from(segment.bytes).unwrap()]
}

#[test]
fn any_decoder_reads_the_whole_and_each_segment_is_read_alone() {
    let events: Vec<ReplayEvent> =
        (0..60).map(|n| event(1_000 + n, u16::try_from(n / 25).unwrap(), n.unsigned_abs(), 40_000)).collect();
    let whole = written(&events);
    let object = &whole.object;
    let texts: Vec<&str> = events.iter().map(ReplayEvent::as_str).collect();
    assert_eq!(decoded(&whole), format!("[{}]", texts.join(",")));
    assert_eq!(object.raw_bytes, decoded(&whole).len() as u64);
    assert!(object.segments.len() > 3);

    let mut read = Vec::new();
    for (index, segment) in object.segments.iter().enumerate() {
        let events = of_segment(index, segment, segment_data(&whole, segment)).unwrap();
        assert_eq!(segment.from, events[0].timestamp());
        assert_eq!(segment.to, events[events.len() - 1].timestamp());
        read.extend(events);
    }
    assert!(read.is_sorted());
    let back: Vec<(&str, u16)> = read.iter().map(|event| (event.as_str(), event.order.chunk_index)).collect();
    let sent: Vec<(&str, u16)> =
        events.iter().map(|event| (event.as_str(), event.order.chunk_index)).collect();
    assert!(back == sent);
}

#[test]
fn nothing_is_an_empty_array() {
    let whole = written(&[]);
    assert_eq!((decoded(&whole).as_str(), whole.object.segments.len()), ("[]", 0));
}

#[test]
fn damage_is_noticed() {
    let events = [event(1, 0, 0, 100), event(2, 0, 1, 100)];
    let whole = written(&events);
    let object = &whole.object;
    let segment = &object.segments[0];
    let data = segment_data(&whole, segment);
    assert!(of_segment(0, segment, data).is_ok());
    assert!(of_segment(0, segment, &data[..data.len() / 2]).is_err());
    assert!(of_segment(0, segment, b"no deflate").is_err());
    for wrong in [segment.raw_bytes - 1, segment.raw_bytes + 1] {
        assert!(of_segment(0, &Segment { raw_bytes: wrong, ..segment.clone() }, data).is_err());
    }
    assert!(of_segment(0, &Segment { crc32: !segment.crc32, ..segment.clone() }, data).is_err());
    let runs = vec![Run { chunk_index: 0, events: 3 }];
    assert!(of_segment(0, &Segment { runs, ..segment.clone() }, data).is_err());
}
