use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;

/// A request that a participant answers. The body on the wire is the struct itself, as JSON.
pub trait Command: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// `<participant>.<verb>`, the AMQP `type`; the part before the dot names the participant.
    const TYPE: &'static str;
    /// The body of a `done` reply. `()` when there is nothing to say.
    type Reply: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static;
    /// The body of a `refused` reply: the business reason. [`Never`] when it cannot be refused,
    /// as for every compensation and for every step after the pivot.
    type Refusal: Serialize + DeserializeOwned + fmt::Debug + fmt::Display + Send + Sync + 'static;
}

/// `inventory` for `inventory.reserve-stock`: whose queue the command goes to.
pub fn participant_of(command_type: &str) -> &str {
    command_type.split('.').next().unwrap_or(command_type)
}

/// A refusal that cannot exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}
