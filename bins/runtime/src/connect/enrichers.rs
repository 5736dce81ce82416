//! Enrichers, as they are listed.

use std::sync::Arc;

use gosight_application::enrich::ChosenEnricher;
use gosight_application::pipeline::EnricherPart;
#[cfg(feature = "enrich-http")]
use gosight_application::ports::PortError;
use gosight_enrich::{PlaceEnricher, UserAgentEnricher};
#[cfg(feature = "enrich-http")]
use gosight_enrich_http::HttpEnricher;

use super::{ConnectError, not_built};
use crate::settings::{Config, EnricherKind, EnricherSettings};

/// The enrichers of events that are taken in; and the one of places, which has to be kept up to date.
pub(super) fn of_clients(
    config: &Config,
) -> Result<(Vec<ChosenEnricher>, Option<Arc<PlaceEnricher>>), ConnectError> {
    let (mut chosen, mut places) = (Vec::new(), None);
    for settings in &config.ingest.enrichers {
        let limits = settings.limits();
        match settings.kind {
            EnricherKind::UserAgent => {
                let enricher = Arc::new(UserAgentEnricher::new(config.enrich.user_agents));
                chosen.push(ChosenEnricher { enricher, limits });
            }
            EnricherKind::Place => {
                let enricher = Arc::new(PlaceEnricher::new(&config.enrich));
                places = Some(enricher.clone());
                chosen.push(ChosenEnricher { enricher, limits });
            }
            // The checks of the settings let no other one through.
            EnricherKind::Profiles | EnricherKind::Http => return Err(not_built("ingest.enrichers")),
        }
    }
    Ok((chosen, places))
}

/// The enrichers of events that are processed.
pub(super) fn of_events(config: &Config) -> Result<Vec<EnricherPart>, ConnectError> {
    let is_wanted = |settings: &&EnricherSettings| {
        settings.kind != EnricherKind::Profiles || config.process.profiles.enabled
    };
    config.process.enrichers.iter().filter(is_wanted).map(|settings| part(config, settings)).collect()
}

fn part(config: &Config, settings: &EnricherSettings) -> Result<EnricherPart, ConnectError> {
    match settings.kind {
        EnricherKind::Profiles => {
            Ok(EnricherPart::Profiles { cache: config.process.profiles.cache(), limits: settings.limits() })
        }
        #[cfg(feature = "enrich-http")]
        EnricherKind::Http => {
            let service = settings.http.as_ref().ok_or_else(|| not_built("process.enrichers"))?;
            let enricher = HttpEnricher::new(settings.name(), service)
                .map_err(|error| PortError::fatal("http enricher", error))?;
            let chosen = ChosenEnricher { enricher: Arc::new(enricher), limits: settings.limits() };
            Ok(EnricherPart::PlugIn(chosen))
        }
        _ => Err(not_built("process.enrichers")),
    }
}
