//! The analytics store on ClickHouse: events, sessions, aggregates, replay chunks and the ledger.
