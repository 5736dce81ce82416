//! Suite of `BatchStore` over a store that can refuse a row.

use gosight_application::ports::PortError;
use gosight_domain::Event;

use crate::batch_store::{StoreFixture, with_chunk_and_letter};
use crate::factory::{batch, click, event};
use crate::suite;

suite! { $ refused_rows_suite, refused_rows(RefusingFixture):
    a_batch_with_a_refused_row_stores_nothing
}

/// A store that refuses some event.
pub struct RefusingFixture {
    /// The store.
    pub store: StoreFixture,
    /// Makes an event that it refuses of one that it would store.
    pub refused: fn(Event) -> Event,
}

pub async fn a_batch_with_a_refused_row_stores_nothing(fixture: RefusingFixture) {
    let RefusingFixture { store, refused } = fixture;
    store.commit(&batch(0, &[event(1, "page_view", 0)])).await;
    let bad = batch(1, &[click(2, 10), refused(click(3, 20)), click(4, 30)]);
    let result = store.store.commit(&with_chunk_and_letter(bad, 4)).await;
    let Err(PortError::Rejected { refused, .. }) = result else { panic!("{result:?}") };
    assert!(!refused.reason.is_empty());
    assert!(refused.offsets.keys().all(|offset| *offset == 2), "{refused:?}");
    store.assert_stored(&[event(1, "page_view", 0)], 1).await;
    store.assert_has_no_chunk_or_letter().await;
    // The rest goes in without it.
    store.commit(&batch(1, &[click(2, 10)])).await;
    store.assert_stored(&[event(1, "page_view", 0), click(2, 10)], 2).await;
}
