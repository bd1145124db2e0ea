//! The order saga as a story: given a start, on each command its answer, and how it ends. Whole
//! commands are compared, never type names.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use contracts::{
    Command, Currency, Leg, Money, Never, Outcome, SagaId,
    inventory::{Line, ReleaseStock, ReserveStock, StockRefusal},
    notification::NotifyCustomer,
    order::{CancelOrder, ConfirmOrder, OpenOrder, PlaceOrderInput},
    payment::{AuthorisePayment, CapturePayment, PaymentAuthorised, PaymentDeclined, VoidPayment},
    shipping::{Address, BookShipment, CancelShipment, ShipmentBooked, Undeliverable},
};
use saga_core::{
    Defined, Definition, Effect, Ending, Event, Moved, State, StepIndex, Transition, Why, mermaid,
    start, transition,
};
use sagas::PlaceOrder;
use std::collections::VecDeque;

const ORDER: SagaId = SagaId(uuid::Uuid::nil());

fn tea() -> Vec<Line> {
    vec![Line { product_id: "prod_001".into(), quantity: 2 }]
}

fn euros(amount: i64) -> Money {
    Money::new(amount, Currency::new("EUR").unwrap())
}

fn home() -> Address {
    Address { name: None, street: None, city: None, postal_code: None, country: "DE".into() }
}

fn tea_for_two() -> PlaceOrderInput {
    PlaceOrderInput {
        customer_id: "cust_1".into(),
        lines: tea(),
        total: euros(2580),
        payment_method: "card_ok".into(),
        ship_to: home(),
    }
}

/// A saga in the middle of its story.
struct Story {
    definition: Definition<PlaceOrder>,
    state: State,
    data: Vec<u8>,
    why: Option<Why>,
    asked: VecDeque<(StepIndex, Leg)>,
    ending: Option<Ending>,
}

fn given(input: PlaceOrderInput) -> Story {
    let definition = PlaceOrder::definition();
    let data = definition.begin(ORDER, &serde_json::to_vec(&input).unwrap()).unwrap();
    let Moved { state, effects } = start(definition.plan());
    let asked = VecDeque::new();
    let mut story = Story { definition, state, data, why: None, asked, ending: None };
    story.take(effects);
    story
}

fn done<C: Command>(reply: C::Reply) -> (Outcome, Vec<u8>) {
    (Outcome::Done, serde_json::to_vec(&reply).unwrap())
}

fn refused<C: Command>(refusal: C::Refusal) -> (Outcome, Vec<u8>) {
    (Outcome::Refused, serde_json::to_vec(&refusal).unwrap())
}

impl Story {
    /// The saga asks for exactly this, and gets this answer.
    fn on<C: Command>(mut self, expected: C, answer: (Outcome, Vec<u8>)) -> Self {
        let (step, leg) = self.asked.pop_front().expect("the saga asks for something");
        let spec = self.definition.plan().leg(step, leg).unwrap();
        assert_eq!(spec.command, C::TYPE);
        let body = self.definition.command(&self.data, step, leg, self.why.as_ref()).unwrap();
        let sent: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(sent, serde_json::to_value(&expected).unwrap());

        let (outcome, body) = answer;
        if let (Leg::Action, Outcome::Done) = (leg, outcome) {
            let learnt = self.definition.learn(&self.data, step, &body).unwrap();
            self.data = learnt.unwrap_or(self.data);
        }
        if outcome == Outcome::Refused {
            let name = self.definition.plan().step(step).name;
            let text = self.definition.refusal(step, &body).unwrap();
            let text = format!("{name} refused: {text}");
            self.why = Some(Why { cause: "refused".into(), step: Some(name.into()), text });
        }
        self.event(Event::Replied { step, leg, attempt: 1, outcome })
    }

    fn cancelled(mut self, text: &str) -> Self {
        self.asked.clear();
        self.why = Some(Why { cause: "cancelled".into(), step: None, text: text.into() });
        self.event(Event::CancelRequested)
    }

    fn event(mut self, event: Event) -> Self {
        match transition(self.definition.plan(), &self.state, event) {
            Transition::Moved(Moved { state, effects }) => {
                self.state = state;
                self.take(effects);
                self
            }
            Transition::Ignored(why) => panic!("{event:?} is ignored: {why:?}"),
        }
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Invoke { step, leg, .. } => self.asked.push_back((step, leg)),
                Effect::Announce(ending) => self.ending = Some(ending),
            }
        }
    }

    fn completes(self) {
        assert_eq!((self.ending, self.asked.len()), (Some(Ending::Completed), 0));
    }

    fn ends_compensated(self, cause: &str, step: Option<&str>) {
        let Some(Ending::Compensated(why)) = self.ending else { panic!("{:?}", self.ending) };
        let at = why.step().map(|step| self.definition.plan().step(step).name);
        assert_eq!((why.as_str(), at, self.asked.len()), (cause, step, 0));
    }
}

