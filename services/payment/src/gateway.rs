//! The payment gateway as this service needs it, and the adapter that speaks HTTP to one.

use reqwest::StatusCode;
pub use runtime::outside::Error;
use runtime::outside::Outside;
use serde::{Deserialize, Serialize};

/// What is asked of a gateway. Every call names its idempotency key: the same key is the same
/// request, so an unanswered call is repeated without fear.
pub trait Gateway: Send + Sync + 'static {
    /// Sets the amount aside under `key`.
    fn authorise(
        &self,
        key: &str,
        wanted: &Wanted,
    ) -> impl Future<Output = Result<Said<Authorised>, Error>> + Send;

    /// Takes what was set aside under `authorisation_key`.
    fn capture(
        &self,
        key: &str,
        authorisation_key: &str,
    ) -> impl Future<Output = Result<Said<()>, Error>> + Send;

    /// Lets go of what was or will be set aside under `authorisation_key`, even if the gateway has
    /// never seen it; afterwards it will never be set aside.
    fn void(
        &self,
        key: &str,
        authorisation_key: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Gives back what was taken under `authorisation_key`.
    fn refund(
        &self,
        key: &str,
        authorisation_key: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// An amount to set aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// A token of the gateway, never a card number.
    pub method: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Authorised {
    /// The gateway's id.
    pub authorisation: String,
}

/// The gateway's word.
#[derive(Clone, Debug, PartialEq)]
pub enum Said<T> {
    Yes(T),
    /// A business no with its code; nothing was done.
    No(String),
}

/// Speaks to the gateway at a base URL (`…/gateway`): `POST /authorisations`, `/captures`, `/voids`
/// and `/refunds`.
#[derive(Clone, Debug)]
pub struct HttpGateway(Outside);

#[derive(Serialize)]
struct Named<'a> {
    authorisation_key: &'a str,
}

impl HttpGateway {
    pub fn new(base: &str) -> Result<Self, Error> {
        Outside::new("gateway", base).map(HttpGateway)
    }

    async fn settle(&self, path: &str, key: &str, authorisation_key: &str) -> Result<(), Error> {
        self.0.tell(path, key, &Named { authorisation_key }).await
    }
}

impl Gateway for HttpGateway {
    async fn authorise(&self, key: &str, wanted: &Wanted) -> Result<Said<Authorised>, Error> {
        said(self.0.post("authorisations", key, wanted).await)
    }

    async fn capture(&self, key: &str, authorisation_key: &str) -> Result<Said<()>, Error> {
        said(self.settle("captures", key, authorisation_key).await)
    }

    async fn void(&self, key: &str, authorisation_key: &str) -> Result<(), Error> {
        self.settle("voids", key, authorisation_key).await
    }

    async fn refund(&self, key: &str, authorisation_key: &str) -> Result<(), Error> {
        self.settle("refunds", key, authorisation_key).await
    }
}

/// 402 is the business no. 409 `voided`: the undo was there first, so nothing is set aside or
/// taken, now or later.
fn said<T>(answer: Result<T, Error>) -> Result<Said<T>, Error> {
    match answer {
        Ok(yes) => Ok(Said::Yes(yes)),
        Err(Error::Rejected { status, reason, .. })
            if (status == StatusCode::PAYMENT_REQUIRED && !reason.is_empty())
                || (status == StatusCode::CONFLICT && reason == "voided") =>
        {
            Ok(Said::No(reason))
        }
        Err(error) => Err(error),
    }
}
