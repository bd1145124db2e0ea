//! Errands of one kind, of different sagas, with as many statements as one of them.

use super::{Due, Errand, Led, Phase, in_time};
use crate::{Fault, ManyTx, answered::Answered, barrier::Verdict, shortcut::careful};
use contracts::SagaId;
use std::collections::{BTreeMap, HashMap, HashSet};

impl Phase<'_> {
    /// Where those have led that can be served at one go, by their places. `None` when that went
    /// wrong, and everything is to be undone.
    pub(super) async fn at_one_go(
        &mut self,
        errands: &[&Errand],
        verdicts: &[Verdict],
    ) -> Result<Option<HashMap<usize, Led>>, Fault> {
        let mut led = HashMap::new();
        for (prepares, places) in kinds(errands, verdicts) {
            let of_kind: Vec<_> = places.iter().map(|place| errands[*place]).collect();
            let served = match prepares {
                true => in_time(self.prepare_many(&of_kind)).await?,
                false => in_time(self.record_many(&of_kind)).await?,
            };
            match served {
                Ok(served) => led.extend(places.into_iter().zip(served.into_iter().flatten())),
                Err(fault) => return careful(fault).map(|_| None),
            }
        }
        Ok(Some(led))
    }

    /// `None` when each has to be prepared alone.
    async fn prepare_many(&mut self, errands: &[&Errand]) -> Result<Option<Vec<Led>>, Fault> {
        let commands: Vec<_> = errands.iter().map(|errand| errand.command.as_ref()).collect();
        let mut tx = ManyTx::new(self.connection);
        let intents = errands[0].handler.prepare_many(&mut tx, &commands).await?;
        match tx.into_events().is_empty() {
            true => Ok(intents.map(|intents| intents.into_iter().map(Led::Call).collect())),
            false => Err(Fault::permanent("an event was published in prepare_many")),
        }
    }

    /// `None` when each has to be recorded alone.
    async fn record_many(&mut self, errands: &[&Errand]) -> Result<Option<Vec<Led>>, Fault> {
        let answered: Vec<_> = errands
            .iter()
            .filter_map(|Errand { command, due, .. }| match due {
                Due::Record(intent, spoken) => Some((command.as_ref(), intent.as_str(), spoken)),
                Due::Prepare => None,
            })
            .collect();
        let commands: Vec<_> = answered.iter().map(|(command, ..)| *command).collect();
        let mut tx = ManyTx::new(self.connection);
        let said = errands[0].handler.record_many(&mut tx, &answered).await?;
        let events = tx.into_events();
        Ok(said.map(|said| {
            Answered::many(&commands, said, events).into_iter().map(Led::Answered).collect()
        }))
    }
}

/// The places of those that are new, by kind and by phase (`true`: prepare): two at least, and of
/// different sagas.
fn kinds(errands: &[&Errand], verdicts: &[Verdict]) -> Vec<(bool, Vec<usize>)> {
    let mut kinds: BTreeMap<(&str, bool), Vec<usize>> = BTreeMap::new();
    let mut sagas: HashSet<(&str, bool, SagaId)> = HashSet::new();
    for (place, errand) in errands.iter().enumerate() {
        let (kind, prepares) = (errand.command.kind.as_str(), matches!(errand.due, Due::Prepare));
        let saga = errand.command.saga;
        if verdicts[place] == Verdict::Run && sagas.insert((kind, prepares, saga)) {
            kinds.entry((kind, prepares)).or_default().push(place);
        }
    }
    let kinds = kinds.into_iter().map(|((_, prepares), places)| (prepares, places));
    kinds.filter(|(_, places)| places.len() > 1).collect()
}
