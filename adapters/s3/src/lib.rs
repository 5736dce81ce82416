//! The replay archive on S3 and compatible stores.
