//! The shape of a saga, as data.

use crate::{Patience, Retry};
use contracts::{Leg, participant_of};
use std::{collections::HashSet, fmt, ops::Range, time::Duration};

/// The most steps a plan may have; keeps [`crate::State`] small and `Copy`.
pub const MAX_STEPS: usize = 16;

/// Which step of a plan. Only inside the core and the engine: storage, messages and metrics say
/// the step's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIndex(pub(crate) u8);

impl StepIndex {
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// What recovery may do with a step; see the table in the crate's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    Compensatable,
    ReadOnly,
    Pivot,
    Retriable,
}

impl StepKind {
    pub fn as_str(self) -> &'static str {
        match self {
            StepKind::Compensatable => "compensatable",
            StepKind::ReadOnly => "read-only",
            StepKind::Pivot => "pivot",
            StepKind::Retriable => "retriable",
        }
    }

    /// Whether a refusal is an answer that this kind may give.
    pub fn may_refuse(self) -> bool {
        self != StepKind::Retriable
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one leg of a step is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegSpec {
    /// The command's type, `inventory.reserve-stock`.
    pub command: &'static str,
    /// How long one attempt waits for its answer.
    pub timeout: Duration,
    /// How often it is asked before the saga goes back (or is parked), at least once.
    pub attempts: u8,
    /// How long it rests after a fault before it is asked again.
    pub retry: Retry,
}

impl LegSpec {
    /// 30 s for an answer; 5 attempts; rests of 1 s to 60 s.
    pub fn of(command: &'static str) -> Self {
        LegSpec { command, timeout: Duration::from_secs(30), attempts: 5, retry: Retry::default() }
    }

    /// The participant that answers.
    pub fn participant(&self) -> &'static str {
        participant_of(self.command)
    }
}

/// One step: its name, its kind, and how its legs are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSpec {
    pub name: &'static str,
    pub kind: StepKind,
    pub action: LegSpec,
    pub compensation: Option<LegSpec>,
}

impl StepSpec {
    pub fn compensatable(name: &'static str, action: LegSpec, compensation: LegSpec) -> Self {
        let compensation = Some(compensation);
        StepSpec { name, kind: StepKind::Compensatable, action, compensation }
    }

    pub fn read_only(name: &'static str, action: LegSpec) -> Self {
        StepSpec { name, kind: StepKind::ReadOnly, action, compensation: None }
    }

    pub fn pivot(name: &'static str, action: LegSpec) -> Self {
        StepSpec { name, kind: StepKind::Pivot, action, compensation: None }
    }

    pub fn retriable(name: &'static str, action: LegSpec) -> Self {
        StepSpec { name, kind: StepKind::Retriable, action, compensation: None }
    }
}

/// A well-shaped saga: stages before the pivot, the pivot alone, stages after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    name: &'static str,
    version: u16,
    steps: Vec<StepSpec>,
    stages: Vec<Range<usize>>,
    pivot: usize,
    deadline: Option<Duration>,
}

