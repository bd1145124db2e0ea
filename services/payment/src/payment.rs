//! The participant: each leg prepares an intent, calls the gateway outside any transaction, and
//! records what the gateway said.

use crate::gateway::{Authorised, Gateway, Said, Wanted};
use contracts::{
    Never, SagaId,
    payment::{
        AuthorisePayment, CapturePayment, PaymentAuthorised, PaymentDeclined, RefundPayment,
        VoidPayment,
    },
};
use runtime::resilience::Breaker;
use std::time::Duration;
use worker::{CallKey, Fault, NotDone, NotDone::Refused, Outcome, Outside, Tx};

pub struct Payment<G> {
    pub gateway: G,
    pub breaker: Breaker,
    /// For each call to the gateway.
    pub time_limit: Duration,
}

/// A command about a payment that is not in the state it takes.
#[derive(Debug, thiserror::Error)]
#[error("order {order} has no payment that is {wanted}")]
struct NoSuchPayment {
    order: SagaId,
    wanted: &'static str,
}

impl<G: Gateway> Outside<AuthorisePayment> for Payment<G> {
    type Intent = Wanted;
    /// With the key that the gateway knows the authorisation by.
    type Answer = (String, Said<Authorised>);

    async fn prepare(
        &self,
        tx: &mut Tx<'_>,
        command: &AuthorisePayment,
    ) -> Result<Wanted, NotDone<PaymentDeclined>> {
        let wanted = Wanted {
            amount: command.amount.amount,
            currency: command.amount.currency.to_string(),
            method: command.payment_method.clone(),
        };
        sqlx::query(
            "INSERT INTO payment (order_id, amount, currency, method) VALUES ($1, $2, $3, $4)
             ON CONFLICT (order_id) DO NOTHING",
        )
        .bind(command.order.0)
        .bind(wanted.amount)
        .bind(&wanted.currency)
        .bind(&wanted.method)
        .execute(tx.sql())
        .await?;
        Ok(wanted)
    }

    async fn call(&self, intent: &Wanted, key: &CallKey) -> Result<Self::Answer, Fault> {
        let said = self.gateway.authorise(&key.own, intent).await?;
        Ok((key.own.clone(), said))
    }

    async fn record(
        &self,
        tx: &mut Tx<'_>,
        command: AuthorisePayment,
        _: Wanted,
        (key, said): Self::Answer,
    ) -> Outcome<AuthorisePayment> {
        match said {
            Said::Yes(Authorised { authorisation }) => {
                sqlx::query(
                    "UPDATE payment SET status = 'authorised', authorisation_key = $2,
                         authorisation = $3, updated_at = now()
                     WHERE order_id = $1",
                )
                .bind(command.order.0)
                .bind(key)
                .bind(&authorisation)
                .execute(tx.sql())
                .await?;
                Ok(PaymentAuthorised { authorisation })
            }
            Said::No(reason) => Err(declined(tx, command.order, "declined", reason).await?),
        }
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

impl<G: Gateway> Outside<VoidPayment> for Payment<G> {
    type Intent = ();
    type Answer = ();

    async fn prepare(&self, _: &mut Tx<'_>, _: &VoidPayment) -> Result<(), NotDone<Never>> {
        Ok(())
    }

    /// By the authorisation's key, as its answer may never have been recorded.
    async fn call(&self, (): &(), key: &CallKey) -> Result<(), Fault> {
        Ok(self.gateway.void(&key.own, &key.action).await?)
    }

    async fn record(
        &self,
        tx: &mut Tx<'_>,
        command: VoidPayment,
        (): (),
        (): (),
    ) -> Outcome<VoidPayment> {
        Ok(settled(tx, command.order, "voided").await?)
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

impl<G: Gateway> Outside<CapturePayment> for Payment<G> {
    /// The key of the authorisation.
    type Intent = String;
    type Answer = Said<()>;

    async fn prepare(
        &self,
        tx: &mut Tx<'_>,
        command: &CapturePayment,
    ) -> Result<String, NotDone<PaymentDeclined>> {
        authorisation_key(tx, command.order, "authorised").await
    }

    async fn call(&self, intent: &String, key: &CallKey) -> Result<Said<()>, Fault> {
        Ok(self.gateway.capture(&key.own, intent).await?)
    }

    async fn record(
        &self,
        tx: &mut Tx<'_>,
        command: CapturePayment,
        _: String,
        said: Said<()>,
    ) -> Outcome<CapturePayment> {
        match said {
            Said::Yes(()) => Ok(settled(tx, command.order, "captured").await?),
            // Still authorised: the saga goes back and voids it.
            Said::No(reason) => Err(declined(tx, command.order, "authorised", reason).await?),
        }
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

impl<G: Gateway> Outside<RefundPayment> for Payment<G> {
    /// The key of the authorisation.
    type Intent = String;
    type Answer = ();

    async fn prepare(
        &self,
        tx: &mut Tx<'_>,
        command: &RefundPayment,
    ) -> Result<String, NotDone<Never>> {
        authorisation_key(tx, command.order, "captured").await
    }

    async fn call(&self, intent: &String, key: &CallKey) -> Result<(), Fault> {
        Ok(self.gateway.refund(&key.own, intent).await?)
    }

    async fn record(
        &self,
        tx: &mut Tx<'_>,
        command: RefundPayment,
        _: String,
        (): (),
    ) -> Outcome<RefundPayment> {
        Ok(settled(tx, command.order, "refunded").await?)
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

/// The key under which the gateway knows the order's payment, which must be in `status`.
async fn authorisation_key<R>(
    tx: &mut Tx<'_>,
    order: SagaId,
    status: &'static str,
) -> Result<String, NotDone<R>> {
    sqlx::query_scalar("SELECT authorisation_key FROM payment WHERE order_id = $1 AND status = $2")
        .bind(order.0)
        .bind(status)
        .fetch_optional(tx.sql())
        .await?
        .ok_or_else(|| NotDone::Fault(Fault::permanent(NoSuchPayment { order, wanted: status })))
}

/// The gateway's no, noted with the payment; `status` is what the payment is after it.
async fn declined(
    tx: &mut Tx<'_>,
    order: SagaId,
    status: &str,
    reason: String,
) -> Result<NotDone<PaymentDeclined>, sqlx::Error> {
    sqlx::query(
        "UPDATE payment SET status = $2, reason = $3, updated_at = now() WHERE order_id = $1",
    )
    .bind(order.0)
    .bind(status)
    .bind(&reason)
    .execute(tx.sql())
    .await?;
    Ok(Refused(PaymentDeclined { reason }))
}

async fn settled(tx: &mut Tx<'_>, order: SagaId, status: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE payment SET status = $2, updated_at = now() WHERE order_id = $1")
        .bind(order.0)
        .bind(status)
        .execute(tx.sql())
        .await
        .map(drop)
}
