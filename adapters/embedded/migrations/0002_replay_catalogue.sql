-- What was archived of each replay. An entry is JSON: only these columns are asked for.
CREATE TABLE replay_catalogue (
    project_id  TEXT NOT NULL,
    session_id  TEXT NOT NULL,
    version     INTEGER NOT NULL,
    archived_at INTEGER,
    entry       TEXT NOT NULL,
    PRIMARY KEY (project_id, session_id)
) WITHOUT ROWID;

CREATE TABLE replay_leases (
    project_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    owner      TEXT NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (project_id, session_id)
) WITHOUT ROWID;

-- Sessions whose replay is in the archive, whether it has chunks here or not.
CREATE TABLE archived_replays (
    project    INTEGER NOT NULL REFERENCES projects (id),
    session_id TEXT NOT NULL,
    PRIMARY KEY (project, session_id)
) WITHOUT ROWID;
