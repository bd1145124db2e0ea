//! What a transaction did, counted once it is committed: one observation of each series for a whole
//! batch, however many sagas it moved.

use contracts::{Leg, Outcome};
use saga_core::{Catalogue, Plan, StepIndex};
use std::collections::BTreeMap;

const OUTCOMES: [Outcome; 3] = [Outcome::Done, Outcome::Refused, Outcome::Faulted];
const ENDINGS: [&str; 2] = ["completed", "compensated"];

/// A leg by its names. Of the plan, never of a message: a message may say anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LegName {
    definition: &'static str,
    step: &'static str,
    leg: &'static str,
}

impl LegName {
    fn of(plan: &Plan, step: StepIndex, leg: Leg) -> Self {
        LegName { definition: plan.name(), step: plan.step(step).name, leg: leg.as_str() }
    }

    fn labels(self) -> [(&'static str, &'static str); 3] {
        [("definition", self.definition), ("leg", self.leg), ("step", self.step)]
    }
}

/// What is to be counted.
#[derive(Default)]
pub struct Tally {
    started: BTreeMap<&'static str, u64>,
    asked: BTreeMap<LegName, u64>,
    answered: BTreeMap<(LegName, &'static str), u64>,
    /// Seconds.
    took: BTreeMap<LegName, Vec<f64>>,
    /// By definition and ending, seconds.
    ended: BTreeMap<(&'static str, &'static str), Vec<f64>>,
}

impl Tally {
    pub fn started(&mut self, plan: &Plan) {
        *self.started.entry(plan.name()).or_default() += 1;
    }

    /// One more attempt.
    pub fn asked(&mut self, plan: &Plan, step: StepIndex, leg: Leg) {
        *self.asked.entry(LegName::of(plan, step, leg)).or_default() += 1;
    }

    /// `seconds` since the attempt was asked for, where that is known.
    pub fn answered(
        &mut self,
        plan: &Plan,
        step: StepIndex,
        leg: Leg,
        outcome: Outcome,
        seconds: Option<f64>,
    ) {
        let name = LegName::of(plan, step, leg);
        *self.answered.entry((name, outcome.as_str())).or_default() += 1;
        self.took.entry(name).or_default().extend(seconds);
    }

    pub fn ended(&mut self, plan: &Plan, ending: &'static str, seconds: f64) {
        self.ended.entry((plan.name(), ending)).or_default().push(seconds);
    }

    /// Tells the metrics.
    pub fn count(self) {
        for (definition, count) in self.started {
            metrics::counter!("sagas_started_total", "definition" => definition).increment(count);
        }
        for (name, count) in self.asked {
            metrics::counter!("saga_step_attempts_total", &name.labels()).increment(count);
        }
        for ((name, outcome), count) in self.answered {
            let LegName { definition, step, leg } = name;
            metrics::counter!("replies_total", "definition" => definition, "leg" => leg,
                "outcome" => outcome, "step" => step)
            .increment(count);
        }
        for (name, took) in self.took.into_iter().filter(|(_, took)| !took.is_empty()) {
            let histogram = metrics::histogram!("saga_step_duration_seconds", &name.labels());
            took.into_iter().for_each(|seconds| histogram.record(seconds));
        }
        for ((definition, ending), lasted) in self.ended {
            let labels = [("definition", definition), ("ending", ending)];
            let count = u64::try_from(lasted.len()).unwrap_or(u64::MAX);
            metrics::counter!("sagas_ended_total", &labels).increment(count);
            let histogram = metrics::histogram!("saga_duration_seconds", &labels);
            lasted.into_iter().for_each(|seconds| histogram.record(seconds));
        }
    }
}

/// Every counter at nothing: what appears with its first count has not increased, as Prometheus
/// sees it, and would alarm nobody.
pub fn begin(catalogue: &Catalogue) {
    for definition in catalogue.iter() {
        let plan = definition.plan();
        metrics::counter!("sagas_started_total", "definition" => plan.name()).increment(0);
        for ending in ENDINGS {
            metrics::counter!("sagas_ended_total", "definition" => plan.name(), "ending" => ending)
                .increment(0);
        }
        for (_, step) in plan.steps() {
            for leg in [Leg::Action, Leg::Compensation] {
                if leg == Leg::Compensation && step.compensation.is_none() {
                    continue;
                }
                let (definition, leg, step) = (plan.name(), leg.as_str(), step.name);
                let labels = [("definition", definition), ("leg", leg), ("step", step)];
                metrics::counter!("saga_step_attempts_total", &labels).increment(0);
                for outcome in OUTCOMES {
                    metrics::counter!("replies_total", "definition" => definition, "leg" => leg,
                        "outcome" => outcome.as_str(), "step" => step)
                    .increment(0);
                }
            }
        }
    }
}
