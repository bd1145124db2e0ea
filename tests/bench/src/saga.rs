//! The saga that is measured: reserve, authorise, ship, notify. Every body has about 500 bytes.

use contracts::{Command, Never, SagaId};
use saga_core::{Catalogue, Definition, Saga, Version, saga, step};
use serde::{Deserialize, Serialize};

pub const DEFINITION: &str = "bench";
/// In the order of the steps.
pub const PARTICIPANTS: [&str; 4] = ["reserve", "authorise", "ship", "notify"];
/// The steps that a saga takes back when its goods cannot be shipped.
pub const UNDONE: [&str; 2] = ["reserve", "authorise"];

/// What a saga is started with, what each command carries, and what each reply repeats.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Goods {
    pub amount: i32,
    /// Whether the step `ship` refuses, so that the saga goes back.
    pub unshippable: bool,
    pub note: String,
}

impl Goods {
    pub fn new(unshippable: bool) -> Self {
        Goods { amount: 7, unshippable, note: "n".repeat(440) }
    }
}

macro_rules! commands {
    ($($name:ident $kind:literal $refusal:ty;)*) => {$(
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct $name {
            pub order: SagaId,
            #[serde(flatten)]
            pub goods: Goods,
        }

        impl Command for $name {
            const TYPE: &'static str = $kind;
            type Reply = Goods;
            type Refusal = $refusal;
        }
    )*};
}

commands! {
    Reserve "reserve.take" String;
    Release "reserve.give-back" Never;
    Authorise "authorise.hold" String;
    Void "authorise.void" Never;
    Ship "ship.book" String;
    Notify "notify.tell" Never;
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    order: SagaId,
    #[serde(flatten)]
    goods: Goods,
}

impl Saga for Order {
    type Input = Goods;

    fn begin(order: SagaId, goods: Goods) -> Self {
        Order { order, goods }
    }
}

macro_rules! command {
    ($name:ident) => {
        |data: &Order| $name { order: data.order, goods: data.goods.clone() }
    };
}

fn definition() -> Definition<Order> {
    let release = command!(Release);
    let void = command!(Void);
    saga(DEFINITION, Version(1))
        .compensatable(step("reserve", command!(Reserve)).compensated_by(release))
        .compensatable(step("authorise", command!(Authorise)).compensated_by(void))
        .pivot(step("ship", command!(Ship)))
        .retriable(step("notify", command!(Notify)))
        .build()
}

pub fn catalogue() -> Catalogue {
    Catalogue::default().with(definition())
}