/// Why a list of steps is not a saga.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error("{0} steps; a plan has 1 to {MAX_STEPS}")]
    StepCount(usize),
    #[error("a stage without steps")]
    EmptyStage,
    #[error("two steps named {0:?}")]
    DuplicateName(&'static str),
    #[error("a plan has one pivot, not {0}")]
    PivotCount(usize),
    #[error("the pivot {0:?} shares its stage; it stands alone")]
    PivotNotAlone(&'static str),
    #[error("step {name:?} is {kind} and stands {place} the pivot")]
    WrongSide { name: &'static str, kind: StepKind, place: &'static str },
    #[error("step {0:?}: a compensatable step has a compensation, and no other kind has one")]
    Compensation(&'static str),
    #[error("step {0:?}: at least one attempt")]
    NoAttempts(&'static str),
}

impl Plan {
    /// Checks the shape: the definition DSL makes most mistakes compile errors, data is checked here.
    pub fn new(
        name: &'static str,
        version: u16,
        stages: Vec<Vec<StepSpec>>,
    ) -> Result<Self, ShapeError> {
        let mut ranges = Vec::with_capacity(stages.len());
        let mut steps = Vec::new();
        for stage in stages {
            if stage.is_empty() {
                return Err(ShapeError::EmptyStage);
            }
            let first = steps.len();
            steps.extend(stage);
            ranges.push(first..steps.len());
        }
        check_steps(&steps)?;
        let pivot = check_sides(&steps, &ranges)?;
        Ok(Plan { name, version, steps, stages: ranges, pivot, deadline: None })
    }

    /// After this long, counted from the start, a saga that has not reached its pivot goes back.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same plan with another patience.
    pub fn with_patience(mut self, patience: Patience) -> Self {
        let Patience { timeout, attempts, deadline } = patience;
        self.deadline = deadline.or(self.deadline);
        let legs = self
            .steps
            .iter_mut()
            .flat_map(|step| std::iter::once(&mut step.action).chain(step.compensation.as_mut()));
        for leg in legs {
            leg.timeout = timeout.unwrap_or(leg.timeout);
            leg.attempts = attempts.unwrap_or(leg.attempts).max(1);
        }
        self
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn version(&self) -> u16 {
        self.version
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    pub fn steps(&self) -> impl Iterator<Item = (StepIndex, &StepSpec)> {
        self.indices(0..self.steps.len()).zip(&self.steps)
    }

    pub(crate) fn steps_mut(&mut self) -> impl Iterator<Item = &mut StepSpec> {
        self.steps.iter_mut()
    }

    pub fn step(&self, index: StepIndex) -> &StepSpec {
        &self.steps[index.get()]
    }

    pub fn index(&self, name: &str) -> Option<StepIndex> {
        self.steps().find(|(_, step)| step.name == name).map(|(index, _)| index)
    }

    pub fn pivot(&self) -> StepIndex {
        StepIndex(self.pivot as u8)
    }

    /// How the leg is asked for; `None` for the compensation of a step that has none.
    pub fn leg(&self, index: StepIndex, leg: Leg) -> Option<&LegSpec> {
        let step = self.step(index);
        match leg {
            Leg::Action => Some(&step.action),
            Leg::Compensation => step.compensation.as_ref(),
        }
    }

    /// The stages in order, each as its steps.
    pub fn stages(&self) -> impl DoubleEndedIterator<Item = impl Iterator<Item = StepIndex> + '_> {
        self.stages.iter().map(|stage| self.indices(stage.clone()))
    }

    /// Which stage a step belongs to, from 0.
    pub fn stage_of(&self, index: StepIndex) -> usize {
        self.stages.iter().position(|stage| stage.contains(&index.get())).unwrap_or_default()
    }

    fn indices(&self, range: Range<usize>) -> impl Iterator<Item = StepIndex> + use<> {
        range.map(|index| StepIndex(index as u8))
    }
}

fn check_steps(steps: &[StepSpec]) -> Result<(), ShapeError> {
    if steps.is_empty() || steps.len() > MAX_STEPS {
        return Err(ShapeError::StepCount(steps.len()));
    }
    let mut names = HashSet::new();
    for step in steps {
        if !names.insert(step.name) {
            return Err(ShapeError::DuplicateName(step.name));
        }
        if (step.kind == StepKind::Compensatable) != step.compensation.is_some() {
            return Err(ShapeError::Compensation(step.name));
        }
        if std::iter::once(&step.action).chain(&step.compensation).any(|leg| leg.attempts == 0) {
            return Err(ShapeError::NoAttempts(step.name));
        }
    }
    Ok(())
}

fn check_sides(steps: &[StepSpec], stages: &[Range<usize>]) -> Result<usize, ShapeError> {
    let pivots: Vec<usize> =
        (0..steps.len()).filter(|&index| steps[index].kind == StepKind::Pivot).collect();
    let &[pivot] = pivots.as_slice() else {
        return Err(ShapeError::PivotCount(pivots.len()));
    };
    if stages.iter().any(|stage| stage.contains(&pivot) && stage.len() > 1) {
        return Err(ShapeError::PivotNotAlone(steps[pivot].name));
    }
    for (index, StepSpec { name, kind, .. }) in steps.iter().enumerate() {
        let retriable = *kind == StepKind::Retriable;
        if index < pivot && retriable {
            return Err(ShapeError::WrongSide { name, kind: *kind, place: "before" });
        }
        if index > pivot && !retriable {
            return Err(ShapeError::WrongSide { name, kind: *kind, place: "after" });
        }
    }
    Ok(pivot)
}
