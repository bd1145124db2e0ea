//! The typed text of a saga, from which its [`Plan`] and its payload mappings come.
//!
//! Kinds are verbs, names are words, mappings are methods of the saga's data type. The types carry
//! the theory: `compensatable` needs an undo; an undo, and anything after the pivot, must have
//! `Refusal = Never`; nothing compensatable may follow the pivot; without a pivot there is no
//! `build`. Each of these mistakes is a compile error (`tests/definition_ui`).

use crate::{
    LegSpec, Patience, Plan, Retry, StepIndex, StepSpec,
    catalogue::{Defined, MappingError, Why},
};
use contracts::{Command, Leg, Never, SagaId};
use serde::{Serialize, de::DeserializeOwned};
use std::{marker::PhantomData, time::Duration};

/// The data of a saga: everything that its commands are made of.
pub trait Saga: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What a saga is started with.
    type Input: DeserializeOwned;

    fn begin(saga: SagaId, input: Self::Input) -> Self;
}

/// Rises whenever the steps change; a running saga stays with the version it was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u16);

/// A saga's text, complete.
pub struct Definition<D> {
    plan: Plan,
    mappings: Vec<Mapping<D>>,
}

type Render<D> = Box<dyn Fn(&D, &Why) -> Result<Vec<u8>, serde_json::Error> + Send + Sync>;
type Learn<D> = Box<dyn Fn(&mut D, &[u8]) -> Result<(), serde_json::Error> + Send + Sync>;
type Fits = fn(&[u8]) -> Result<(), serde_json::Error>;
type Describe = fn(&[u8]) -> Result<String, serde_json::Error>;

struct Mapping<D> {
    action: Render<D>,
    compensation: Option<Render<D>>,
    learn: Option<Learn<D>>,
    fits: Fits,
    undo_fits: Option<Fits>,
    refusal: Describe,
}

/// Begins a definition.
pub fn saga<D: Saga>(name: &'static str, version: Version) -> Builder<D, BeforePivot> {
    Builder {
        name,
        version,
        deadline: None,
        stages: Vec::new(),
        mappings: Vec::new(),
        side: PhantomData,
    }
}

/// Begins a step: its name, and how its command is made of the saga's data.
pub fn step<D: Saga, C: Command>(name: &'static str, command: fn(&D) -> C) -> Step<D, C, NoUndo> {
    Step {
        name,
        action: LegSpec::of(C::TYPE),
        compensation: None,
        mapping: Mapping {
            action: Box::new(move |data, _| serde_json::to_vec(&command(data))),
            compensation: None,
            learn: None,
            fits: |body| serde_json::from_slice::<C::Reply>(body).map(drop),
            undo_fits: None,
            refusal: |body| serde_json::from_slice::<C::Refusal>(body).map(|why| why.to_string()),
        },
        types: PhantomData,
    }
}

/// A step without a compensation.
pub enum NoUndo {}
/// A step with a compensation.
pub enum HasUndo {}
/// The builder's side on which a saga can still go back.
pub enum BeforePivot {}
/// The builder's side from which a saga only goes forward.
pub enum AfterPivot {}

/// One step in the making; `U` says whether it has an undo.
pub struct Step<D, C, U> {
    name: &'static str,
    action: LegSpec,
    compensation: Option<LegSpec>,
    mapping: Mapping<D>,
    types: PhantomData<fn() -> (C, U)>,
}

impl<D: Saga, C: Command, U> Step<D, C, U> {
    /// What the saga learns from a `done` reply. Steps of one stage learn different things: what
    /// one of them learns must not change a command of the others.
    pub fn on_reply(mut self, learn: fn(&mut D, C::Reply)) -> Self {
        self.mapping.learn = Some(Box::new(move |data, reply| {
            learn(data, serde_json::from_slice(reply)?);
            Ok(())
        }));
        self
    }

    /// How long one attempt of either leg waits for its answer. Default 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.action.timeout = timeout;
        self.compensation = self.compensation.map(|leg| LegSpec { timeout, ..leg });
        self
    }

    /// How often the action is asked before the saga goes back (or is parked). Default 5.
    pub fn attempts(mut self, attempts: u8) -> Self {
        self.action.attempts = attempts;
        self
    }

    /// How long a leg rests after a fault before it is asked again. Default 1 s to 60 s.
    pub fn rests(mut self, retry: Retry) -> Self {
        self.action.retry = retry;
        self.compensation = self.compensation.map(|leg| LegSpec { retry, ..leg });
        self
    }
}

