//! How long a leg rests after a fault before it is asked again.

use std::time::Duration;

/// Exponential backoff with jitter: the n-th rest is `first · 2ⁿ⁻¹`, at most `max`, less up to a
/// quarter, so that sagas that failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub first: Duration,
    pub max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { first: Duration::from_secs(1), max: Duration::from_secs(60) }
    }
}

impl Retry {
    /// The rest before `attempt` (the second one has the first rest). The jitter comes from `seed`,
    /// so that the same saga computes the same delay wherever it is driven.
    pub fn delay(&self, attempt: u16, seed: u64) -> Duration {
        let doublings = u32::from(attempt.saturating_sub(2)).min(20);
        let full = self.first.saturating_mul(1 << doublings).min(self.max);
        full - full.mul_f64(fraction(seed ^ u64::from(attempt)) / 4.0)
    }
}

/// A number in [0, 1) from a seed, by the finaliser of SplitMix64 (Steele, Lea & Flood, 2014).
fn fraction(seed: u64) -> f64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { first: Duration::from_secs(1), max: Duration::from_secs(60) };

    #[test]
    fn rests_double_up_to_the_maximum_and_lose_at_most_a_quarter() {
        for (attempt, full) in [(2, 1), (3, 2), (4, 4), (7, 32), (8, 60), (200, 60)] {
            for seed in 0..1_000 {
                let delay = RETRY.delay(attempt, seed);
                assert!(delay <= Duration::from_secs(full), "attempt {attempt}: {delay:?}");
                assert!(delay >= Duration::from_secs(full) * 3 / 4, "attempt {attempt}: {delay:?}");
            }
        }
    }

    #[test]
    fn sagas_that_failed_together_come_back_apart() {
        let delays: std::collections::HashSet<_> = (0..100).map(|s| RETRY.delay(5, s)).collect();
        assert!(delays.len() > 95, "{} different delays of 100", delays.len());
    }
}
