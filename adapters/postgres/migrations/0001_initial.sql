-- Times are milliseconds since 1970 in UTC, as everywhere in gosight.
CREATE TABLE projects (
    -- "C" orders by bytes, like every other store.
    project_id TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- A key or a profile may come before its project is created, so neither refers to it.
CREATE TABLE api_keys (
    key_id        UUID PRIMARY KEY,
    project_id    TEXT COLLATE "C" NOT NULL,
    name          TEXT NOT NULL,
    -- SHA-256 of the whole key.
    key_hash      BYTEA NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    key_prefix    TEXT NOT NULL,
    scopes        TEXT[] NOT NULL,
    is_active     BOOLEAN NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT,
    last_used_at  BIGINT,
    request_count BIGINT NOT NULL DEFAULT 0 CHECK (request_count >= 0)
) WITH (fillfactor = 80); -- Counting rewrites rows in place, where their page has room.
CREATE INDEX api_keys_by_project ON api_keys (project_id, created_at, key_id);

-- JSON, not JSONB: a profile is kept in the sender's own text.
CREATE TABLE user_profiles (
    project_id TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    profile    JSON NOT NULL,
    PRIMARY KEY (project_id, user_id)
);

CREATE TABLE item_profiles (
    project_id TEXT COLLATE "C" NOT NULL,
    item_id    TEXT COLLATE "C" NOT NULL,
    profile    JSON NOT NULL,
    PRIMARY KEY (project_id, item_id)
);
