use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::{Device, Geo, ProjectId};
use serde_json::{Map, Value};

use super::PortError;

/// Error of [`EventEnricher`].
pub type EnricherError = PortError;

/// What an enricher learned about one event. The default is: nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Enrichment {
    /// What it happened on. What is known here replaces what was known; the rest stays.
    pub device: Device,
    /// Where it came from. What is known here replaces what was known; the rest stays.
    pub geo: Geo,
    /// Members of the event's `context`. Those of the same name are replaced; the rest stays. While events are taken in there
    /// is no context yet, and these are left out.
    pub context: Map<String, Value>,
}

impl Enrichment {
    /// Whether nothing was learned.
    pub fn is_empty(&self) -> bool {
        self.context.is_empty() && self.device.is_empty() && self.geo.is_empty()
    }
}

/// Who sent events: known while they are taken in, and in no log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// Whose events they are.
    pub project_id: &'a ProjectId,
    /// Address of the client, as far as it can be trusted.
    pub ip: Option<IpAddr>,
    /// Its user agent.
    pub user_agent: Option<&'a str>,
}

/// Tells more about events than they say themselves: a plug-in, of which any number are used in order.
///
/// An enricher gives [`Enrichment`]s and changes nothing: whatever it does, the events go on, once and in order. It is called
/// with a time limit and behind a circuit breaker for each project. When it hangs, fails, panics or answers what cannot be
/// used, the events go on without it, and that is counted.
///
/// It may stand in two places. While events are *taken in* it is asked about clients, whose addresses and user agents are
/// known there only. While they are *processed* it is asked about events of one project, as many as a batch has.
///
/// # What may differ between attempts
/// A batch that a crash interrupted is processed again, with the same records, perhaps cut into other batches, and with what
/// the enricher says then: `device`, `geo` and `context` may differ, and what filter rules and aggregations make of them. A row
/// that the interrupted attempt left keeps what it has; ledger and aggregates are those of the attempt that came to its end.
/// What an [`Enrichment`] has no place for cannot differ: which events there are, their number, order, ids, sessions, times,
/// types and payloads.
///
/// # Contract
/// 1. `enrich` gives one enrichment for each event, in the order of the events.
/// 2. What it says of an event depends on this event and on what the enricher knows, not on the other events of the call.
/// 3. Calls may be made at the same time, and each gets its own answer.
/// 4. A call may be given up at any moment. The next one is answered as if it had not been.
/// 5. What could not be looked up is an error. An enrichment that says nothing means that nothing is known.
/// 6. The name is the same at each call, and is made of `a-z`, `0-9` and `_`.
/// 7. What `client_at_once` says is what `enrich_client` says.
#[async_trait]
pub trait EventEnricher: fmt::Debug + Send + Sync {
    /// Names it in metrics, answers and logs.
    fn name(&self) -> &str;

    /// Whether a call may keep its thread busy for longer than some microseconds, as a computation or a synchronous client does.
    /// Then it has a thread of its own, and the time limit holds for it as well. With `false` it runs on the threads of the
    /// runtime: cheaper, and right for what only waits for sockets.
    fn may_block(&self) -> bool {
        true
    }

    /// What is known of these events, all of one project.
    async fn enrich(&self, events: &[DecodedEvent]) -> Result<Vec<Enrichment>, EnricherError> {
        Ok(vec![Enrichment::default(); events.len()])
    }

    /// What is known of a client, if memory has that: then nobody waits, and no task is made. It is called on the
    /// thread of the request.
    fn client_at_once(&self, _client: &Client<'_>) -> Option<Enrichment> {
        None
    }

    /// What is known of a client. Its request waits for this.
    async fn enrich_client(&self, client: &Client<'_>) -> Result<Enrichment, EnricherError> {
        Ok(self.client_at_once(client).unwrap_or_default())
    }
}
