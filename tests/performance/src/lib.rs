//! Measures something beside the least that the machine has to do for it, and prints the ratio of the two.

use std::time::Duration;

use criterion::{Criterion, Throughput};

/// What is measured, and against what.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// Name of the pair.
    pub name: &'a str,
    /// What one iteration moves.
    pub throughput: Throughput,
    /// Name of the limit.
    pub limit_name: &'a str,
}

const SAMPLES: usize = 20;

impl Comparison<'_> {
    /// Measures `ours` and `limit`, which take a number of iterations and tell how long they took, and prints how
    /// close the first comes to the second: 1.00 is as fast, 0.50 takes twice as long.
    pub fn run(
        self,
        criterion: &mut Criterion,
        mut ours: impl FnMut(u64) -> Duration,
        mut limit: impl FnMut(u64) -> Duration,
    ) {
        let (mut our_times, mut limit_times) = (Vec::new(), Vec::new());
        let mut group = criterion.benchmark_group(self.name);
        group.throughput(self.throughput).sample_size(SAMPLES);
        group.bench_function("gosight", |bencher| {
            bencher.iter_custom(|iterations| noted(&mut our_times, iterations, ours(iterations)));
        });
        group.bench_function(self.limit_name, |bencher| {
            bencher.iter_custom(|iterations| noted(&mut limit_times, iterations, limit(iterations)));
        });
        group.finish();
        if let (Some(ours), Some(limit)) = (median(our_times), median(limit_times)) {
            #[expect(clippy::print_stdout, reason = "the result")]
            {
                println!("ratio {}: {:.2} of {}\n", self.name, limit / ours, self.limit_name);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a mean needs no more digits")]
fn noted(times: &mut Vec<f64>, iterations: u64, took: Duration) -> Duration {
    times.push(took.as_secs_f64() / iterations as f64);
    took
}

/// The median, or nothing when too few times were taken, as in a mere test.
fn median(mut times: Vec<f64>) -> Option<f64> {
    if times.len() < SAMPLES {
        return None;
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}
