//! Every port in memory, for tests and for embedders' tests.