impl<D: Saga, C: Command> Step<D, C, NoUndo> {
    /// The undo: made of the saga's data alone (`fn(&D) -> U`) or also of the reason for going back
    /// (`fn(&D, &Why) -> U`). It cannot be refused.
    pub fn compensated_by<U, M>(self, undo: impl Undo<D, U, M>) -> Step<D, C, HasUndo>
    where
        U: Command<Refusal = Never>,
    {
        let LegSpec { timeout, retry, .. } = self.action;
        let compensation = LegSpec { timeout, retry, ..LegSpec::of(U::TYPE) };
        let render: Render<D> =
            Box::new(move |data, why| serde_json::to_vec(&undo.command(data, why)));
        Step {
            name: self.name,
            action: self.action,
            compensation: Some(compensation),
            mapping: Mapping {
                compensation: Some(render),
                undo_fits: Some(|body| serde_json::from_slice::<U::Reply>(body).map(drop)),
                ..self.mapping
            },
            types: PhantomData,
        }
    }
}

/// A mapping to a compensation's command, with or without the reason.
pub trait Undo<D, U, M>: Send + Sync + 'static {
    fn command(&self, data: &D, why: &Why) -> U;
}

impl<D, U, F: Fn(&D) -> U + Send + Sync + 'static> Undo<D, U, (D,)> for F {
    fn command(&self, data: &D, _: &Why) -> U {
        self(data)
    }
}

impl<D, U, F: Fn(&D, &Why) -> U + Send + Sync + 'static> Undo<D, U, (D, Why)> for F {
    fn command(&self, data: &D, why: &Why) -> U {
        self(data, why)
    }
}

/// A definition in the making; `S` says on which side of the pivot the next step stands.
pub struct Builder<D, S> {
    name: &'static str,
    version: Version,
    deadline: Option<Duration>,
    stages: Vec<Vec<StepSpec>>,
    mappings: Vec<Mapping<D>>,
    side: PhantomData<fn() -> S>,
}

/// The steps of one stage, which run in parallel.
pub struct Stage<D, S> {
    steps: Vec<StepSpec>,
    mappings: Vec<Mapping<D>>,
    side: PhantomData<fn() -> S>,
}

impl<D, S> Stage<D, S> {
    fn new() -> Self {
        Stage { steps: Vec::new(), mappings: Vec::new(), side: PhantomData }
    }

    fn push(mut self, spec: StepSpec, mapping: Mapping<D>) -> Self {
        self.steps.push(spec);
        self.mappings.push(mapping);
        self
    }
}

impl<D: Saga> Stage<D, BeforePivot> {
    /// A step that its compensation undoes.
    pub fn compensatable<C: Command>(self, step: Step<D, C, HasUndo>) -> Self {
        let kind = crate::StepKind::Compensatable;
        let Step { name, action, compensation, mapping, .. } = step;
        self.push(StepSpec { name, kind, action, compensation }, mapping)
    }

    /// A step that leaves nothing to undo.
    pub fn read_only<C: Command>(self, step: Step<D, C, NoUndo>) -> Self {
        self.push(StepSpec::read_only(step.name, step.action), step.mapping)
    }
}

impl<D: Saga> Stage<D, AfterPivot> {
    /// A step that succeeds in the end.
    pub fn retriable<C: Command<Refusal = Never>>(self, step: Step<D, C, NoUndo>) -> Self {
        self.push(StepSpec::retriable(step.name, step.action), step.mapping)
    }
}

impl<D: Saga, S> Builder<D, S> {
    /// Steps that run in parallel.
    pub fn together(mut self, steps: impl FnOnce(Stage<D, S>) -> Stage<D, S>) -> Self {
        let stage = steps(Stage::new());
        self.stages.push(stage.steps);
        self.mappings.extend(stage.mappings);
        self
    }

    fn beyond<T>(self) -> Builder<D, T> {
        let Builder { name, version, deadline, stages, mappings, .. } = self;
        Builder { name, version, deadline, stages, mappings, side: PhantomData }
    }
}

