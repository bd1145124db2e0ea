//! Safeties that can be switched off one at a time, so that tests can prove that they would notice.
//! `SABOTAGE=inbox` names one. In a build without debug assertions none can be.

/// What is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// A duplicate command is answered from the inbox.
    Inbox,
    /// An action that comes after its compensation does nothing.
    Barrier,
    /// A message is acknowledged only after everything that follows from it.
    AckLast,
    /// A message counts as sent only when the broker has confirmed it.
    Confirm,
    /// A saga that nobody answers is woken.
    Wakeup,
    /// One transaction at a time decides on a saga.
    RowLock,
}

impl Safety {
    pub const ALL: [Safety; 6] = [
        Safety::Inbox,
        Safety::Barrier,
        Safety::AckLast,
        Safety::Confirm,
        Safety::Wakeup,
        Safety::RowLock,
    ];

    /// As in `SABOTAGE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Safety::Inbox => "inbox",
            Safety::Barrier => "barrier",
            Safety::AckLast => "ack-last",
            Safety::Confirm => "confirm",
            Safety::Wakeup => "wakeup",
            Safety::RowLock => "row-lock",
        }
    }

    #[cfg(debug_assertions)]
    pub fn is_off(self) -> bool {
        use std::sync::OnceLock;
        static OFF: OnceLock<Option<String>> = OnceLock::new();
        let off = OFF.get_or_init(|| {
            let off = std::env::var("SABOTAGE").ok().filter(|name| !name.is_empty());
            if let Some(safety) = &off {
                tracing::error!(safety, "a safety is switched off");
            }
            off
        });
        off.as_deref() == Some(self.as_str())
    }

    #[cfg(not(debug_assertions))]
    pub const fn is_off(self) -> bool {
        false
    }
}
