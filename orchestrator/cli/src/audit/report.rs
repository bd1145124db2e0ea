//! What an audit says, for people and for programs.

use super::{
    invariant::Violation,
    letters::{Depth, Letter},
    orders::HAS_ITS_SAGA,
    registry,
    sources::Sources,
    vouching::{self, Vouched},
    walk::Look,
};
use messaging::STARTS_QUEUE;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};
use uuid::Uuid;

/// In the table; JSON has all of it.
const MOST_OF_AN_ERROR: usize = 200;

/// What was seen, and what is broken.
#[derive(Debug, Serialize)]
pub struct Report {
    /// No invariant that was looked at is broken.
    pub clean: bool,
    pub sagas: u64,
    pub orders: u64,
    /// How often what seemed broken was looked at.
    pub looks: u32,
    pub violations: Vec<Violation>,
    /// Violations beyond those listed.
    pub more: usize,
    /// What would be violations, of steps for which an operator has vouched: by a skip, or by a
    /// forced compensation. They are true of the books and accepted by a person, whom the
    /// orchestrator's audit trail names.
    pub vouched_for: Vec<Violation>,
    #[serde(skip)]
    vouched: Vouched,
    /// What could not be looked at, and so is neither whole nor broken.
    pub not_audited: Vec<NotAudited>,
    /// Dead letters, with the sagas that they belong to.
    pub dead_letters: Vec<Letter>,
    /// Queues that are not empty.
    pub queues: Vec<Depth>,
}

#[derive(Debug, Serialize)]
pub struct NotAudited {
    pub what: String,
    pub why: String,
}

impl Report {
    /// All but the violations, which are not settled yet.
    pub(crate) fn of(sources: &Sources, look: &mut Look) -> Self {
        let foreign = look.foreign.iter().map(|(name, count)| NotAudited {
            what: format!("{count} sagas of {name}"),
            why: "this build has no such definition".to_owned(),
        });
        let missing = registry::list().into_iter().filter_map(|invariant| {
            let need = invariant.needs.iter().find(|need| !sources.has(**need))?;
            let why = format!("{need} is not given");
            Some(NotAudited { what: invariant.name.to_owned(), why })
        });
        Report {
            clean: true,
            sagas: look.sagas,
            orders: look.orders,
            looks: 1,
            violations: Vec::new(),
            more: 0,
            vouched_for: Vec::new(),
            vouched: std::mem::take(&mut look.vouched),
            not_audited: foreign.chain(missing).collect(),
            dead_letters: std::mem::take(&mut look.letters),
            queues: std::mem::take(&mut look.depths),
        }
    }

    /// What the queues held at the last look.
    pub(crate) fn update(&mut self, look: &mut Look) {
        self.looks += 1;
        self.dead_letters = std::mem::take(&mut look.letters);
        self.queues = std::mem::take(&mut look.depths);
    }

    pub(crate) fn conclude(&mut self, (violations, more): (Vec<Violation>, usize)) {
        self.violations = violations;
        self.more = more;
        self.excuse_waiting_starts();
        self.excuse_what_is_vouched_for();
        self.clean = self.violations.is_empty() && self.more == 0;
    }

    /// Starts yield to sagas in flight, so under load they wait with the broker for as long as it
    /// takes. Orders without a saga, and no more of them than starts that wait, are neither whole
    /// nor broken; but one whose start is a dead letter is broken.
    fn excuse_waiting_starts(&mut self) {
        let queue = self.queues.iter().find(|depth| depth.queue == STARTS_QUEUE);
        let waiting = queue.map_or(0, |depth| depth.ready + depth.unacknowledged);
        let dead: BTreeSet<Uuid> = self.dead_letters.iter().filter_map(Letter::id).collect();
        let is_waiting = |it: &Violation| {
            it.invariant == HAS_ITS_SAGA && it.saga.is_some_and(|saga| !dead.contains(&saga))
        };
        let orders = self.violations.iter().filter(|it| is_waiting(it)).count();
        if orders == 0 || self.more > 0 || u64::try_from(orders).is_ok_and(|some| some > waiting) {
            return;
        }
        self.violations.retain(|it| !is_waiting(it));
        self.not_audited.push(NotAudited {
            what: format!("{orders} orders without a saga"),
            why: format!("{waiting} starts wait in {STARTS_QUEUE}"),
        });
    }

    fn excuse_what_is_vouched_for(&mut self) {
        let violations = std::mem::take(&mut self.violations);
        (self.vouched_for, self.violations) =
            violations.into_iter().partition(|it| vouching::excuses(&self.vouched, it));
    }

