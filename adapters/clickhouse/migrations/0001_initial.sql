-- Every event once. Sorted so that a session is read in one stretch; hourly counts and the offsets of the log are
-- projections, which live and die with the rows of their part: no crash can leave one without the other.
CREATE TABLE IF NOT EXISTS events (
    project_id      LowCardinality(String),
    session_id      String CODEC(ZSTD(1)),
    timestamp       DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id        UUID,
    event_type      LowCardinality(String),
    received_at     DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    -- Which of those of the same time.
    sequence        UInt64 CODEC(Delta(8), ZSTD(1)),
    clock_skew_ms   Int64 CODEC(ZSTD(1)),
    user_id         String CODEC(ZSTD(1)),
    anonymous_id    String CODEC(ZSTD(1)),
    -- Whom unique counts count: 64 bits of a SHA-256 of the user, else the anonymous id, else the session.
    visitor         Nullable(UInt64) CODEC(ZSTD(1)),
    channel         LowCardinality(String),
    campaign_id     LowCardinality(String),
    tags            Array(LowCardinality(String)),
    url             String CODEC(ZSTD(1)),
    path            String CODEC(ZSTD(1)),
    title           String CODEC(ZSTD(1)),
    referrer        String CODEC(ZSTD(1)),
    browser         LowCardinality(String),
    browser_version LowCardinality(String),
    os              LowCardinality(String),
    os_version      LowCardinality(String),
    device_type     LowCardinality(String),
    screen_width    Nullable(UInt16) CODEC(ZSTD(1)),
    screen_height   Nullable(UInt16) CODEC(ZSTD(1)),
    viewport_width  Nullable(UInt16) CODEC(ZSTD(1)),
    viewport_height Nullable(UInt16) CODEC(ZSTD(1)),
    ip              String CODEC(ZSTD(1)),
    country         LowCardinality(String),
    city            LowCardinality(String),
    -- JSON objects, or empty.
    payload         String CODEC(ZSTD(1)),
    custom          String CODEC(ZSTD(1)),
    context         String CODEC(ZSTD(1)),
    routes          Array(LowCardinality(String)),
    -- The record that the event was stored from.
    log             LowCardinality(String),
    log_partition   UInt32 CODEC(Delta(4), ZSTD(1)),
    log_offset      UInt64 CODEC(Delta(8), ZSTD(1)),
    hour            DateTime('UTC') MATERIALIZED toStartOfHour(timestamp),
    INDEX event_ids event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    PROJECTION events_hourly (
        SELECT project_id, hour, event_type, channel, count(), uniqExact(visitor)
        GROUP BY project_id, hour, event_type, channel
    ),
    PROJECTION events_hourly_by_path (
        SELECT project_id, hour, event_type, channel, substringUTF8(path, 1, 255), count(), uniqExact(visitor)
        GROUP BY project_id, hour, event_type, channel, substringUTF8(path, 1, 255)
    ),
    PROJECTION events_hourly_by_client (
        SELECT project_id, hour, event_type, channel, browser, os, device_type, country, count(), uniqExact(visitor)
        GROUP BY project_id, hour, event_type, channel, browser, os, device_type, country
    ),
    PROJECTION events_by_offset (
        SELECT log, log_partition, log_offset ORDER BY log, log_partition, log_offset
    )
) ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (project_id, session_id, timestamp, event_id)
SETTINGS non_replicated_deduplication_window = 1000;

-- The hourly counts, for people who ask by hand.
CREATE VIEW IF NOT EXISTS events_hourly AS
SELECT project_id, hour, event_type, channel, count() AS total_count, uniqExact(visitor) AS unique_users
FROM events GROUP BY project_id, hour, event_type, channel;

