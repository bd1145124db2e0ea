//! Which cells there are, and which of them are wanted.

use crate::{fault::Fault, row::Row};
use std::{fmt, str::FromStr};

/// One leg and one fault.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    pub row: &'a Row,
    pub fault: Fault,
}

/// `reserve-stock/undo:poison`, as `--only` takes it.
impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.row, self.fault)
    }
}

/// `step:fault`, `step/undo:fault`; `*` stands for any.
#[derive(Clone, Debug)]
pub struct Only {
    row: String,
    fault: Option<Fault>,
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (row, fault) = text.split_once(':').ok_or("it is step:fault, where * is any")?;
        let known = row == "*" || crate::order_saga().iter().any(|known| known.to_string() == row);
        if !known {
            return Err(format!("there is no step {row:?}"));
        }
        let fault = if fault == "*" { None } else { Some(fault.parse()?) };
        Ok(Only { row: row.to_owned(), fault })
    }
}

impl Only {
    fn takes(&self, cell: &Cell<'_>) -> bool {
        (self.row == "*" || self.row == cell.row.to_string())
            && self.fault.is_none_or(|fault| fault == cell.fault)
    }
}

/// The cells that exist, of those wanted; all of them when nothing is asked for.
pub fn select<'a>(rows: &'a [Row], only: &[Only]) -> Vec<Cell<'a>> {
    rows.iter()
        .flat_map(|row| Fault::ALL.map(|fault| Cell { row, fault }))
        .filter(|cell| cell.fault.impossible(cell.row).is_none())
        .filter(|cell| only.is_empty() || only.iter().any(|only| only.takes(cell)))
        .collect()
}

/// One cell for most faults, walking down the rows: what a test has time for.
pub fn diagonal(rows: &[Row]) -> Vec<Cell<'_>> {
    let wanted = [
        ("authorise-payment", Fault::Refuse),
        ("reserve-stock/undo", Fault::Faulted),
        ("authorise-payment", Fault::TimeoutWithEffect),
        ("capture-payment", Fault::TimeoutWithoutEffect),
        ("authorise-payment", Fault::WorkerBeforeCommit),
        ("reserve-stock", Fault::WorkerAfterCommit),
        ("book-shipment/undo", Fault::WorkerAfterPublish),
        ("open-order/undo", Fault::DuplicateCommand),
        ("book-shipment", Fault::DuplicateReply),
        ("book-shipment", Fault::LateReply),
        ("reserve-stock", Fault::UndoBeforeDo),
        ("notify-customer", Fault::Poison),
        ("confirm-order", Fault::Unroutable),
        ("authorise-payment/undo", Fault::ConnectionCut),
        ("open-order", Fault::OrchestratorBeforeCommit),
        ("capture-payment", Fault::OrchestratorAfterCommit),
    ];
    named(rows, &wanted)
}

/// Cells by their names.
pub fn named<'a>(rows: &'a [Row], wanted: &[(&str, Fault)]) -> Vec<Cell<'a>> {
    let row = |name: &str| rows.iter().find(|row| row.to_string() == name);
    wanted
        .iter()
        .filter_map(|(name, fault)| Some(Cell { row: row(name)?, fault: *fault }))
        .collect()
}
