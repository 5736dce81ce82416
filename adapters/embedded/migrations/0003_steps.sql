-- What is needed to commit batches in steps, beside stores of another technology.

-- Partitions with a batch whose events have rows, from this row of events on, and which has no row in the ledger.
CREATE TABLE unfinished_batches (
    log           INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    first_row     INTEGER NOT NULL,
    PRIMARY KEY (log, log_partition)
) WITHOUT ROWID;

-- How often a partition was acquired.
CREATE TABLE fences (
    log           INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    PRIMARY KEY (log, log_partition)
) WITHOUT ROWID;

-- What the last batch of a partition gave to the aggregates. It counts, and may have to be taken back.
CREATE TABLE uncommitted_aggregates (
    log           INTEGER NOT NULL,
    log_partition INTEGER NOT NULL,
    first_offset  INTEGER NOT NULL,
    project       INTEGER NOT NULL,
    aggregation   TEXT NOT NULL,
    key           TEXT NOT NULL,
    window_start  INTEGER NOT NULL,
    value         BLOB NOT NULL,
    PRIMARY KEY (log, log_partition, first_offset, project, aggregation, key, window_start)
) WITHOUT ROWID;
CREATE INDEX uncommitted_aggregates_by_window ON uncommitted_aggregates (window_start);

-- A session that is kept elsewhere has a row in sessions with an empty state: its events are found by its number.

DROP TABLE merged_spans;
