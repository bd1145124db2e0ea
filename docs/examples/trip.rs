//! A saga of one's own: a room is held, the guest is charged, the stay is written into the book.
//! What travels, and the definition; see docs/writing-a-saga.md.

use contracts::{Command, Never, SagaId};
use saga_core::{Definition, Saga, Version, saga, step};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a trip is started with.
#[derive(Debug, Serialize, Deserialize)]
pub struct TripInput {
    pub guest: String,
    pub room: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct HoldRoom {
    pub trip: SagaId,
    pub room: String,
}
#[derive(Debug, Serialize, Deserialize)]
pub struct FreeRoom {
    pub trip: SagaId,
}
#[derive(Debug, Serialize, Deserialize)]
pub struct TakeRoom {
    pub trip: SagaId,
    pub guest: String,
}

impl Command for HoldRoom {
    const TYPE: &'static str = "hotel.hold-room"; // goes to the queue hotel.commands
    type Reply = ();
    type Refusal = String; // a business no
}
impl Command for FreeRoom {
    const TYPE: &'static str = "hotel.free-room";
    type Reply = ();
    type Refusal = Never; // an undo cannot be refused
}
impl Command for TakeRoom {
    const TYPE: &'static str = "hotel.take-room";
    type Reply = ();
    type Refusal = String;
}

/// What the trip's commands are made of; stored as JSON with the saga.
#[derive(Debug, Serialize, Deserialize)]
pub struct BookTrip {
    trip: SagaId,
    #[serde(flatten)]
    input: TripInput,
}

impl Saga for BookTrip {
    type Input = TripInput;

    fn begin(trip: SagaId, input: TripInput) -> Self {
        BookTrip { trip, input }
    }
}

impl BookTrip {
    pub fn definition() -> Definition<Self> {
        saga("book-trip", Version(1))
            .deadline(Duration::from_secs(300))
            .compensatable(
                step("hold-room", Self::hold_room)
                    .timeout(Duration::from_secs(10))
                    .compensated_by(Self::free_room),
            )
            .pivot(step("take-room", Self::take_room))
            .build()
    }

    fn hold_room(&self) -> HoldRoom {
        HoldRoom { trip: self.trip, room: self.input.room.clone() }
    }

    fn free_room(&self) -> FreeRoom {
        FreeRoom { trip: self.trip }
    }

    fn take_room(&self) -> TakeRoom {
        TakeRoom { trip: self.trip, guest: self.input.guest.clone() }
    }
}
