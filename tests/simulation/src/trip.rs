//! A saga with parallel stages, a read-only step and a deadline: what the order saga has not.

use contracts::{Command, Never, SagaId};
use saga_core::{Definition, Saga, Version, saga, step};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

#[derive(Debug, Serialize, Deserialize)]
pub struct Trip {
    trip: SagaId,
}

impl Saga for Trip {
    type Input = ();

    fn begin(trip: SagaId, (): ()) -> Self {
        Trip { trip }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct No {
    reason: String,
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

macro_rules! commands {
    ($($name:ident = $kind:literal, $refusal:ty;)*) => {
        $(
            #[derive(Debug, Serialize, Deserialize)]
            struct $name {
                trip: SagaId,
            }

            impl $name {
                fn of(data: &Trip) -> Self {
                    $name { trip: data.trip }
                }
            }

            impl Command for $name {
                const TYPE: &'static str = $kind;
                type Reply = ();
                type Refusal = $refusal;
            }
        )*
    };
}

commands! {
    OpenTrip = "order.open-trip", No;
    CloseTrip = "order.close-trip", Never;
    BookHotel = "hotel.book", No;
    CancelHotel = "hotel.cancel", Never;
    BookFlight = "airline.book", No;
    CancelFlight = "airline.cancel", Never;
    CheckVisa = "embassy.check-visa", No;
    Pay = "bank.pay", No;
    IssueTicket = "hotel.issue-voucher", Never;
    SendMail = "mail.send", Never;
}

impl Trip {
    pub fn definition() -> Definition<Self> {
        let short = Duration::from_secs(5);
        saga("trip", Version(1))
            .deadline(Duration::from_secs(20))
            .compensatable(step("open", OpenTrip::of).compensated_by(CloseTrip::of))
            .together(|stage| {
                stage
                    .compensatable(step("hotel", BookHotel::of).compensated_by(CancelHotel::of))
                    .compensatable(
                        step("flight", BookFlight::of).attempts(2).compensated_by(CancelFlight::of),
                    )
                    .read_only(step("visa", CheckVisa::of).timeout(short).attempts(3))
            })
            .pivot(step("pay", Pay::of).attempts(2))
            .together(|stage| {
                stage
                    .retriable(step("voucher", IssueTicket::of).timeout(short))
                    .retriable(step("mail", SendMail::of).attempts(2))
            })
            .build()
    }
}
