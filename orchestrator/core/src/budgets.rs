use crate::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often each leg may be asked. A saga keeps the budgets that it started with, like the version
/// of its plan: they decide what silence leads to, and a history must be told the same way after
/// somebody has changed them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Budgets {
    /// The same for every leg.
    All(u8),
    /// By step: of its action, and of its compensation (0 where it has none).
    Each(BTreeMap<String, (u8, u8)>),
}

impl Budgets {
    pub fn of(plan: &Plan) -> Self {
        let each = || {
            plan.steps().map(|(_, step)| {
                (step.action.attempts, step.compensation.map_or(0, |undo| undo.attempts))
            })
        };
        let (first, _) = each().next().unwrap_or((1, 0));
        if each().all(|(action, undo)| action == first && (undo == first || undo == 0)) {
            return Budgets::All(first);
        }
        Budgets::Each(plan.steps().map(|(_, step)| step.name.to_owned()).zip(each()).collect())
    }

    /// The plan with these budgets; a step that they do not name keeps its own.
    pub(crate) fn applied(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        for step in plan.steps_mut() {
            let (action, undo) = match self {
                Budgets::All(all) => (*all, *all),
                Budgets::Each(each) => match each.get(step.name) {
                    Some(own) => *own,
                    None => continue,
                },
            };
            step.action.attempts = action.max(1);
            if let Some(compensation) = &mut step.compensation {
                compensation.attempts = undo.max(1);
            }
        }
        plan
    }
}
