//! What the document says of types that are not the orchestrator's own.

use serde::Serialize;
use utoipa::ToSchema;

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `about:blank`: the status says it all.
    r#type: String,
    title: String,
    status: u16,
    /// For people.
    #[schema(nullable = false)]
    detail: Option<String>,
    /// Every field that is wrong.
    #[schema(nullable = false)]
    errors: Option<Vec<WrongField>>,
    /// With 409 of a verb: the verbs that are legal now.
    #[schema(nullable = false)]
    legal: Option<Vec<String>>,
}

/// One wrong input.
#[derive(Debug, Serialize, ToSchema)]
pub struct WrongField {
    /// A path such as `filter.step`.
    field: String,
    message: String,
}

/// The two legs of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Leg)]
pub enum LegWord {
    Action,
    Compensation,
}

impl From<LegWord> for contracts::Leg {
    fn from(word: LegWord) -> Self {
        match word {
            LegWord::Action => contracts::Leg::Action,
            LegWord::Compensation => contracts::Leg::Compensation,
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub struct Listed<T: ToSchema> {
    items: Vec<T>,
    /// The `cursor` of the page after this one.
    next: Option<String>,
}
