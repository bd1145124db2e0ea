//! The carrier as this service needs it, and the adapter that speaks HTTP to one.

use contracts::{inventory::Line, shipping::Address};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

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

/// Why there is no word.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the carrier gives no answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("the carrier is unavailable (status {0})")]
    Unavailable(StatusCode),
    #[error("the carrier does not take the request (status {status}, {reason})")]
    Rejected { status: StatusCode, reason: String },
    #[error("CARRIER_URL is not an http or https URL")]
    Address,
}

impl Error {
    /// Whether the same request may fare better later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unreachable(_) | Error::Unavailable(_))
    }
}

/// Speaks to the carrier at a base URL (`…/carrier`): `POST /shipments` and `/cancellations`.
#[derive(Clone, Debug)]
pub struct HttpCarrier {
    client: reqwest::Client,
    base: String,
}

#[derive(Serialize)]
struct Named<'a> {
    shipment_key: &'a str,
}

#[derive(Default, Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Anything {}

impl HttpCarrier {
    pub fn new(client: reqwest::Client, base: &str) -> Result<Self, Error> {
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return Err(Error::Address);
        }
        Ok(HttpCarrier { client, base: base.trim_end_matches('/').to_owned() })
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        // The URL may hold credentials, so no error may quote it.
        let unreachable = |error: reqwest::Error| Error::Unreachable(error.without_url());
        let response = self
            .client
            .post(format!("{}/{path}", self.base))
            .header("idempotency-key", key)
            .json(body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(unreachable);
        }
        if status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        {
            return Err(Error::Unavailable(status));
        }
        let Reason { reason } = response.json().await.unwrap_or_default();
        Err(Error::Rejected { status, reason })
    }
}

impl Carrier for HttpCarrier {
    async fn book(&self, key: &str, wanted: &Wanted) -> Result<Said, Error> {
        match self.post("shipments", key, wanted).await {
            Ok(booked) => Ok(Said::Booked(booked)),
            Err(Error::Rejected { status, reason }) if is_no(status, &reason) => {
                Ok(Said::No(reason))
            }
            Err(error) => Err(error),
        }
    }

    async fn cancel(&self, key: &str, shipment_key: &str) -> Result<(), Error> {
        self.post("cancellations", key, &Named { shipment_key }).await.map(|Anything {}| ())
    }
}

/// 422 `undeliverable` is the business no. 409 `cancelled`: the undo was there first, so nothing
/// is booked, now or later.
fn is_no(status: StatusCode, reason: &str) -> bool {
    (status == StatusCode::UNPROCESSABLE_ENTITY && reason == "undeliverable")
        || (status == StatusCode::CONFLICT && reason == "cancelled")
}
