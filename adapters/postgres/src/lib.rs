//! Projects, API keys and profiles on PostgreSQL.
