//! The one table of failures.

macro_rules! failure_codes {
    ($($name:ident = $http:literal / $grpc:literal, $code:literal $meaning:literal)+) => {
        /// Why a request failed. The text of [`as_str`](Self::as_str) is part of the API and never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FailureCode { $(#[doc = $meaning] $name,)+ }

        impl FailureCode {
            /// Every code, for documentation and its test.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The HTTP status that goes with it.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $http),+ }
            }

            /// The number of the gRPC status that goes with it
            /// (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
            pub const fn grpc_status(self) -> i32 {
                match self { $(Self::$name => $grpc),+ }
            }
        }

        /// Every code with its HTTP status and what it means.
        pub const FAILURES: &[(&str, u16, &str)] = &[$(($code, $http, $meaning)),+];
    };
}

failure_codes! {
    InvalidJson = 400 / 3, "invalid_json" "The body is not JSON; the message says at which line and column."
    InvalidUtf8 = 400 / 3, "invalid_utf8" "The body is not UTF-8."
    TooDeep = 400 / 3, "too_deep" "The body is nested too deep."
    InvalidRequest = 400 / 3, "invalid_request" "A field around the events has the wrong type; the details name it."
    InvalidEncoding = 400 / 3, "invalid_encoding" "The compressed body is damaged or cut off."
    NoEvents = 400 / 3, "no_events" "The request has no events."
    InvalidEvents = 400 / 3, "invalid_events" "No event of the batch is valid; the details say why for each."
    InvalidEvent = 400 / 3, "invalid_event" "The event is not valid; the details say why."
    InvalidReplay = 400 / 3, "invalid_replay" "The replay chunk is not valid; the details say why."
    InvalidParameter = 400 / 3, "invalid_parameter" "A parameter has a value that is not allowed."
    UnknownParameter = 400 / 3, "unknown_parameter" "There is no such query parameter here."
    MissingKey = 401 / 16, "missing_key" "No key was presented."
    InvalidKey = 401 / 16, "invalid_key" "The key is not known."
    RevokedKey = 401 / 16, "revoked_key" "The key was revoked."
    ExpiredKey = 401 / 16, "expired_key" "The key has expired."
    InsufficientScope = 403 / 7, "insufficient_scope" "The key is valid, but not for this."
    NotFound = 404 / 5, "not_found" "There is no such path, or nothing with this id."
    MethodNotAllowed = 405 / 12, "method_not_allowed" "The path does not take this method; the Allow header says which."
    ConflictingChunk = 409 / 6, "conflicting_chunk" "Another chunk of the session has this index; the one that was sent is in the errors log."
    RequestTimeout = 408 / 4, "request_timeout" "The body did not come in time."
    BodyTooLarge = 413 / 8, "body_too_large" "The body is larger than allowed."
    DecompressedTooLarge = 413 / 8, "decompressed_too_large" "The body is larger than allowed once decompressed."
    TooManyEvents = 413 / 3, "too_many_events" "The request has more events than allowed."
    UnsupportedMediaType = 415 / 3, "unsupported_media_type" "The content type is none that is taken."
    UnsupportedEncoding = 415 / 3, "unsupported_encoding" "The content encoding is none that is taken, or there are several."
    RateLimited = 429 / 8, "rate_limited" "The project sends more than its limit; Retry-After says when to try again."
    Internal = 500 / 13, "internal" "Something failed that should not; the cause is in the server's log."
    Overloaded = 503 / 14, "overloaded" "The server has too many requests in flight; try again after Retry-After."
    Unavailable = 503 / 14, "unavailable" "A dependency is unavailable; try again after Retry-After."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_have_a_status_of_each_protocol() {
        let mut names: Vec<&str> = FAILURES.iter().map(|(code, _, _)| *code).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAILURES.len());
        assert_eq!(FAILURES.len(), FailureCode::ALL.len());
        for (code, (name, status, meaning)) in FailureCode::ALL.iter().zip(FAILURES) {
            assert_eq!((code.as_str(), code.http_status()), (*name, *status));
            assert!((400..600).contains(status), "{name}");
            assert!((1..=16).contains(&code.grpc_status()), "{name}");
            // What a client may send again as it is, is the same for both: 14 is UNAVAILABLE.
            assert_eq!(*status == 503, code.grpc_status() == 14, "{name}");
            assert!(meaning.ends_with('.'));
        }
    }
}
