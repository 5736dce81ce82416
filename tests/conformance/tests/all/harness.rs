//! Runs a suite on an adapter that is made wrong on purpose.

use gosight_conformance::Case;

/// Names of the cases that fail, each on a fixture of its own.
pub async fn failed<F: 'static>(cases: Vec<Case<F>>, fresh: impl Fn() -> F) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for Case { name, run } in cases {
        match tokio::spawn(run(fresh())).await {
            Ok(()) => {}
            Err(error) if error.is_panic() => failed.push(name),
            Err(error) => panic!("{name}: {error}"),
        }
    }
    failed
}

/// Checks that the right adapter passes.
pub async fn assert_right<F: 'static>(cases: Vec<Case<F>>, fresh: impl Fn() -> F) {
    assert_eq!(failed(cases, fresh).await, [""; 0], "the harness itself is broken");
}

/// Checks that the cases fail that are there for the sentence. Only when they do not are the others asked.
pub async fn assert_caught<F: 'static>(cases: Vec<Case<F>>, fresh: impl Fn() -> F, caught_by: &[&str]) {
    let (named, others): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| caught_by.contains(&case.name));
    let noticed = failed(named, &fresh).await;
    let silent: Vec<&&str> = caught_by.iter().filter(|case| !noticed.contains(case)).collect();
    if !silent.is_empty() {
        let others = failed(others, fresh).await;
        panic!("these do not notice: {silent:?}; these do: {noticed:?} {others:?}");
    }
}

/// Makes a test of each wrong adapter, and of the right one, and lists in `WRONG` what they break.
///
/// A row is the number of a sentence, the name of the test, the fault, and the cases that have to notice it.
macro_rules! wrong {
    ($cases:expr, $fresh:path: $($sentence:literal $test:ident($fault:expr): $($case:ident)+;)+) => {
        /// The sentences that are broken, by one adapter each.
        pub const WRONG: &[usize] = &[$($sentence),+];

        #[tokio::test]
        async fn the_right_adapter_passes() {
            $crate::harness::assert_right($cases, || $fresh(None)).await;
        }

        $(
            #[tokio::test]
            async fn $test() {
                let fresh = || $fresh(Some($fault));
                $crate::harness::assert_caught($cases, fresh, &[$(stringify!($case)),+]).await;
            }
        )+
    };
}
pub(crate) use wrong;
