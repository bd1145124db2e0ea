//! Chaos: a steady load of orders, and everything that can break broken under it. Then the faults
//! are healed, everything must come to rest, and everybody's books are audited.
//!
//! - [`scenario`] is the table: what is broken, and what must be true all the same. [`fault`] says what
//!   a fault is; [`nemesis`] inflicts it, looks whether anybody has noticed, and heals it.
//! - [`ground`] is the system under test: processes of this machine, or containers.
//! - [`load`] places the orders and keeps a client's log; [`pace`] watches how fast sagas end.
//! - [`campaign`] runs one scenario or a random mix; [`quiescence`] waits for rest; [`books`] counts what
//!   became of every order; [`verdict`] says what that means.
//!
//! A fault that nobody noticed proves nothing: such a run is neither passed nor failed.

pub mod books;
pub mod campaign;
pub mod fault;
pub mod ground;
pub mod load;
pub mod nemesis;
pub mod pace;
pub mod quiescence;
pub mod scenario;
pub mod timeline;
pub mod verdict;
