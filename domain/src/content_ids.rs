//! Ids of events that came without one: made from what makes the event itself, so a retry of the same request gives the
//! same ids. Two honest identical events in one request differ by their ordinal and stay two; in *different* requests they
//! would be taken for one, which is why clients should send an id.

use std::collections::HashMap;

use crate::event::Event;
use crate::identity::{EventId, Fields};
use crate::time::Timestamp;

/// Gives events without an id of their own one made from their content. One for each request.
#[derive(Debug, Default)]
pub struct ContentIds {
    ordinals: HashMap<EventId, u32>,
}

impl ContentIds {
    /// The id of `event`, whose own `event_id` is not looked at. `client_time` is the time as the client sent it:
    /// the corrected one depends on when the request arrived.
    pub fn assign(&mut self, event: &Event, client_time: Timestamp) -> EventId {
        let content = content_of(event, client_time);
        let ordinal = self.ordinals.entry(content).or_default();
        let id = match *ordinal {
            0 => content,
            n => Fields::new("ordinal").bytes(content.as_uuid().as_bytes()).bytes(&n.to_be_bytes()).finish(),
        };
        *ordinal += 1;
        id
    }
}

fn content_of(event: &Event, client_time: Timestamp) -> EventId {
    let mut fields = Fields::new("content")
        .text(event.project_id.as_str())
        .text(event.event_type.as_str())
        .bytes(&client_time.as_millis().to_be_bytes())
        .optional(event.session_id.as_ref().map(crate::SessionId::as_str))
        .optional(event.user_id.as_ref().map(crate::UserId::as_str))
        .optional(event.anonymous_id.as_ref().map(crate::AnonymousId::as_str))
        .optional(event.channel.map(crate::Channel::as_str))
        .optional(event.campaign_id.as_ref().map(crate::CampaignId::as_str))
        .text(&event.page.url)
        .text(&event.page.path)
        .text(event.payload.as_str())
        .text(event.custom.as_str());
    for tag in &event.tags {
        fields = fields.text(tag.as_str());
    }
    fields.finish()
}
