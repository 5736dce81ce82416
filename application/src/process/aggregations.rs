//! The aggregations of a pipeline, with the measures that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gosight_domain::aggregate::{AggregateKey, AggregateValue, Aggregation, Applied, Measure};
use gosight_domain::decoded::DecodedEvent;

use super::skipped::SkippedMeasureStats;
use crate::ports::{EventMeasure, MeasureFault, MeasurePart, Measurement, Measurements, SkippedMeasures};
use crate::telemetry::Telemetry;

/// Measures of one's own, by the names that aggregations call them.
pub type CustomMeasures = BTreeMap<Arc<str>, Arc<dyn EventMeasure>>;

/// Why aggregations cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// Nobody gave this measure to the builder.
    #[error(
        "the measure {measure:?} of the aggregation {aggregation:?} is the custom measure {custom:?}, which is not known; \
         give it to the builder with `with_measure`. Known are: {known}"
    )]
    Unknown {
        /// The aggregation.
        aggregation: Arc<str>,
        /// The measure in it.
        measure: Arc<str>,
        /// What it is to be.
        custom: Arc<str>,
        /// What there is.
        known: String,
    },
    /// A measure does not say what it gives, or says it badly.
    #[error("the custom measure {custom:?} cannot be used: {reason}")]
    BadParts {
        /// The measure.
        custom: Arc<str>,
        /// What is wrong with its parts.
        reason: String,
    },
    /// Two measures of an aggregation would be stored under one name.
    #[error("the aggregation {aggregation:?} measures {name:?} twice; give one of the measures another name")]
    TakenName {
        /// The aggregation.
        aggregation: Arc<str>,
        /// The name.
        name: Arc<str>,
    },
}

/// Folds events into window aggregates.
#[derive(Debug, Default)]
pub struct AggregationSet {
    folds: Vec<Fold>,
    stats: Arc<SkippedMeasureStats>,
}

/// One aggregation.
#[derive(Debug)]
struct Fold {
    aggregation: Aggregation,
    custom: Vec<CustomMeasure>,
}

/// A measure of one's own in an aggregation.
#[derive(Debug)]
struct CustomMeasure {
    name: Arc<str>,
    measure: Arc<dyn EventMeasure>,
    parts: Vec<MeasurePart>,
    /// What each part is stored as.
    names: Vec<Arc<str>>,
}

impl AggregationSet {
    /// Keeps `aggregations`, with the custom measures that they name. `telemetry` counts what is skipped.
    ///
    /// # Errors
    /// [`MeasureError`] for a measure that is not there or cannot be used.
    pub fn new(
        aggregations: &[Aggregation],
        measures: &CustomMeasures,
        telemetry: Telemetry,
    ) -> Result<Self, MeasureError> {
        let fold = |aggregation: &Aggregation| Fold::new(aggregation.clone(), measures);
        let folds = aggregations.iter().map(fold).collect::<Result<_, _>>()?;
        Ok(Self { folds, stats: Arc::new(SkippedMeasureStats::new(telemetry)) })
    }

    /// Which measures were skipped.
    pub fn stats(&self) -> &Arc<SkippedMeasureStats> {
        &self.stats
    }

    /// Adds an event to `values`. A measure that fails is skipped, and noted in `skipped`.
    pub(super) fn fold(
        &self,
        event: &DecodedEvent,
        values: &mut BTreeMap<AggregateKey, AggregateValue>,
        skipped: &mut SkippedMeasures,
    ) {
        for fold in &self.folds {
            fold.apply(event, values, skipped);
        }
    }
}

impl Fold {
    fn new(aggregation: Aggregation, measures: &CustomMeasures) -> Result<Self, MeasureError> {
        let mut custom = Vec::new();
        for (name, measure) in &aggregation.measures {
            let Measure::Custom(called) = measure else { continue };
            let measure = measures.get(called).ok_or_else(|| MeasureError::Unknown {
                aggregation: aggregation.name.clone(),
                measure: name.clone(),
                custom: called.clone(),
                known: known(measures),
            })?;
            custom.push(CustomMeasure::new(name.clone(), called, measure.clone())?);
        }
        let fold = Self { aggregation, custom };
        fold.check_names()?;
        Ok(fold)
    }

    /// Nothing is stored under the name of something else.
    fn check_names(&self) -> Result<(), MeasureError> {
        let Self { aggregation, custom } = self;
        let built_in = aggregation.measures.iter().filter(|(_, of)| !matches!(of, Measure::Custom(_)));
        let names = built_in.map(|(name, _)| name).chain(custom.iter().flat_map(|measure| &measure.names));
        let mut taken = BTreeSet::new();
        for name in names {
            if !taken.insert(name) {
                let aggregation = aggregation.name.clone();
                return Err(MeasureError::TakenName { aggregation, name: name.clone() });
            }
        }
        Ok(())
    }

    fn apply(
        &self,
        event: &DecodedEvent,
        values: &mut BTreeMap<AggregateKey, AggregateValue>,
        skipped: &mut SkippedMeasures,
    ) {
        let (aggregation, project_id) = (&self.aggregation.name, &event.event().project_id);
        let (value, not_numbers) = match self.aggregation.apply(event, values) {
            Applied::Passed => return,
            Applied::KeyTooLong => {
                return skipped.add(project_id, aggregation, &Arc::default(), &MeasureFault::KeyTooLong);
            }
            Applied::Counted { value, not_numbers } => (value, not_numbers),
        };
        for measure in &not_numbers {
            skipped.add(project_id, aggregation, measure, &MeasureFault::NotANumber);
        }
        for custom in &self.custom {
            if let Err(fault) = custom.add_to(value, event) {
                value.skip(&custom.name);
                skipped.add(project_id, aggregation, &custom.name, &fault);
            }
        }
    }
}

impl CustomMeasure {
    fn new(name: Arc<str>, called: &Arc<str>, measure: Arc<dyn EventMeasure>) -> Result<Self, MeasureError> {
        let parts = measure.parts();
        check(&parts).map_err(|reason| MeasureError::BadParts { custom: called.clone(), reason })?;
        let names = parts.iter().map(|part| match &*part.name {
            "" => name.clone(),
            part => format!("{name}.{part}").into(),
        });
        Ok(Self { names: names.collect(), name, measure, parts })
    }

    /// All that it finds, or nothing.
    fn add_to(&self, value: &mut AggregateValue, event: &DecodedEvent) -> Result<(), MeasureFault> {
        for (place, found) in Measurements::of(&*self.measure, &self.parts, event)? {
            match found {
                Measurement::Number(number) => value.add_number(&self.names[place], number),
                Measurement::Distinct(text) => value.add_distinct(&self.names[place], &text),
            }
        }
        Ok(())
    }
}

fn check(parts: &[MeasurePart]) -> Result<(), String> {
    if parts.is_empty() || parts.len() > MeasurePart::MAX {
        return Err(format!("it has {} parts, 1 to {} are allowed", parts.len(), MeasurePart::MAX));
    }
    let mut names = BTreeSet::new();
    for part in parts {
        if !part.is_named() {
            let allowed = "at most 40 of a-z, 0-9 and _";
            return Err(format!("the name of its part {:?} is not of {allowed}", part.name));
        }
        if !names.insert(&part.name) {
            return Err(format!("it has two parts that are called {:?}", part.name));
        }
    }
    Ok(())
}

fn known(measures: &CustomMeasures) -> String {
    let names: Vec<&str> = measures.keys().map(|name| &**name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
