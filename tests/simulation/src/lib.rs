//! Thousands of sagas a second, from one seed, without a socket.
//!
//! What is real: the core, the place-order definition, the orchestrator's `Desk`, `Record` and the
//! words of its rows, the worker's `barrier` and `fate`. What is simulated: time, the broker, the
//! databases with their row locks, the processes with their crashes, and the outside.
//!
//! A world is drawn from its seed: who is there, which faults strike and how often. It is thrown
//! into disorder (`nemesis`), then healed, and must come to rest with every accepted saga at an
//! ending, all effects exactly once or none left (`check`); and all late messages delivered once
//! more must change nothing (`flush`).
//!
//! What is left out: the SQL, the wire format, circuit breakers and back-pressure; these have tests
//! on a real broker and a real database. The barrier and the fate are real, the order of
//! transactions and calls around them is told again in `workers` and `errands`.
//!
//! A seed that fails goes to `seeds/regressions`, which every test run replays.
//!
//! ```no_run
//! # use simulation::{Simulation, Told};
//! let world = Simulation::default().world(42, Told::Yes);
//! assert_eq!(world.violation, None, "{}", world.timeline);
//! ```

mod agenda;
mod broker;
mod check;
mod errands;
mod faults;
mod flush;
mod leg;
mod locks;
mod nemesis;
mod orchestrators;
mod outside;
mod participant;
mod publishing;
mod random;
mod report;
mod sabotage;
mod store;
mod task;
mod timeline;
mod trip;
mod workers;
mod world;

pub use check::Violation;
pub use faults::{Fault, Tally};
pub use report::{Outcome, Report, Simulation, Told};
pub use sabotage::Sabotage;
