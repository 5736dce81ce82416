//! What every way in and out shares, whatever its protocol: how it fails, what it may hold in memory, who its client is, how
//! bodies of any wire format become what [`Ingest`](crate::ingest::Ingest) takes, and how it is started and drained.
//!
//! | | |
//! | --- | --- |
//! | [`FailureCode`] | the one table of failures; statuses of HTTP and gRPC are columns of it |
//! | [`Failure`] | what goes back to a client whose request failed |
//! | [`InFlightBudget`] | the memory that all requests of all surfaces share |
//! | [`TrustedProxies`] | whose word on a client's address is believed |
//! | [`Dialect`], [`Intake`] | a wire format, and what its bodies bring |
//! | [`Receiver`] | from items to verdicts, with one use case behind all formats |
//! | [`Surface`] | a server that the process starts and drains |
//!
//! What the processors of this process are doing is [`ProcessorInfo`](crate::process::ProcessorInfo).

mod client_address;
mod credential;
mod decompress;
mod dialect;
mod failure;
mod failure_code;
mod head;
mod in_flight;
mod intake;
mod receive;
mod serve;

pub use client_address::{ForwardingHeaders, TrustedProxies};
pub use credential::Credential;
pub use decompress::{DecompressError, Decompressor, decompress};
pub use dialect::{Answer, BodyKind, Dialect, ReadLimits, utf8};
pub use failure::{Failure, FailureDetail};
pub use failure_code::{FAILURES, FailureCode};
pub use head::Head;
pub use in_flight::{InFlightBudget, Overloaded, Permit};
pub use intake::{Accepted, AliasDraft, FieldNames, Intake, IntakeReceipt, IntakeRequest, ReplayEvents};
pub use receive::{ITEM_BYTES, Receiver, ReplayLimits};
pub use serve::Surface;
