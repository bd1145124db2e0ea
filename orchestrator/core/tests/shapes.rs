//! What a plan refuses as data, and what the definition DSL makes of a saga's text.

use contracts::{Command, Leg, Never, SagaId};
use saga_core::{
    Catalogue, Defined, Definition, LegSpec, Patience, Plan, Saga, ShapeError, StepKind, StepSpec,
    Version, Why, mermaid, saga, step,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

fn leg() -> LegSpec {
    LegSpec::of("p.do")
}

#[test]
fn a_plan_with_a_wrong_shape_is_refused_with_the_reason() {
    let pivot = || StepSpec::pivot("pivot", leg());
    let undoable = |name| StepSpec::compensatable(name, leg(), leg());
    let retriable = || StepSpec::retriable("late", leg());
    let lame = StepSpec { action: LegSpec { attempts: 0, ..leg() }, ..pivot() };
    let crowd = (0..17).map(|_| vec![undoable("same")]).collect();
    let naked = StepSpec { compensation: None, ..undoable("naked") };
    let cases: Vec<(Vec<Vec<StepSpec>>, ShapeError)> = vec![
        (vec![], ShapeError::StepCount(0)),
        (crowd, ShapeError::StepCount(17)),
        (vec![vec![]], ShapeError::EmptyStage),
        (vec![vec![undoable("a")]], ShapeError::PivotCount(0)),
        (vec![vec![pivot(), undoable("a")]], ShapeError::PivotNotAlone("pivot")),
        (vec![vec![undoable("pivot")], vec![pivot()]], ShapeError::DuplicateName("pivot")),
        (vec![vec![naked], vec![pivot()]], ShapeError::Compensation("naked")),
        (vec![vec![lame]], ShapeError::NoAttempts("pivot")),
        (
            vec![vec![retriable()], vec![pivot()]],
            ShapeError::WrongSide { name: "late", kind: StepKind::Retriable, place: "before" },
        ),
        (
            vec![vec![pivot()], vec![undoable("a")]],
            ShapeError::WrongSide { name: "a", kind: StepKind::Compensatable, place: "after" },
        ),
    ];
    for (stages, wrong) in cases {
        assert_eq!(Plan::new("wrong", 1, stages), Err(wrong));
    }
}

#[derive(Serialize, Deserialize)]
struct Trip {
    guest: String,
    room: Option<u32>,
}

impl Saga for Trip {
    type Input = String;

    fn begin(_: SagaId, guest: String) -> Self {
        Trip { guest, room: None }
    }
}

macro_rules! command {
    ($name:ident, $type:literal, $reply:ty, $refusal:ty) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $name(String);
        impl Command for $name {
            const TYPE: &'static str = $type;
            type Reply = $reply;
            type Refusal = $refusal;
        }
    };
}
command!(Book, "hotel.book", u32, String);
command!(Cancel, "hotel.cancel", (), Never);
command!(Fly, "airline.fly", (), String);
command!(Land, "airline.land", (), Never);
command!(Pay, "bank.pay", (), String);
command!(Mail, "post.mail", (), Never);

impl Trip {
    fn definition() -> Definition<Self> {
        saga("trip", Version(3))
            .deadline(Duration::from_secs(60))
            .together(|stage| {
                stage
                    .compensatable(
                        step("book", Self::book)
                            .on_reply(Self::booked)
                            .timeout(Duration::from_secs(5))
                            .compensated_by(Self::cancel),
                    )
                    .compensatable(step("fly", Self::fly).compensated_by(Self::land))
            })
            .pivot(step("pay", Self::pay))
            .retriable(step("mail", Self::mail))
            .build()
    }

    fn book(&self) -> Book {
        Book(self.guest.clone())
    }
    fn booked(&mut self, room: u32) {
        self.room = Some(room);
    }
    fn cancel(&self, why: &Why) -> Cancel {
        Cancel(why.text.clone())
    }
    fn fly(&self) -> Fly {
        Fly(self.guest.clone())
    }
    fn land(&self) -> Land {
        Land(self.guest.clone())
    }
    fn pay(&self) -> Pay {
        Pay(self.guest.clone())
    }
    fn mail(&self) -> Mail {
        Mail(format!("{}: room {:?}", self.guest, self.room))
    }
}

