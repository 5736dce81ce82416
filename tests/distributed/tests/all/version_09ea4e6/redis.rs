use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deadpool_redis::redis::{self, Client};
use gosight_distributed_tests::Set;
use gosight_e2e::fixture::lines;
use serde::Deserialize;

/// The prefix of the dumped keys.
const PREFIX: &[u8] = b"gosight:";

/// One key.
#[derive(Deserialize)]
struct Dumped {
    key: String,
    dump: String,
    pttl_ms: i64,
}

/// Puts all keys back under the prefix of the set. Their lives begin where they were when they were dumped.
pub(super) async fn restore(set: &Set) {
    let client = Client::open(set.setting("REDIS_URL")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut commands = redis::pipe();
    for Dumped { key, dump, pttl_ms } in lines::<Dumped>("redis.ndjson.gz") {
        let key = STANDARD.decode(key).unwrap();
        let key = [set.setting("REDIS_PREFIX").as_bytes(), key.strip_prefix(PREFIX).unwrap()].concat();
        // 0 is for ever.
        commands.cmd("RESTORE").arg(key).arg(pttl_ms.max(0)).arg(STANDARD.decode(dump).unwrap()).ignore();
    }
    commands.query_async::<()>(&mut connection).await.unwrap();
}
