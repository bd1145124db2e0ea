//! Links between every process and RabbitMQ or PostgreSQL.

use super::{Ground, Peer, Trouble};
use anyhow::Result;
use std::time::Duration;
use testkit::Weather;

pub(super) const CUT_EVERY: Duration = Duration::from_secs(1);

/// 200 ms there and back, 5 % loss. What a loss is to whoever reads from TCP: it and all that is
/// behind it come later by one retransmission time, which is the round trip and 50 ms at least.
const ROUGH: Weather = Weather::Rough {
    latency: Duration::from_millis(100),
    loss: 5,
    again: Duration::from_millis(250),
};

pub(super) fn disturb(ground: &Ground, peer: Peer, trouble: Trouble) -> Result<()> {
    for link in ground.links(peer)? {
        match trouble {
            Trouble::Cut => link.cut(),
            Trouble::HalfOpen => link.set_weather(Weather::HalfOpen),
            Trouble::Lossy => link.set_weather(ROUGH),
        }
    }
    Ok(())
}

pub(super) fn cut(ground: &Ground, peer: Peer) -> Result<()> {
    ground.links(peer)?.iter().for_each(testkit::Proxy::cut);
    Ok(())
}

pub(super) fn calm(ground: &Ground, peer: Peer) -> Result<()> {
    ground.links(peer)?.iter().for_each(|link| link.set_weather(Weather::Clear));
    Ok(())
}
