-- Ids of projects and logs are short numbers in every row; their texts stand once.
CREATE TABLE projects (
    id         INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL UNIQUE,
    -- NULL for a project that only its events tell of.
    name       TEXT,
    created_at INTEGER
);

CREATE TABLE logs (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE api_keys (
    key_id        BLOB PRIMARY KEY,
    project       INTEGER NOT NULL REFERENCES projects (id),
    name          TEXT NOT NULL,
    key_hash      BLOB NOT NULL UNIQUE,
    key_prefix    TEXT NOT NULL,
    scopes        TEXT NOT NULL,
    is_active     INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    last_used_at  INTEGER,
    request_count INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE profiles (
    project INTEGER NOT NULL REFERENCES projects (id),
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    profile TEXT NOT NULL,
    PRIMARY KEY (project, kind, id)
) WITHOUT ROWID;

-- An event's JSON, with the columns that it is looked up by. Events are known by their ids through marks outside of
-- the database, which are made again from these rows where they are missing: hence where an event stood in the log,
-- which tells a redelivery from a duplicate. The marks say up to which row they go, so ids never go back.
CREATE TABLE events (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    project       INTEGER NOT NULL,
    event_id      BLOB NOT NULL,
    session       INTEGER,
    timestamp     INTEGER NOT NULL,
    sequence      INTEGER NOT NULL,
    log           INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset    INTEGER NOT NULL,
    event         TEXT NOT NULL
);
CREATE INDEX events_by_session ON events (session, timestamp, sequence, event_id) WHERE session IS NOT NULL;
CREATE INDEX events_by_time ON events (timestamp);

-- Counts by hour: of all events of a slot (dimension ''), and of those with each value of each dimension.
CREATE TABLE events_hourly (
    id          INTEGER PRIMARY KEY,
    project     INTEGER NOT NULL,
    dimension   TEXT NOT NULL,
    hour        INTEGER NOT NULL,
    event_type  TEXT NOT NULL,
    channel     TEXT NOT NULL,
    value       TEXT NOT NULL,
    total_count INTEGER NOT NULL
);
CREATE UNIQUE INDEX events_hourly_slot ON events_hourly (project, dimension, hour, event_type, channel, value);
CREATE INDEX events_hourly_by_hour ON events_hourly (hour);

-- Who is counted in a line of events_hourly.
CREATE TABLE hourly_visitors (
    slot    INTEGER NOT NULL,
    visitor INTEGER NOT NULL,
    PRIMARY KEY (slot, visitor)
) WITHOUT ROWID;

-- A session's folded state (MessagePack), with the columns that it is looked up by. Rows of other tables name it by
-- its id, which is never given again: what is left of a session that went must not become another's. The trail stands
-- apart, and last, because only those who add events need it.
CREATE TABLE sessions (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    project        INTEGER NOT NULL,
    session_id     TEXT NOT NULL,
    started_at     INTEGER NOT NULL,
    ended_at       INTEGER NOT NULL,
    user_id        TEXT,
    has_error      INTEGER NOT NULL,
    has_rage_click INTEGER NOT NULL,
    has_dead_click INTEGER NOT NULL,
    is_bounce      INTEGER NOT NULL,
    state          BLOB NOT NULL,
    trail          BLOB NOT NULL
);
CREATE UNIQUE INDEX sessions_by_id ON sessions (project, session_id);
CREATE INDEX sessions_by_start ON sessions (project, started_at DESC, session_id);
CREATE INDEX sessions_by_user ON sessions (project, user_id, started_at DESC) WHERE user_id IS NOT NULL;
CREATE INDEX sessions_by_age ON sessions (started_at);
CREATE INDEX sessions_by_end ON sessions (ended_at);

CREATE TABLE insights (
    session  INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    event_id BLOB NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    path     TEXT NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (session, kind, event_id)
) WITHOUT ROWID;

CREATE TABLE replay_chunks (
    project           INTEGER NOT NULL,
    session_id        TEXT NOT NULL,
    chunk_index       INTEGER NOT NULL,
    timestamp_start   INTEGER NOT NULL,
    timestamp_end     INTEGER NOT NULL,
    received_at       INTEGER NOT NULL,
    event_count       INTEGER NOT NULL,
    has_full_snapshot INTEGER NOT NULL,
    raw_bytes         INTEGER NOT NULL,
    content           BLOB NOT NULL,
    data              BLOB NOT NULL
);
CREATE UNIQUE INDEX replay_chunks_by_index ON replay_chunks (project, session_id, chunk_index);

CREATE TABLE aggregates (
    project      INTEGER NOT NULL,
    aggregation  TEXT NOT NULL,
    key          TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    value        BLOB NOT NULL,
    PRIMARY KEY (project, aggregation, key, window_start)
) WITHOUT ROWID;
CREATE INDEX aggregates_by_window ON aggregates (window_start);

-- One row for each batch; the rows of a partition join. Old rows that join are made into one.
CREATE TABLE ledger (
    log           INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    first_offset  INTEGER NOT NULL,
    last_offset   INTEGER NOT NULL,
    committed_at  INTEGER NOT NULL,
    PRIMARY KEY (log, log_partition, first_offset)
) WITHOUT ROWID;

-- What became of a batch's records, by project (NULL: could not be told) and hour.
CREATE TABLE ledger_entries (
    log           INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    first_offset  INTEGER NOT NULL,
    project       INTEGER,
    hour          INTEGER NOT NULL,
    polled        INTEGER NOT NULL,
    stored        INTEGER NOT NULL,
    duplicate     INTEGER NOT NULL,
    -- Counts by reason, as JSON objects.
    filtered      TEXT NOT NULL,
    rejected      TEXT NOT NULL,
    dead_lettered TEXT NOT NULL
);
CREATE INDEX ledger_entries_by_hour ON ledger_entries (hour, project);
CREATE INDEX ledger_entries_by_batch ON ledger_entries (log, log_partition, first_offset);

CREATE TABLE dead_letters (
    log           TEXT NOT NULL,
    log_partition INTEGER NOT NULL,
    log_offset    INTEGER NOT NULL,
    project_id    TEXT,
    reason        TEXT NOT NULL,
    detail        TEXT NOT NULL,
    at            INTEGER NOT NULL,
    record        BLOB NOT NULL,
    PRIMARY KEY (log, log_partition, log_offset)
) WITHOUT ROWID;

-- Batches whose sessions or aggregates were merged through the ports of their own.
CREATE TABLE merged_spans (
    what TEXT NOT NULL,
    span TEXT NOT NULL,
    PRIMARY KEY (what, span)
) WITHOUT ROWID;
