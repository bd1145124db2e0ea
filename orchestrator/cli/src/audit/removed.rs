//! What the orchestrator has removed because it ended long ago, told from what was lost.
//!
//! A saga that was removed had ended by `retention.ended_until`, and so had all that it left with
//! its participants: the order is confirmed or cancelled, nothing is held, authorised or under way,
//! and all of it began before that time. What has no saga and looks like that is taken for removed.
//! Anything younger, or older and not at its end, is reported as ever. So of the time whose sagas
//! are kept nothing is overlooked; of the time before, a saga that was lost after it had ended
//! cannot be told from one that was removed.

use super::{dossier::Dossier, error::Error, snapshot::Snapshot};
use sqlx::FromRow;
use time::{Duration, OffsetDateTime};

/// By how much the clocks of two database servers may differ.
const SKEW: Duration = Duration::seconds(5);

#[derive(FromRow)]
struct Mark {
    ended_until: OffsetDateTime,
}

/// Until when sagas may have been removed; `None` when none ever was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removed(Option<OffsetDateTime>);

impl Removed {
    pub async fn read(journal: &mut Snapshot) -> Result<Self, Error> {
        let mut until = None;
        let mark = |Mark { ended_until }: Mark| until = Some(ended_until);
        journal.each("SELECT ended_until FROM retention", mark).await?;
        Ok(Removed(until))
    }

    /// Whether this is of a time whose sagas may have been removed.
    pub fn covers(self, at: OffsetDateTime) -> bool {
        self.0.is_some_and(|until| at <= until + SKEW)
    }

    /// Whether this is what a saga that was removed leaves behind.
    pub fn explains(self, dossier: &Dossier) -> bool {
        dossier.saga.is_none()
            && dossier.orphans == 0
            && dossier.latest.is_some_and(|at| self.covers(at))
            && has_ended(dossier)
    }
}

/// Whether nothing of it is under way any more.
fn has_ended(dossier: &Dossier) -> bool {
    let Dossier { order, inbox, holds, payment, shipment, notifications, .. } = dossier;
    let Dossier { counted, authorisations, .. } = dossier;
    order.as_ref().is_none_or(|order| order.status != "pending")
        && inbox.iter().all(|row| row.kind != "intent")
        && holds.iter().all(|hold| hold.status != "held")
        && payment
            .as_ref()
            .is_none_or(|payment| !matches!(payment.status.as_str(), "authorising" | "authorised"))
        && shipment.as_ref().is_none_or(|shipment| shipment.status != "booking")
        && notifications.iter().all(|one| one.status == "sent")
        && counted.as_ref().is_none_or(|counted| counted.status != "pending")
        && authorisations.iter().all(|record| record.status != "authorised")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::dossier::Payment;
    use uuid::Uuid;

    fn payment(status: &str, at: OffsetDateTime) -> Dossier {
        let payment = Payment {
            order_id: Uuid::nil(),
            amount: 1,
            currency: "EUR".to_owned(),
            authorisation_key: None,
            authorisation: None,
            status: status.to_owned(),
            at,
        };
        Dossier { payment: Some(payment), latest: Some(at), ..Dossier::default() }
    }

    #[test]
    fn only_what_is_old_and_at_its_end_is_taken_for_removed() {
        let until = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let removed = Removed(Some(until));
        assert!(removed.explains(&payment("captured", until)));
        assert!(!removed.explains(&payment("authorised", until)), "money is held");
        assert!(!removed.explains(&payment("captured", until + Duration::minutes(1))), "younger");
        assert!(!Removed(None).explains(&payment("captured", until)), "nothing was removed");
        let orphans = Dossier { orphans: 1, ..payment("captured", until) };
        assert!(!removed.explains(&orphans), "a history goes with its saga");
        assert!(!removed.explains(&Dossier::default()), "known to the outside alone");
    }
}