-- The fold of each session (MessagePack), with what it is looked for by. Folds only grow, so the one with the most
-- events is the latest. A session whose events come from several partitions of the log, as after their number was
-- changed, has a fold for each; readers join them.
CREATE TABLE IF NOT EXISTS sessions (
    project_id     LowCardinality(String),
    session_id     String CODEC(ZSTD(1)),
    log            LowCardinality(String),
    log_partition  UInt32,
    event_count    UInt64,
    started_at     DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    ended_at       DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    user_id        String CODEC(ZSTD(1)),
    page_count     UInt64,
    click_count    UInt64,
    error_count    UInt64,
    has_error      Bool,
    has_rage_click Bool,
    has_dead_click Bool,
    is_bounce      Bool,
    -- A JSON array.
    insights       String CODEC(ZSTD(1)),
    state          String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(event_count)
ORDER BY (project_id, session_id, log, log_partition)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 1024;

-- The insights of each session, for people who ask by hand.
CREATE VIEW IF NOT EXISTS insights AS
SELECT project_id, session_id,
    JSONExtractString(insight, 'kind') AS kind,
    toUUIDOrZero(JSONExtractString(insight, 'event_id')) AS event_id,
    fromUnixTimestamp64Milli(JSONExtractInt(insight, 'first_at'), 'UTC') AS first_at,
    fromUnixTimestamp64Milli(JSONExtractInt(insight, 'last_at'), 'UTC') AS last_at,
    JSONExtractString(insight, 'path') AS path,
    JSONExtractUInt(insight, 'count') AS count
FROM (
    SELECT project_id, session_id, argMax(insights, event_count) AS latest
    FROM sessions GROUP BY project_id, session_id, log, log_partition
)
ARRAY JOIN JSONExtractArrayRaw(latest) AS insight;

-- What each batch adds to the window aggregates (MessagePack); readers add it up.
CREATE TABLE IF NOT EXISTS aggregates (
    project_id    LowCardinality(String),
    aggregation   LowCardinality(String),
    key           String CODEC(ZSTD(1)),
    window_start  DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    log           LowCardinality(String),
    log_partition UInt32,
    first_offset  UInt64,
    value         String CODEC(ZSTD(1))
) ENGINE = MergeTree
ORDER BY (project_id, aggregation, key, window_start, log, log_partition, first_offset)
SETTINGS non_replicated_deduplication_window = 1000;

-- Chunks that are not archived. The same chunk may be there twice for a moment; readers take one of each index.
CREATE TABLE IF NOT EXISTS replay_chunks (
    project_id        LowCardinality(String),
    session_id        String CODEC(ZSTD(1)),
    chunk_index       UInt16,
    timestamp_start   DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    timestamp_end     DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    received_at       DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    event_count       UInt32,
    has_full_snapshot Bool,
    raw_bytes         UInt32,
    content           FixedString(32) CODEC(NONE),
    -- gzip; it does not get smaller.
    data              String CODEC(NONE)
) ENGINE = ReplacingMergeTree
ORDER BY (project_id, session_id, chunk_index)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 64;

-- One row for each project and hour of each batch; written last, it makes the batch count.
CREATE TABLE IF NOT EXISTS ledger (
    log           LowCardinality(String),
    log_partition UInt32,
    first_offset  UInt64 CODEC(Delta(8), ZSTD(1)),
    last_offset   UInt64 CODEC(Delta(8), ZSTD(1)),
    committed_at  DateTime('UTC') DEFAULT now() CODEC(Delta(4), ZSTD(1)),
    -- Empty: could not be told.
    project_id    LowCardinality(String),
    hour          DateTime('UTC'),
    polled        UInt64,
    stored        UInt64,
    duplicate     UInt64,
    filtered      Map(String, UInt64),
    rejected      Map(String, UInt64),
    dead_lettered Map(String, UInt64),
    PROJECTION ledger_hourly (
        SELECT project_id, hour, log, sum(polled), sum(stored), sum(duplicate),
            sumMap(filtered), sumMap(rejected), sumMap(dead_lettered)
        GROUP BY project_id, hour, log
    )
) ENGINE = MergeTree
ORDER BY (log, log_partition, first_offset)
SETTINGS non_replicated_deduplication_window = 1000;

-- Who may write what a partition of the log becomes: the holder of the highest epoch. Each insert looks here.
CREATE TABLE IF NOT EXISTS writers (
    log           LowCardinality(String),
    log_partition UInt32,
    epoch         UInt64,
    owner         UUID
) ENGINE = MergeTree
ORDER BY (log, log_partition, epoch);
