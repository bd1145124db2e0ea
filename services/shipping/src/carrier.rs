//! The carrier as this service needs it, and the adapter that speaks HTTP to one.

use contracts::{inventory::Line, shipping::Address};
use reqwest::StatusCode;
pub use runtime::outside::Error;
use runtime::outside::Outside;
use serde::{Deserialize, Serialize};

/// What is asked of a carrier. Every call names its idempotency key: the same key is the same
/// request, so an unanswered call is repeated without fear.
pub trait Carrier: Send + Sync + 'static {
    /// Books a parcel under `key`.
    fn book(&self, key: &str, wanted: &Wanted) -> impl Future<Output = Result<Said, Error>> + Send;

    /// Cancels the parcel that was or will be booked under `shipment_key`, even if the carrier has
    /// never seen it; afterwards it will never be booked.
    fn cancel(
        &self,
        key: &str,
        shipment_key: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A parcel to book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    #[serde(flatten)]
    pub ship_to: Address,
    pub lines: Vec<Line>,
}

/// The carrier's word.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Booked(Booked),
    /// A business no with its code; nothing was done.
    No(String),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Booked {
    pub tracking: String,
}

/// Speaks to the carrier at a base URL (`…/carrier`): `POST /shipments` and `/cancellations`.
#[derive(Clone, Debug)]
pub struct HttpCarrier(Outside);

#[derive(Serialize)]
struct Named<'a> {
    shipment_key: &'a str,
}

impl HttpCarrier {
    pub fn new(base: &str) -> Result<Self, Error> {
        Outside::new("carrier", base).map(HttpCarrier)
    }
}

impl Carrier for HttpCarrier {
    async fn book(&self, key: &str, wanted: &Wanted) -> Result<Said, Error> {
        match self.0.post("shipments", key, wanted).await {
            Ok(booked) => Ok(Said::Booked(booked)),
            Err(Error::Rejected { status, reason, .. }) if is_no(status, &reason) => {
                Ok(Said::No(reason))
            }
            Err(error) => Err(error),
        }
    }

    async fn cancel(&self, key: &str, shipment_key: &str) -> Result<(), Error> {
        self.0.tell("cancellations", key, &Named { shipment_key }).await
    }
}

/// 422 `undeliverable` is the business no. 409 `cancelled`: the undo was there first, so nothing
/// is booked, now or later.
fn is_no(status: StatusCode, reason: &str) -> bool {
    (status == StatusCode::UNPROCESSABLE_ENTITY && reason == "undeliverable")
        || (status == StatusCode::CONFLICT && reason == "cancelled")
}
