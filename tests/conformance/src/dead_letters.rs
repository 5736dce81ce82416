//! Suite of `DeadLetters`.

use std::sync::Arc;

use gosight_application::ports::{DeadLetter, DeadLetters, Ledger, LogPartition, LogPosition};

use crate::{
    Keep, OpenAgain,
    factory::{LOG, NOON, bytes, project, shared},
    suite,
};

suite! { $ dead_letters_suite, dead_letters(DeadLettersFixture):
    a_letter_survives_a_crash_as_it_was
    a_letter_is_named_by_its_position
    letters_are_listed_in_order_page_by_page
    removing_is_a_success_either_way
}

/// Dead letters.
pub struct DeadLettersFixture {
    /// The port.
    pub letters: Arc<dyn DeadLetters>,
    /// Gives the fences of those who put letters.
    pub ledger: Arc<dyn Ledger>,
    /// Gives the same letters as a new process finds them after a crash.
    pub open_again: OpenAgain<Arc<dyn DeadLetters>>,
    /// Lives as long as the fixture.
    pub keep: Keep,
}

impl DeadLettersFixture {
    /// Puts letters, those of each partition behind its fence.
    async fn put(&self, letters: &[DeadLetter]) {
        for letters in letters.chunk_by(|one, other| one.position.partition == other.position.partition) {
            let place = LogPartition { log: shared(LOG), partition: letters[0].position.partition };
            let fence = self.ledger.acquire(&place).await.expect("acquired");
            self.letters.put(&fence, letters).await.expect("put");
        }
    }
}

fn letter(partition: u32, offset: u64) -> DeadLetter {
    DeadLetter {
        position: LogPosition { log: shared(LOG), partition, offset },
        project_id: Some(project("p")),
        reason: shared("not_json"),
        detail: "expected value at line 1".into(),
        at: NOON,
        record: bytes("\u{0}not json\u{ff}"),
    }
}

pub async fn a_letter_survives_a_crash_as_it_was(fixture: DeadLettersFixture) {
    let known = letter(0, 7);
    let without_project = DeadLetter { project_id: None, ..letter(0, 8) };
    fixture.put(&[known.clone(), without_project.clone()]).await;
    let (letters, _keep) = (fixture.open_again)().await;
    let get = async |letter: &DeadLetter| letters.get(&letter.position).await.expect("read");
    assert_eq!(get(&known).await, Some(known));
    assert_eq!(get(&without_project).await, Some(without_project));
    assert_eq!(get(&letter(1, 7)).await, None);
}

pub async fn a_letter_is_named_by_its_position(fixture: DeadLettersFixture) {
    let first = letter(0, 7);
    fixture.put(std::slice::from_ref(&first)).await;
    let again = DeadLetter { detail: "something else".into(), ..first.clone() };
    fixture.put(&[again]).await;
    assert_eq!(fixture.letters.list(None, 10).await.expect("listed"), [first]);
}

pub async fn letters_are_listed_in_order_page_by_page(fixture: DeadLettersFixture) {
    let all: Vec<DeadLetter> = [(0, 3), (0, 20), (0, 100), (1, 1), (10, 0)]
        .map(|(partition, offset)| letter(partition, offset))
        .into();
    let mut shuffled = all.clone();
    shuffled.rotate_left(2);
    fixture.put(&shuffled).await;
    let mut found: Vec<DeadLetter> = Vec::new();
    loop {
        let after = found.last().map(|letter| letter.position.clone());
        let page = fixture.letters.list(after.as_ref(), 2).await.expect("listed");
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, all);
}

pub async fn removing_is_a_success_either_way(fixture: DeadLettersFixture) {
    let letter = letter(0, 7);
    fixture.put(std::slice::from_ref(&letter)).await;
    fixture.letters.remove(&letter.position).await.expect("removed");
    fixture.letters.remove(&letter.position).await.expect("removed");
    assert_eq!(fixture.letters.list(None, 10).await.expect("listed"), []);
}
