//! What can be broken. A fault says everything about itself but how long it lasts.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process, by SIGKILL.
    Killed(String),
    /// A process, by SIGSTOP: it keeps its connections, its deliveries and its locks.
    Frozen(String),
    /// RabbitMQ, by SIGKILL.
    BrokerKilled,
    /// PostgreSQL, by SIGKILL of its postmaster.
    DatabaseKilled,
    /// RabbitMQ believes that its memory is full: whoever publishes is blocked.
    MemoryAlarm,
    /// With all that is in it.
    QueueDeleted(&'static str),
    /// The same while nobody consumes it: everybody who does is killed before, and something waits.
    QueueLost(&'static str),
    Network(Peer, Trouble),
    /// The payment gateway or the carrier.
    Outside(Dependency, Mood),
    /// The clocks of some processes, by so many hours, forward or back.
    ClockJumped(i32),
    /// The node of a cluster that leads this queue, by SIGKILL.
    LeaderKilled(&'static str),
}

/// The far end of a network link of every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Broker,
    Database,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Every connection is reset, again every second.
    Cut,
    /// Nothing arrives and nobody is told.
    HalfOpen,
    /// 200 ms there and back, and 5 % of all reads once more 250 ms later.
    Lossy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    Gateway,
    Carrier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Down,
    Slow,
}

impl Dependency {
    pub fn as_str(self) -> &'static str {
        match self {
            Dependency::Gateway => "gateway",
            Dependency::Carrier => "carrier",
        }
    }

    /// The service that depends on it.
    pub fn service(self) -> &'static str {
        match self {
            Dependency::Gateway => "payment",
            Dependency::Carrier => "shipping",
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Peer::Broker => "RabbitMQ",
            Peer::Database => "PostgreSQL",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Killed(process) => write!(f, "{process} killed"),
            Fault::Frozen(process) => write!(f, "{process} frozen"),
            Fault::BrokerKilled => f.write_str("RabbitMQ killed"),
            Fault::DatabaseKilled => f.write_str("PostgreSQL killed"),
            Fault::MemoryAlarm => f.write_str("RabbitMQ's memory alarm"),
            Fault::QueueDeleted(queue) => write!(f, "{queue} deleted"),
            Fault::QueueLost(queue) => write!(f, "{queue} lost with all that waits"),
            Fault::Network(peer, Trouble::Cut) => write!(f, "connections to {peer} cut"),
            Fault::Network(peer, Trouble::HalfOpen) => write!(f, "connections to {peer} half-open"),
            Fault::Network(peer, Trouble::Lossy) => write!(f, "200 ms and 5 % loss to {peer}"),
            Fault::Outside(who, Mood::Down) => write!(f, "the {} down", who.as_str()),
            Fault::Outside(who, Mood::Slow) => write!(f, "the {} slow", who.as_str()),
            Fault::ClockJumped(hours) => write!(f, "clocks jumped by {hours:+} h"),
            Fault::LeaderKilled(queue) => write!(f, "leader of {queue} killed"),
        }
    }
}
