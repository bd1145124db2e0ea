//! The fault matrix: every leg of the order saga × everything that can go wrong with it, each cell
//! one order on real processes, a real RabbitMQ and a real PostgreSQL.
//!
//! - [`row`] and [`fault`] say what there is; [`scenario`] says what happens in a cell, [`verify`]
//!   what must be true after it.
//! - [`ground`] keeps the system alive for all cells: failpoints are armed at run time, for one saga
//!   and one command ([`armed`]), what dies is started again, a proxy stands between each process
//!   and the broker, and a [`tap`] sees every message.
//! - [`runner`] runs cells, side by side where they do not disturb each other; [`grid`] and
//!   [`report`] tell of them; [`sabotage`] knows which cells must turn red without which safety.
//!
//! Time is not waited for: a step's time limit is far away, and where a cell is about silence, the
//! journal is told that the moment has come. So whatever goes missing by a defect is missed.

pub mod armed;
pub mod audit;
pub mod case;
pub mod fault;
pub mod grid;
pub mod ground;
pub mod report;
pub mod routes;
pub mod row;
pub mod runner;
pub mod sabotage;
pub mod scenario;
pub mod selection;
pub mod tap;
pub mod verify;

/// The rows of the order saga.
pub fn order_saga() -> Vec<row::Row> {
    let catalogue = sagas::catalogue(saga_core::Patience::default());
    let definition = catalogue.newest("place-order");
    definition.map(|definition| row::rows(definition.plan())).unwrap_or_default()
}
