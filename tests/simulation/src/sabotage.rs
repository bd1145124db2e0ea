//! Safety devices switched off, one at a time. A simulation that does not notice proves nothing.

macro_rules! sabotages {
    ($($name:ident = $word:literal, $text:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Sabotage { $($name),* }

        impl Sabotage {
            pub const ALL: &[Sabotage] = &[$(Sabotage::$name),*];

            pub fn word(self) -> &'static str {
                match self { $(Sabotage::$name => $word),* }
            }

            pub fn text(self) -> &'static str {
                match self { $(Sabotage::$name => $text),* }
            }
        }
    };
}

sabotages! {
    NoInbox = "inbox", "a duplicate command is handled again";
    NoBarrier = "barrier", "a compensation leaves no tombstone, and an action heeds none";
    NoSettlement = "settlement", "a call without a result is taken for nothing done";
    AckBeforePublish = "ack-last", "a cause is acknowledged before its effects are confirmed";
    NoConfirm = "confirm", "publishing is taken for delivering";
    LostWakeup = "wakeup", "a wake-up is forgotten when it is taken, not when it is handled";
    PublishBeforeCommit = "commit-first", "commands leave before the state they belong to is stored";
    TimeoutAsRefusal = "timeout", "silence after the last attempt is taken for a refusal";
    CallTimeoutAsRefusal = "call-timeout", "an unanswered call is taken for a refusal";
    NoRowLock = "row-lock", "two orchestrators advance one saga at once";
    NoRowLockInInbox = "inbox-lock", "two workers handle one leg at once";
}

impl std::str::FromStr for Sabotage {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Sabotage::ALL.iter().copied().find(|one| one.word() == word).ok_or_else(|| {
            let words: Vec<_> = Sabotage::ALL.iter().map(|one| one.word()).collect();
            format!("no sabotage {word:?}; there are {}", words.join(", "))
        })
    }
}
