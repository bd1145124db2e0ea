//! How fast it is, against what the machine allows: `make bench`.
//!
//! Every row is measured on the same private instances in one run, and every result is verified:
//! a fast wrong run fails.

pub mod broker_floor;
pub mod database_floor;
pub mod four_steps;
pub mod growth;
pub mod load;
pub mod meter;
pub mod orders;
pub mod outage;
pub mod participant;
pub mod process;
pub mod report;
pub mod saga;
pub mod usage;
