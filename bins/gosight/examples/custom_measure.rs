//! A measure of your own: here the value of orders in one currency, and the coupons that were used, for each shop.

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gosight::settings::AggregationConfig;
use gosight::{Config, Gosight, ReplaceParts as _};
use gosight_application::ingest::ClientFacts;
use gosight_application::ports::{
    BoxError, Clock, EventMeasure, MeasurePart, Measurements, SystemClock, WindowQuery,
};
use gosight_domain::aggregate::Measure;
use gosight_domain::decoded::DecodedEvent;
use gosight_domain::key::Scoped;
use gosight_domain::validate::EventDraft;
use gosight_domain::{EventName, ProjectId};
use serde_json::value::RawValue;

/// What orders are worth. It keeps nothing: of the numbers that it gives, count, sum, least and greatest are kept for it,
/// of the values how many different ones there were.
#[derive(Debug)]
struct OrderValue {
    euros_per: BTreeMap<&'static str, f64>,
}

impl EventMeasure for OrderValue {
    fn parts(&self) -> Vec<MeasurePart> {
        // The first has the name of the measure itself.
        vec![MeasurePart::number(""), MeasurePart::distinct("coupons")]
    }

    fn measure(&self, event: &DecodedEvent, found: &mut Measurements<'_>) -> Result<(), BoxError> {
        let payload = event.payload();
        // An event that is no order gives nothing. That is no error.
        let Some(amount) = payload["amount"].as_f64() else { return Ok(()) };
        let currency = payload["currency"].as_str().ok_or("an order has no currency")?;
        let euros = self.euros_per.get(currency).ok_or_else(|| format!("nobody knows {currency:?}"))?;
        found.number("", amount * euros);
        if let Some(coupon) = payload["coupon"].as_str() {
            found.value("coupons", coupon);
        }
        Ok(())
    }
}

/// As in `config.yaml`:
///
/// ```yaml
/// process:
///   aggregations:
///     - {name: orders_daily, event_types: [order], key: all, window: 1day, measures: {value: {custom: order_value}}}
/// ```
fn config() -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.process.aggregations.push(AggregationConfig {
        name: "orders_daily".into(),
        event_types: vec![EventName::new("order")?],
        key: "all".into(),
        window: Duration::from_hours(24),
        measures: BTreeMap::from([("value".into(), Measure::Custom("order_value".into()))]),
    });
    Ok(config)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let orders = OrderValue { euros_per: BTreeMap::from([("EUR", 1.0), ("CHF", 1.05)]) };
    let gosight = Gosight::builder()
        .config(config()?)
        .data_dir(dir.path())
        .without_http()
        .with_measure("order_value", Arc::new(orders))
        .start()
        .await?;

    let now = SystemClock.now();
    let payloads = [
        r#"{"amount": 10, "currency": "EUR", "coupon": "SUMMER"}"#,
        r#"{"amount": 20, "currency": "CHF", "coupon": "SUMMER"}"#,
        // This one is skipped: the event is stored and counted all the same.
        r#"{"amount": 30, "currency": "XAU"}"#,
    ]
    .map(|payload| RawValue::from_string(payload.to_owned()));
    let payloads = payloads.into_iter().collect::<Result<Vec<_>, _>>()?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    let timestamp = now.as_millis() as f64;
    let draft = |payload| {
        Ok(EventDraft {
            event_type: Some(Cow::Borrowed("order")),
            timestamp: Some(timestamp),
            payload: Some(payload),
            ..EventDraft::default()
        })
    };
    let drafts: Vec<_> = payloads.iter().map(|payload| draft(Cow::Borrowed(&**payload))).collect();
    let project = ProjectId::new("shop")?;
    let ingest = gosight.ingest().context("it takes events")?;
    ingest.events(&Scoped::vouched(project.clone()), &ClientFacts::default(), &drafts).await?;
    gosight.pipeline().drained().await;

    let day = WindowQuery {
        aggregation: "orders_daily".into(),
        key: "all".into(),
        from: now.plus_millis(-24 * 3_600_000),
        to: now.plus_millis(24 * 3_600_000),
        limit: 10,
    };
    let query = gosight.query().context("it answers questions")?;
    let windows = query.aggregates(&Scoped::vouched(project.clone()), day).await?;
    let (_, today) = windows.first().context("a window")?;
    let value = today.numbers.get("value").context("values")?;
    let coupons = today.distinct.get("value.coupons").context("coupons")?.estimate();
    assert_eq!((today.count, value.count, value.sum, coupons), (3, 2, 31.0, 1));
    assert_eq!(today.skipped.get("value"), Some(&1));
    println!(
        "{} orders of {} euros with {coupons} coupon; one could not be measured",
        today.count, value.sum
    );

    // As `GET /processor/aggregation` says it.
    let processor = gosight.pipeline().processor.as_ref().context("it processes events")?;
    for (skipped, since) in processor.skipped_measures.of(&project, "orders_daily") {
        println!("{} was skipped for {} event: {}", skipped.measure, since.events, since.last_error);
    }
    gosight.stop().await?;
    Ok(())
}
