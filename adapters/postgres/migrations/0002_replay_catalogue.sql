-- What was archived of each replay. An entry is JSON: only these columns are asked for.
CREATE TABLE replay_catalogue (
    project_id  TEXT COLLATE "C" NOT NULL,
    session_id  TEXT COLLATE "C" NOT NULL,
    version     BIGINT NOT NULL,
    archived_at BIGINT,
    entry       JSON NOT NULL,
    PRIMARY KEY (project_id, session_id)
);
CREATE INDEX replay_catalogue_by_age ON replay_catalogue (archived_at, project_id, session_id);

CREATE TABLE replay_leases (
    project_id  TEXT COLLATE "C" NOT NULL,
    session_id  TEXT COLLATE "C" NOT NULL,
    owner       UUID NOT NULL,
    lease_until BIGINT NOT NULL,
    PRIMARY KEY (project_id, session_id)
);
