//! Nothing that could be undone follows the pivot.
use contracts::{Command, Never, SagaId};
use saga_core::{Saga, Version, saga, step};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Trip;

impl Saga for Trip {
    type Input = ();

    fn begin(_: SagaId, (): ()) -> Self {
        Trip
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Book;

impl Command for Book {
    const TYPE: &str = "hotel.book";
    type Reply = ();
    type Refusal = String;
}

#[derive(Debug, Serialize, Deserialize)]
struct Cancel;

impl Command for Cancel {
    const TYPE: &str = "hotel.cancel";
    type Reply = ();
    type Refusal = Never;
}

impl Trip {
    fn book(&self) -> Book {
        Book
    }
    fn cancel(&self) -> Cancel {
        Cancel
    }
}

fn main() {
    saga::<Trip>("trip", Version(1))
        .pivot(step("pay", Trip::book))
        .compensatable(step("book", Trip::book).compensated_by(Trip::cancel));
}
