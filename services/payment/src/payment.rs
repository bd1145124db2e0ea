//! The participant: each leg prepares an intent, calls the gateway outside any transaction, and
//! records what the gateway said.

use crate::{
    book,
    gateway::{Authorised, Gateway, Said, Wanted},
};
use contracts::{
    Never, SagaId,
    payment::{
        AuthorisePayment, CapturePayment, PaymentAuthorised, PaymentDeclined, RefundPayment,
        VoidPayment,
    },
};
use runtime::resilience::Breaker;
use sqlx::PgConnection;
use std::time::Duration;
use worker::{
    CallKey, Called, Fault, ManyTx, NotDone, NotDone::Refused, Outcome, Outside, Replied, Tx,
};

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
        let wanted = Wanted::from(command);
        book::open(tx.sql(), &[(command.order, &wanted)]).await?;
        Ok(wanted)
    }

    async fn prepare_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, AuthorisePayment)],
    ) -> Result<Option<Vec<Wanted>>, Fault> {
        let wanted: Vec<_> = commands.iter().map(|(_, command)| Wanted::from(command)).collect();
        let opened: Vec<_> =
            commands.iter().map(|(_, command)| command.order).zip(&wanted).collect();
        book::open(tx.sql(), &opened).await?;
        Ok(Some(wanted))
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
            Said::Yes(authorised) => {
                book::authorised(tx.sql(), &[(command.order, (&key, &authorised))]).await?;
                Ok(authorised.into())
            }
            Said::No(reason) => {
                book::declined(tx.sql(), &[(command.order, &reason)], "declined").await?;
                Err(Refused(PaymentDeclined { reason }))
            }
        }
    }

    async fn record_many(
        &self,
        tx: &mut ManyTx<'_>,
        called: &[Called<AuthorisePayment, Wanted, Self::Answer>],
    ) -> Result<Option<Vec<Replied<AuthorisePayment>>>, Fault> {
        let (mut authorised, mut declined) = (Vec::new(), Vec::new());
        for Called { command, answer: (key, said), .. } in called {
            match said {
                Said::Yes(yes) => authorised.push((command.order, (key.as_str(), yes))),
                Said::No(reason) => declined.push((command.order, reason.as_str())),
            }
        }
        book::authorised(tx.sql(), &authorised).await?;
        book::declined(tx.sql(), &declined, "declined").await?;
        Ok(Some(called.iter().map(|it| it.answer.1.clone().into()).collect()))
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

    async fn prepare_many(
        &self,
        _: &mut ManyTx<'_>,
        commands: &[(SagaId, VoidPayment)],
    ) -> Result<Option<Vec<()>>, Fault> {
        Ok(Some(vec![(); commands.len()]))
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
        Ok(book::settled(tx.sql(), &[command.order], "voided").await?)
    }

    async fn record_many(
        &self,
        tx: &mut ManyTx<'_>,
        called: &[Called<VoidPayment, (), ()>],
    ) -> Result<Option<Vec<Replied<VoidPayment>>>, Fault> {
        let orders: Vec<_> = called.iter().map(|it| it.command.order).collect();
        book::settled(tx.sql(), &orders, "voided").await?;
        Ok(Some(vec![Ok(()); called.len()]))
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
        authorisation_key(tx.sql(), command.order, "authorised").await
    }

    async fn prepare_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, CapturePayment)],
    ) -> Result<Option<Vec<String>>, Fault> {
        let orders: Vec<_> = commands.iter().map(|(_, command)| command.order).collect();
        let mut keys = book::keys(tx.sql(), &orders, "authorised").await?;
        // Who has none shows when each is alone.
        Ok(orders.iter().map(|order| keys.remove(order)).collect())
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
            Said::Yes(()) => Ok(book::settled(tx.sql(), &[command.order], "captured").await?),
            // Still authorised: the saga goes back and voids it.
            Said::No(reason) => {
                book::declined(tx.sql(), &[(command.order, &reason)], "authorised").await?;
                Err(Refused(PaymentDeclined { reason }))
            }
        }
    }

    async fn record_many(
        &self,
        tx: &mut ManyTx<'_>,
        called: &[Called<CapturePayment, String, Said<()>>],
    ) -> Result<Option<Vec<Replied<CapturePayment>>>, Fault> {
        let (mut captured, mut declined) = (Vec::new(), Vec::new());
        for Called { command, answer, .. } in called {
            match answer {
                Said::Yes(()) => captured.push(command.order),
                Said::No(reason) => declined.push((command.order, reason.as_str())),
            }
        }
        book::settled(tx.sql(), &captured, "captured").await?;
        book::declined(tx.sql(), &declined, "authorised").await?;
        Ok(Some(called.iter().map(|it| it.answer.clone().into()).collect()))
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
        authorisation_key(tx.sql(), command.order, "captured").await
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
        Ok(book::settled(tx.sql(), &[command.order], "refunded").await?)
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
    sql: &mut PgConnection,
    order: SagaId,
    status: &'static str,
) -> Result<String, NotDone<R>> {
    let key = book::keys(sql, &[order], status).await?.remove(&order);
    key.ok_or_else(|| NotDone::Fault(Fault::permanent(NoSuchPayment { order, wanted: status })))
}

impl From<&AuthorisePayment> for Wanted {
    fn from(command: &AuthorisePayment) -> Self {
        Wanted {
            amount: command.amount.amount,
            currency: command.amount.currency.to_string(),
            method: command.payment_method.clone(),
        }
    }
}

impl From<Authorised> for PaymentAuthorised {
    fn from(Authorised { authorisation }: Authorised) -> Self {
        PaymentAuthorised { authorisation }
    }
}

/// What the orchestrator is told.
impl<T, R: From<T>> From<Said<T>> for Result<R, PaymentDeclined> {
    fn from(said: Said<T>) -> Self {
        match said {
            Said::Yes(yes) => Ok(yes.into()),
            Said::No(reason) => Err(PaymentDeclined { reason }),
        }
    }
}
