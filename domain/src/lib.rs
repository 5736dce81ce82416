//! Entities, value types and rules of gosight.
//!
//! This crate is pure: no async runtime, no I/O and no clock reads. Whoever knows the time passes it in.
//! The words are those of the product: a [`Project`](project::Project) sends [`Event`]s and
//! [`ReplayChunk`](replay::ReplayChunk)s, events of one [`SessionId`] fold into a [`Session`], a session shows
//! [`Insight`](insight::Insight)s, and everything is counted in an [`HourlyRollup`](rollup::HourlyRollup).
//!
//! Values are checked once, where they come in ([`EventRules::validate`](validate::EventRules::validate)), and are
//! valid by construction from there on.

pub mod aggregate;
mod content_ids;
pub mod decoded;
pub mod details;
pub mod event;
pub mod field;
pub mod identity;
pub mod insight;
pub mod json;
pub mod key;
pub mod ledger;
pub mod project;
mod recent;
pub mod replay;
pub mod rollup;
pub mod session;
mod text;
pub mod time;
pub mod validate;
mod violation;

pub use event::{Channel, Device, Event, Geo, Page};
pub use identity::EventId;
pub use json::JsonObject;
pub use session::Session;
pub use text::{AnonymousId, CampaignId, EventName, ProjectId, SessionId, Tag, UserId};
pub use time::{Hour, Timestamp};
pub use violation::{Violation, ViolationCode};
