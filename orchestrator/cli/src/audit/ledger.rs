//! The books of the gateway and the carrier, as the simulator keeps them.

use super::{error::Error, invariant::Need, sources::Sources};
use serde::Deserialize;
use uuid::Uuid;

/// Money set aside, and what became of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Authorisation {
    pub key: String,
    pub authorisation: String,
    pub amount: i64,
    pub currency: String,
    pub status: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Parcel {
    pub key: String,
    pub tracking: String,
    pub status: String,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Ledger {
    pub authorisations: Vec<Authorisation>,
    pub shipments: Vec<Parcel>,
}

/// What the outside knows of the sagas from `from` to `to`, and perhaps of more; nothing when the
/// simulator is not given. Only a part of the ledger is asked for, where ids have a beginning in
/// common, as those made at about the same time do.
pub(crate) async fn read(sources: &Sources, from: Uuid, to: Uuid) -> Result<Ledger, Error> {
    let need = Need::Simulator;
    let Some(base) = &sources.simulator else { return Ok(Ledger::default()) };
    let prefix = common(from, to);
    let url = format!("{}/admin/ledger?key={prefix}", base.expose().trim_end_matches('/'));
    // Errors of the client repeat the URL, which may hold a login.
    let answer = sources.http.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| Error::Http(need, error.without_url()))?;
    answer.json().await.map_err(|error| Error::Http(need, error.without_url()))
}

/// The saga that a key belongs to.
pub(crate) fn saga_of(key: &str) -> Option<Uuid> {
    key.split('/').next()?.parse().ok()
}

fn common(from: Uuid, to: Uuid) -> String {
    let (from, to) = (from.to_string(), to.to_string());
    from.chars().zip(to.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_saga_is_asked_for_by_its_whole_id_and_all_by_none() {
        let id = Uuid::from_u128(0x01a1_fd9e_881d_769a_8876_adb1_4388_d6a6);
        assert_eq!(common(id, id), id.to_string());
        assert_eq!(common(Uuid::nil(), Uuid::max()), "");
        assert_eq!(
            common(id, Uuid::from_u128(id.as_u128() + 1)),
            "01a1fd9e-881d-769a-8876-adb14388d6a"
        );
    }

    #[test]
    fn a_key_names_its_saga() {
        let id = Uuid::from_u128(7);
        assert_eq!(saga_of(&format!("{id}/book-shipment/action")), Some(id));
        assert_eq!(saga_of("somebody's"), None);
    }
}