fn open() -> OpenOrder {
    OpenOrder { order: ORDER }
}
fn reserve() -> ReserveStock {
    ReserveStock { order: ORDER, lines: tea() }
}
fn authorise() -> AuthorisePayment {
    let payment_method = "card_ok".into();
    AuthorisePayment { order: ORDER, amount: euros(2580), payment_method }
}
fn authorised() -> (Outcome, Vec<u8>) {
    done::<AuthorisePayment>(PaymentAuthorised { authorisation: "auth_1".into() })
}
fn book() -> BookShipment {
    BookShipment { order: ORDER, ship_to: home(), lines: tea() }
}
fn booked() -> (Outcome, Vec<u8>) {
    done::<BookShipment>(ShipmentBooked { tracking: "track_1".into() })
}
fn release() -> ReleaseStock {
    ReleaseStock { order: ORDER }
}
fn void() -> VoidPayment {
    VoidPayment { order: ORDER }
}
fn cancel(reason: &str, cause: &str) -> CancelOrder {
    CancelOrder { order: ORDER, reason: reason.into(), cause: cause.into() }
}
fn nothing<C: Command<Reply = ()>>() -> (Outcome, Vec<u8>) {
    done::<C>(())
}

#[test]
fn a_good_order_is_confirmed_and_the_customer_hears_of_the_parcel() {
    let tracking = Some("track_1".to_owned());
    given(tea_for_two())
        .on(open(), nothing::<OpenOrder>())
        .on(reserve(), nothing::<ReserveStock>())
        .on(authorise(), authorised())
        .on(book(), booked())
        .on(CapturePayment { order: ORDER }, nothing::<CapturePayment>())
        .on(ConfirmOrder { order: ORDER, tracking: tracking.clone() }, nothing::<ConfirmOrder>())
        .on(
            NotifyCustomer {
                order: ORDER,
                customer_id: "cust_1".into(),
                total: euros(2580),
                tracking,
            },
            nothing::<NotifyCustomer>(),
        )
        .completes();
}

#[test]
fn a_product_that_is_sold_out_closes_the_order_with_the_reason() {
    let sold_out = StockRefusal::OutOfStock { product_id: "prod_001".into(), wanted: 2, free: 0 };
    let reason = "reserve-stock refused: out of stock: 2 of prod_001 wanted, 0 free";
    given(tea_for_two())
        .on(open(), nothing::<OpenOrder>())
        .on(reserve(), refused::<ReserveStock>(sold_out))
        .on(cancel(reason, "reserve-stock"), nothing::<CancelOrder>())
        .ends_compensated("refused", Some("reserve-stock"));
}

#[test]
fn a_declined_card_gives_the_stock_back() {
    let declined = PaymentDeclined { reason: "card-declined".into() };
    let reason = "authorise-payment refused: payment declined: card-declined";
    given(tea_for_two())
        .on(open(), nothing::<OpenOrder>())
        .on(reserve(), nothing::<ReserveStock>())
        .on(authorise(), refused::<AuthorisePayment>(declined))
        .on(release(), nothing::<ReleaseStock>())
        .on(cancel(reason, "authorise-payment"), nothing::<CancelOrder>())
        .ends_compensated("refused", Some("authorise-payment"));
}

#[test]
fn a_country_that_nobody_delivers_to_lets_go_of_money_and_stock() {
    let refusal = Undeliverable { reason: "undeliverable".into() };
    let reason = "book-shipment refused: carrier refused: undeliverable";
    given(tea_for_two())
        .on(open(), nothing::<OpenOrder>())
        .on(reserve(), nothing::<ReserveStock>())
        .on(authorise(), authorised())
        .on(book(), refused::<BookShipment>(refusal))
        .on(void(), nothing::<VoidPayment>())
        .on(release(), nothing::<ReleaseStock>())
        .on(cancel(reason, "book-shipment"), nothing::<CancelOrder>())
        .ends_compensated("refused", Some("book-shipment"));
}

#[test]
fn a_refused_capture_undoes_everything_before_it() {
    let declined = PaymentDeclined { reason: "capture-refused".into() };
    let reason = "capture-payment refused: payment declined: capture-refused";
    given(tea_for_two())
        .on(open(), nothing::<OpenOrder>())
        .on(reserve(), nothing::<ReserveStock>())
        .on(authorise(), authorised())
        .on(book(), booked())
        .on(CapturePayment { order: ORDER }, refused::<CapturePayment>(declined))
        .on(CancelShipment { order: ORDER }, nothing::<CancelShipment>())
        .on(void(), nothing::<VoidPayment>())
        .on(release(), nothing::<ReleaseStock>())
        .on(cancel(reason, "capture-payment"), nothing::<CancelOrder>())
        .ends_compensated("refused", Some("capture-payment"));
}

#[test]
fn a_cancel_undoes_the_step_under_way_too() {
    given(tea_for_two())
        .on(open(), nothing::<OpenOrder>())
        .on(reserve(), nothing::<ReserveStock>())
        .cancelled("cancelled: changed my mind")
        .on(void(), nothing::<VoidPayment>())
        .on(release(), nothing::<ReleaseStock>())
        .on(cancel("cancelled: changed my mind", "cancelled"), nothing::<CancelOrder>())
        .ends_compensated("cancelled", None);
}

#[test]
fn no_command_after_the_pivot_can_be_refused() {
    fn never<C: Command<Refusal = Never>>() {}
    never::<ConfirmOrder>();
    never::<NotifyCustomer>();
}

#[test]
fn the_drawing_is_that_of_the_definition() {
    insta::with_settings!({ snapshot_path => "../diagrams", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("place-order", mermaid(PlaceOrder::definition().plan()));
    });
}