impl<D: Saga> Builder<D, BeforePivot> {
    /// A saga that has not reached its pivot this long after its start goes back.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// A step that its compensation undoes.
    pub fn compensatable<C: Command>(self, step: Step<D, C, HasUndo>) -> Self {
        self.together(|stage| stage.compensatable(step))
    }

    /// A step that leaves nothing to undo.
    pub fn read_only<C: Command>(self, step: Step<D, C, NoUndo>) -> Self {
        self.together(|stage| stage.read_only(step))
    }

    /// The go or no-go of the saga: before it everything can be undone, after it nothing is.
    pub fn pivot<C: Command>(self, step: Step<D, C, NoUndo>) -> Builder<D, AfterPivot> {
        self.together(|stage| stage.push(StepSpec::pivot(step.name, step.action), step.mapping))
            .beyond()
    }
}

impl<D: Saga> Builder<D, AfterPivot> {
    /// A step that succeeds in the end.
    pub fn retriable<C: Command<Refusal = Never>>(self, step: Step<D, C, NoUndo>) -> Self {
        self.together(|stage| stage.retriable(step))
    }

    /// # Panics
    /// When two steps have one name, a stage is empty, or there are more than
    /// [`crate::MAX_STEPS`] steps: mistakes in the program's text that the types cannot see.
    pub fn build(self) -> Definition<D> {
        let plan = Plan::new(self.name, self.version.0, self.stages)
            .unwrap_or_else(|wrong| panic!("saga {:?}: {wrong}", self.name));
        let plan = match self.deadline {
            Some(deadline) => plan.with_deadline(deadline),
            None => plan,
        };
        Definition { plan, mappings: self.mappings }
    }
}

impl<D> Definition<D> {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The same definition with another patience.
    pub fn with_patience(self, patience: Patience) -> Self {
        Definition { plan: self.plan.with_patience(patience), ..self }
    }
}

impl<D: Saga> Defined for Definition<D> {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn begin(&self, saga: SagaId, input: &[u8]) -> Result<Vec<u8>, MappingError> {
        let input = serde_json::from_slice(input).map_err(misfit("the saga's input"))?;
        serde_json::to_vec(&D::begin(saga, input)).map_err(misfit("the saga's data"))
    }

    fn command(
        &self,
        data: &[u8],
        step: StepIndex,
        leg: Leg,
        why: Option<&Why>,
    ) -> Result<Vec<u8>, MappingError> {
        let data: D = serde_json::from_slice(data).map_err(misfit("the saga's data"))?;
        let mapping = &self.mappings[step.get()];
        let nothing = Why { cause: String::new(), step: None, text: String::new() };
        let render = match leg {
            Leg::Action => &mapping.action,
            // The core never invokes the compensation of a step that has none.
            Leg::Compensation => mapping.compensation.as_ref().unwrap_or(&mapping.action),
        };
        render(&data, why.unwrap_or(&nothing)).map_err(misfit("the command's body"))
    }

    fn learn(
        &self,
        data: &[u8],
        step: StepIndex,
        reply: &[u8],
    ) -> Result<Option<Vec<u8>>, MappingError> {
        let Some(learn) = &self.mappings[step.get()].learn else { return Ok(None) };
        let mut known: D = serde_json::from_slice(data).map_err(misfit("the saga's data"))?;
        learn(&mut known, reply).map_err(misfit("the reply"))?;
        serde_json::to_vec(&known).map(Some).map_err(misfit("the saga's data"))
    }

    fn fits(&self, step: StepIndex, leg: Leg, reply: &[u8]) -> Result<(), MappingError> {
        let mapping = &self.mappings[step.get()];
        let fits = match leg {
            Leg::Action => mapping.fits,
            Leg::Compensation => mapping.undo_fits.unwrap_or(mapping.fits),
        };
        fits(reply).map_err(misfit("the reply"))
    }

    fn refusal(&self, step: StepIndex, body: &[u8]) -> Result<String, MappingError> {
        (self.mappings[step.get()].refusal)(body).map_err(misfit("the refusal"))
    }
}

fn misfit(what: &str) -> impl FnOnce(serde_json::Error) -> MappingError + '_ {
    move |source| MappingError { what: what.to_owned(), source }
}
