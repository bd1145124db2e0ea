//! Everything that can go wrong, how often it does in a world, and how often it really did.

use crate::random::Random;

macro_rules! faults {
    ($($name:ident = $text:literal, $most:literal;)*) => {
        /// What goes wrong, or is met because something did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($name),* }

        impl Fault {
            pub const ALL: &[Fault] = &[$(Fault::$name),*];

            pub fn text(self) -> &'static str {
                match self { $(Fault::$name => $text),* }
            }

            /// The most often that it strikes, in ten thousand chances. Zero for what
            /// follows from other things.
            fn most(self) -> u32 {
                match self { $(Fault::$name => $most),* }
            }
        }
    };
}

faults! {
    // The broker and the way to it.
    PublishLost = "message lost on its way to the broker", 600;
    ConfirmLost = "confirm lost: the message is there, the sender does not know", 600;
    Duplicated = "message doubled", 800;
    Overtaken = "message overtaken in its queue", 3_000;
    Delayed = "message late by seconds", 600;
    BrokerCrash = "broker crashed", 800;
    UnconfirmedLost = "unconfirmed message lost with the broker", 0;
    Redelivered = "message delivered again", 0;
    ConnectionCut = "connection cut while its holder works on", 1500;
    // Orchestrators.
    CrashBeforeCommit = "orchestrator crashed before commit", 400;
    CrashAfterCommit = "orchestrator crashed after commit, before publish", 300;
    CrashAfterConfirm = "orchestrator crashed after confirm, before ack", 300;
    CommitFailed = "journal transaction failed", 400;
    CommitInDoubt = "journal transaction committed, its client was told otherwise", 300;
    JournalDown = "journal down for seconds", 600;
    RowContended = "row lock waited for", 0;
    // Workers.
    WorkerCrashBeforeCommit = "worker crashed before commit", 400;
    WorkerCrashAfterCommit = "worker crashed after commit, before publish", 300;
    WorkerCrashAfterPublish = "worker crashed after publish, before ack", 300;
    WorkerCrashAfterCall = "worker crashed between call and record", 300;
    WorkerCommitFailed = "participant's transaction failed", 300;
    WorkerCommitInDoubt = "participant's transaction committed, its client was told otherwise", 300;
    DatabaseDown = "participant's database down for seconds", 1_200;
    FaultTransient = "handler faulted for now", 1_200;
    FaultPermanent = "handler faulted for good", 200;
    Poison = "command that cannot be read", 60;
    // The outside.
    CallLost = "call to the outside never arrived", 600;
    CallAnswerLost = "call took effect, its answer was lost", 600;
    CallLate = "call arrived after its sender had stopped waiting", 500;
    CallRejected = "outside answered that it could not", 1_000;
    OutsideDown = "outside down", 800;
    // Processes.
    Killed = "process killed", 1500;
    Stalled = "process stalled and went on later", 1500;
    ClockJump = "clock of a process jumped", 1000;
    // What people do.
    Cancelled = "cancel honoured", 0;
    CancelRefused = "cancel refused past the pivot", 0;
    CancelOverdue = "cancel of a saga that ended or goes back already", 0;
    Resumed = "parked saga resumed", 0;
    // What follows from all that.
    DeadlinePassed = "saga's deadline passed", 0;
    Unanswered = "step given up unanswered", 0;
    Faulted = "step given up faulted", 0;
    Refused = "step refused", 0;
    Parked = "saga parked", 0;
    LateAnswer = "answer to an attempt that was no longer waited for", 0;
    StaleAnswer = "answer that changed nothing", 0;
    StartedTwice = "saga started twice", 0;
    Retried = "command went through a retry queue", 0;
    DeadLettered = "dead letter", 0;
    Replayed = "command answered from the inbox", 0;
    Tombstone = "compensation came before its action", 0;
    TooLate = "action refused by its tombstone", 0;
    ResumedCall = "call made again after a crash", 0;
    Settled = "call without a result settled", 0;
    VoidOfNeverSeen = "outside undid what it had never seen", 0;
}

/// How often each fault strikes in one world. Each world has some of them, at a rate of its own:
/// many faults at once hide what a few would show.
#[derive(Clone, Debug)]
pub struct Rates(Vec<u32>);

impl Rates {
    pub fn draw(random: &mut Random) -> Self {
        let quiet = random.chance(500);
        let rate = |fault: &Fault| match quiet || random.chance(4_000) {
            true => 0,
            false => random.between(0, u64::from(fault.most()) + 1) as u32,
        };
        Rates(Fault::ALL.iter().map(rate).collect())
    }

    pub fn of(&self, fault: Fault) -> u32 {
        self.0[fault as usize]
    }
}

/// How often each of them really happened.
#[derive(Clone, Debug)]
pub struct Tally(Vec<u64>);

impl Default for Tally {
    fn default() -> Self {
        Tally(vec![0; Fault::ALL.len()])
    }
}

impl Tally {
    pub fn count(&mut self, fault: Fault) {
        self.add(fault, 1);
    }

    pub fn add(&mut self, fault: Fault, times: u64) {
        self.0[fault as usize] += times;
    }

    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    pub fn merge(&mut self, other: &Tally) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// What never happened: nothing is known about it.
    pub fn never(&self) -> Vec<Fault> {
        Fault::ALL.iter().copied().filter(|fault| self.of(*fault) == 0).collect()
    }
}
