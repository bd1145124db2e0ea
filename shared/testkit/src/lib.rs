//! What tests stand on: a database and a virtual host for each test, and the whole stack as real
//! processes that can be killed.
//!
//! Everything needs `scripts/with-instances` around it (`make test` does that): it starts a private
//! RabbitMQ and PostgreSQL, and removes them and whatever a test has left behind.
//!
//! A test never sleeps: it waits for a condition with [`eventually`], or with one of the `wait_…`
//! methods of [`Stack`], which print the saga's timeline and the services' logs when they give up.

mod cleanup;
mod eventually;
mod instances;
mod invariants;
mod logins;
mod management;
mod process;
mod proxy;
mod random;
mod scratch_db;
mod scratch_vhost;
mod stack;
mod templates;

pub use eventually::{PATIENCE, eventually};
pub use instances::Instances;
pub use proxy::{Proxy, Weather};
pub use random::Random;
pub use scratch_db::ScratchDb;
pub use scratch_vhost::ScratchVhost;
pub use stack::{SERVICES, Stack, With};