#[test]
fn a_definition_becomes_its_plan() {
    let definition = Trip::definition();
    let plan = definition.plan();
    let stages: Vec<Vec<&str>> =
        plan.stages().map(|stage| stage.map(|index| plan.step(index).name).collect()).collect();
    assert_eq!(stages, [vec!["book", "fly"], vec!["pay"], vec!["mail"]]);
    assert_eq!((plan.name(), plan.version()), ("trip", 3));
    assert_eq!(plan.deadline(), Some(Duration::from_secs(60)));
    let book = plan.index("book").unwrap();
    let undo = plan.leg(book, Leg::Compensation).unwrap();
    assert_eq!((undo.command, undo.timeout.as_secs()), ("hotel.cancel", 5));
    assert_eq!(undo.participant(), "hotel");
}

#[test]
fn commands_are_made_of_what_the_saga_has_learnt() {
    let trip = Trip::definition();
    let index = |name| trip.plan().index(name).unwrap();
    let saga = SagaId(uuid::Uuid::nil());
    let data = trip.begin(saga, br#""Ada""#).unwrap();
    assert_eq!(trip.command(&data, index("book"), Leg::Action, None).unwrap(), br#""Ada""#);
    assert!(trip.learn(&data, index("fly"), b"null").unwrap().is_none());
    let data = trip.learn(&data, index("book"), b"12").unwrap().unwrap();
    let mail = trip.command(&data, index("mail"), Leg::Action, None).unwrap();
    assert_eq!(mail, br#""Ada: room Some(12)""#);
    let why = Why { cause: "cancelled".into(), step: None, text: "changed my mind".into() };
    let undo = trip.command(&data, index("book"), Leg::Compensation, Some(&why)).unwrap();
    assert_eq!(undo, br#""changed my mind""#);
}

#[test]
fn a_payload_that_does_not_fit_is_an_error_that_says_which() {
    let trip = Trip::definition();
    let saga = SagaId(uuid::Uuid::nil());
    let wrong = trip.begin(saga, b"7").unwrap_err().to_string();
    assert!(wrong.starts_with("the saga's input does not fit: invalid type"), "{wrong}");
    let book = trip.plan().index("book").unwrap();
    let data = trip.begin(saga, br#""Ada""#).unwrap();
    assert!(trip.learn(&data, book, br#""twelve""#).is_err());
}

#[test]
fn a_running_saga_stays_with_its_version_and_a_new_one_takes_the_newest() {
    let old = Trip::definition().with_patience(Patience::of(Duration::from_secs(1), 2));
    let catalogue = Catalogue::default().with(old);
    assert_eq!(catalogue.newest("trip").unwrap().plan().version(), 3);
    assert!(catalogue.get("trip", 2).is_none());
    assert!(catalogue.newest("holiday").is_none());
    let plan = catalogue.get("trip", 3).unwrap().plan();
    assert!(plan.steps().all(|(_, step)| step.action.attempts == 2));
    assert_eq!(plan.deadline(), Trip::definition().plan().deadline(), "what is not said stays");
    let hour = Duration::from_secs(3_600);
    let late =
        Trip::definition().with_patience(Patience { deadline: Some(hour), ..Patience::default() });
    assert_eq!(late.plan().deadline(), Some(hour));
}

#[test]
fn a_plan_draws_itself() {
    insta::assert_snapshot!(mermaid(Trip::definition().plan()), @r#"
    flowchart LR
      start([start])
      s0["book<br/><i>hotel.book</i>"]
      start --> s0
      s0 -. hotel.cancel .-> undone
      s1["fly<br/><i>airline.fly</i>"]
      start --> s1
      s1 -. airline.land .-> undone
      s2{{"pay<br/><i>bank.pay</i>"}}
      s0 --> s2
      s1 --> s2
      s3["mail<br/><i>post.mail</i>"]
      s2 --> s3
      completed([completed])
      s3 --> completed
      undone([compensated])
    "#);
}
