use crate::Random;
use std::time::Duration;
use tokio::time::Instant;

/// What happens to bytes on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    #[default]
    Clear,
    /// Nothing arrives in either direction and nobody is told. A connection that lost bytes stays
    /// dead in clear weather too; only new ones get through again.
    HalfOpen,
    /// Every read arrives late, and a share of them later still, with all that is behind it.
    Rough {
        /// One way.
        latency: Duration,
        /// Of a hundred reads, so many are sent again.
        loss: usize,
        /// After which time TCP sends again what was lost; the receiver sees nothing else of a loss.
        again: Duration,
    },
}

/// When each read of one direction arrives. Nothing overtakes anything.
pub(super) struct Delay {
    random: Random,
    last: Instant,
}

impl Default for Delay {
    fn default() -> Self {
        Delay { random: Random::new(Random::seed_of_now()), last: Instant::now() }
    }
}

impl Delay {
    pub(super) fn due(&mut self, weather: Weather) -> Instant {
        let late = match weather {
            Weather::Clear | Weather::HalfOpen => Duration::ZERO,
            Weather::Rough { latency, loss, again } if self.random.percent(loss) => latency + again,
            Weather::Rough { latency, .. } => latency,
        };
        self.last = self.last.max(Instant::now() + late);
        self.last
    }
}
