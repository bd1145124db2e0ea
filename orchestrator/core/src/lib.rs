//! The theory of the engine, pure: no clock, no randomness, no IO.
//!
//! A **saga** (Garcia-Molina & Salem, 1987) is a row of local transactions, each with a semantic
//! undo, that ends with all of them done or all of them undone. Its **definition** says which
//! steps there are; compiled to a [`Plan`] it is a list of *stages*, each one step or several in
//! parallel. A step is of one of four kinds:
//!
//! | kind | action may be refused | has a compensation | when it gets no answer |
//! |---|---|---|---|
//! | compensatable | yes | yes | go back, undoing it too |
//! | read-only | yes | nothing to undo | go back |
//! | pivot | yes | no | asked again, then parked: never backward |
//! | retriable | no | no | asked again, then parked: only forward |
//!
//! Everything is decided by one total function, [`transition`]: state and event in; new state and
//! effects out, or the reason why the event changes nothing. The shell around it stores the state,
//! sends the commands and wakes the saga; it never decides.
//!
//! The rules, each of them a named predicate in [`invariants`] that the exhaustive test, the
//! simulation and the auditor share:
//!
//! 1. A *refusal* is a business no: nothing was done. Go back from the step before it.
//! 2. Silence after the last attempt, a fault, a cancel or a deadline mean that it *may have
//!    happened*: go back from the step itself.
//! 3. A timeout is not a failure: the same request is sent again under the same identity.
//! 4. An unanswered pivot never goes backward; after the pivot only forward.
//! 5. A compensation cannot be refused. It is retried on a budget of its own, then *parked*.
//! 6. A late answer moves a saga as a timely one would have. A duplicate changes nothing.
//! 7. Compensation runs in reverse order of stages, the steps of one stage together.
//! 8. Cancel is honoured before the pivot and refused, with a reason, from there on.
//! 9. Budgets never leak from an action into its compensation.
//!
//! An operator can ask for what no participant says: see [`Verb`]. To vouch for an outcome (skip,
//! force-compensate) is possible once a leg is parked, never while it is being asked; and rule 4
//! holds for operators, too: a pivot that is done is not undone.
//!
//! ```
//! use saga_core::{Event, Plan, Transition, start, transition};
//! use contracts::{Leg, Outcome};
//! # use saga_core::{LegSpec, StepSpec, StepKind};
//!
//! let plan = Plan::new("trip", 1, vec![
//!     vec![StepSpec::compensatable("book-hotel", LegSpec::of("hotel.book"), LegSpec::of("hotel.cancel"))],
//!     vec![StepSpec::pivot("pay", LegSpec::of("bank.pay"))],
//! ])?;
//! let begun = start(&plan);
//! assert_eq!(begun.effects.len(), 1, "the first stage is invoked");
//!
//! let hotel = plan.index("book-hotel").expect("a step of the plan");
//! let booked = Event::Replied { step: hotel, leg: Leg::Action, attempt: 1, outcome: Outcome::Done };
//! let Transition::Moved(then) = transition(&plan, &begun.state, booked) else { panic!() };
//! assert!(then.state.is_open());
//! // The same answer once more changes nothing.
//! assert!(matches!(transition(&plan, &then.state, booked), Transition::Ignored(_)));
//! # Ok::<(), saga_core::ShapeError>(())
//! ```

mod budgets;
mod catalogue;
pub mod definition;
mod diagram;
mod effect;
mod event;
pub mod invariants;
mod patience;
mod plan;
mod retry;
mod state;
mod transition;
mod verb;

pub use budgets::Budgets;
pub use catalogue::{Catalogue, Defined, MappingError, Why};
pub use definition::{Definition, Saga, Version, saga, step};
pub use diagram::mermaid;
pub use effect::{Effect, Ignored, Moved, Transition};
pub use event::Event;
pub use patience::Patience;
pub use plan::{LegSpec, MAX_STEPS, Plan, ShapeError, StepIndex, StepKind, StepSpec};
pub use retry::Retry;
pub use state::{Cause, Ending, Flight, Phase, State, StepState, Try, Wait};
pub use transition::{start, transition};
pub use verb::{Verb, verbs};
