-- Sessions whose replay is in the archive, whether it has chunks here or not. The latest row of a session counts.
CREATE TABLE IF NOT EXISTS archived_replays (
    project_id  LowCardinality(String),
    session_id  String CODEC(ZSTD(1)),
    is_archived Bool,
    marked_at   DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
) ENGINE = ReplacingMergeTree(marked_at)
ORDER BY (project_id, session_id)
SETTINGS index_granularity = 1024;
