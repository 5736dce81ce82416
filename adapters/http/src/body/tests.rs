use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{DecodeError, Encoding, decode};
use crate::budget::MemoryBudget;
use crate::budget::Overloaded;

fn budget(bytes: u64) -> MemoryBudget {
    MemoryBudget::new(ByteSize(bytes), Duration::from_millis(10))
}

fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

#[tokio::test]
async fn a_share_grows_shrinks_and_is_given_back() {
    let budget = budget(100);
    let mut first = budget.reservation();
    first.grow(60).await.unwrap();
    first.grow(20).await.unwrap();
    let mut second = budget.reservation();
    assert_eq!(second.grow(30).await, Err(Overloaded));
    first.shrink_to(70);
    assert_eq!((first.bytes(), second.grow(30).await), (70, Ok(())));
    drop(first);
    second.grow(70).await.unwrap();
    assert_eq!(second.bytes(), 100);
}

#[tokio::test]
async fn who_waits_gets_what_is_given_back() {
    let budget = MemoryBudget::new(ByteSize(10), Duration::from_mins(1));
    let mut first = budget.reservation();
    first.grow(10).await.unwrap();
    let mut second = budget.reservation();
    let (grown, ()) = tokio::join!(second.grow(5), async { drop(first) });
    assert_eq!((grown, second.bytes()), (Ok(()), 5));
}

#[tokio::test]
async fn what_comes_out_is_counted_and_no_more() {
    let budget = budget(256 << 20);
    for bytes in [0, 10, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 30 << 20] {
        let mut share = budget.reservation();
        share.grow(7).await.unwrap();
        let whole = vec![b'x'; bytes];
        let out = decode(Encoding::Gzip, gzip(&whole), bytes, &mut share).await.unwrap();
        assert_eq!((out.len(), share.bytes()), (bytes, bytes + 7));
        if bytes > 0 {
            let result = decode(Encoding::Gzip, gzip(&whole), bytes - 1, &mut share).await;
            assert_eq!(result, Err(DecodeError::TooLarge), "{bytes}");
        }
    }
}

#[tokio::test]
async fn a_bomb_stops_where_the_memory_ends() {
    let mut share = budget(1 << 20).reservation();
    let bomb = gzip(&vec![0; 50 << 20]);
    assert_eq!(decode(Encoding::Gzip, bomb, 100 << 20, &mut share).await, Err(DecodeError::Overloaded));
}
