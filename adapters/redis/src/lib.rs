//! Live state on Redis: session cache, dedup marks, rate limits and key cache.
