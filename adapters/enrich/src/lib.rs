//! Tells what user agents (woothee) and addresses (maxminddb) mean.