    /// For people; with colours on a terminal.
    pub fn table(&self, colours: bool) -> String {
        let paint = |code: &str, text: &str| match colours {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        };
        let mut text = String::new();
        for (invariant, violations) in self.by_invariant() {
            let _ = writeln!(text, "{}  {}", paint("1;31", "broken"), paint("1", invariant));
            for Violation { saga, about, seen, .. } in violations {
                let saga = saga.map(|saga| format!("{saga}  ")).unwrap_or_default();
                let _ = writeln!(text, "    {saga}{about}: {seen}");
            }
        }
        if self.more > 0 {
            let _ = writeln!(text, "    … and {} violations more", self.more);
        }
        for Violation { invariant, saga, about, seen } in &self.vouched_for {
            let saga = saga.map(|saga| saga.to_string()).unwrap_or_default();
            let word = paint("33", "vouched for");
            let _ = writeln!(text, "{word}  {invariant}: {saga}  {about}: {seen}");
        }
        for (why, what) in self.by_reason() {
            let _ = writeln!(text, "{}  {why}: {}", paint("33", "not audited"), what.join(", "));
        }
        for letter in &self.dead_letters {
            let Letter { queue, kind, saga, reason, error, .. } = letter;
            let [kind, saga, reason, error] =
                [kind, saga, reason, error].map(|word| word.as_deref().unwrap_or("unknown"));
            let error: String = error.chars().take(MOST_OF_AN_ERROR).collect();
            let _ =
                writeln!(text, "dead letter  {queue}: {kind} of saga {saga}, {reason}: {error}");
        }
        for Depth { queue, ready, unacknowledged } in &self.queues {
            let _ =
                writeln!(text, "queue  {queue}: {ready} ready, {unacknowledged} unacknowledged");
        }
        let Report { sagas, orders, looks, .. } = self;
        let verdict = match self.clean {
            true => paint("1;32", "clean"),
            false => paint("1;31", &format!("{} violations", self.violations.len() + self.more)),
        };
        let checked = registry::list().len();
        let skipped = registry::list()
            .iter()
            .filter(|one| self.not_audited.iter().any(|not| not.what == one.name))
            .count();
        let _ = writeln!(
            text,
            "{verdict}: {sagas} sagas, {orders} orders; {checked} invariants, {skipped} of them not audited; {looks} looks"
        );
        text
    }

    fn by_invariant(&self) -> BTreeMap<&str, Vec<&Violation>> {
        let mut groups: BTreeMap<&str, Vec<&Violation>> = BTreeMap::new();
        for violation in &self.violations {
            groups.entry(violation.invariant).or_default().push(violation);
        }
        groups
    }

    fn by_reason(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for NotAudited { what, why } in &self.not_audited {
            groups.entry(why).or_default().push(what);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(starts_waiting: u64, dead: Option<u128>) -> Report {
        let mut look = Look {
            depths: vec![Depth {
                queue: STARTS_QUEUE.to_owned(),
                ready: starts_waiting,
                unacknowledged: 0,
            }],
            letters: dead.map(|saga| Letter::of_saga(Uuid::from_u128(saga))).into_iter().collect(),
            ..Look::default()
        };
        let sources = Sources::none().unwrap();
        let mut report = Report::of(&sources, &mut look);
        let order = |saga| Violation {
            invariant: HAS_ITS_SAGA,
            saga: Some(Uuid::from_u128(saga)),
            about: String::new(),
            seen: String::new(),
        };
        report.conclude((vec![order(1), order(2)], 0));
        report
    }

    #[test]
    fn orders_whose_starts_wait_with_the_broker_are_not_called_lost() {
        let waiting = report(2, None);
        assert!(waiting.clean);
        assert!(waiting.not_audited.iter().any(|not| not.what == "2 orders without a saga"));
        assert_eq!(report(1, None).violations.len(), 2, "one start cannot be two orders'");
        assert_eq!(report(0, None).violations.len(), 2);
        let dead = report(2, Some(1));
        assert_eq!(dead.violations.len(), 1, "a dead start waits for nothing");
    }

    #[test]
    fn what_an_operator_vouched_for_is_listed_and_no_violation() {
        let saga = Uuid::from_u128(1);
        let steps = BTreeSet::from(["capture-payment".to_owned()]);
        let mut look = Look { vouched: Vouched::from([(saga, steps)]), ..Look::default() };
        let mut report = Report::of(&Sources::none().unwrap(), &mut look);
        let of = |invariant, saga| Violation {
            invariant,
            saga: Some(saga),
            about: "payment".to_owned(),
            seen: "authorised".to_owned(),
        };
        let payment = of("payment-agrees-with-the-saga", saga);
        report.conclude((vec![payment.clone()], 0));
        assert!(report.clean);
        assert_eq!(report.vouched_for, [payment]);
        assert!(report.table(false).contains("vouched for  payment-agrees-with-the-saga"));
        let history = of("history-is-legal", saga);
        let other = of("payment-agrees-with-the-saga", Uuid::from_u128(2));
        report.conclude((vec![history, other], 0));
        assert_eq!(report.violations.len(), 2);
    }
}
