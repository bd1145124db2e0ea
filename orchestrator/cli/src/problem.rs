//! What a service says instead of an answer (RFC 9457), as lines for people.

use crate::{answer, terminal::plain};
use serde::Deserialize;
use std::fmt;

/// How much is shown of an answer that is no problem document, such as a proxy's page.
const SHOWN: usize = 200;

#[derive(Debug, Deserialize)]
pub struct Problem {
    #[serde(skip)]
    pub status: u16,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<Field>,
    /// What could be asked instead.
    #[serde(default)]
    legal: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Field {
    field: String,
    message: String,
}

impl Problem {
    pub fn read(status: u16, body: &str) -> Self {
        let read: Option<Problem> = serde_json::from_str(body).ok();
        let mut problem = read.unwrap_or_else(|| Problem {
            title: "HTTP error".to_owned(),
            detail: body.trim().chars().take(SHOWN).collect(),
            status,
            errors: Vec::new(),
            legal: None,
        });
        problem.status = status;
        problem
    }

    /// Whether the service understood and says no, rather than that the question is wrong or that
    /// it cannot answer.
    pub fn is_no(&self) -> bool {
        matches!(self.status, 404 | 409)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => write!(to, "{} ({})", plain(&self.title), self.status)?,
            detail => write!(to, "{}", plain(detail))?,
        }
        for Field { field, message } in &self.errors {
            write!(to, "\n  {}: {}", plain(field), plain(message))?;
        }
        match self.legal.as_ref().map(answer::words).as_deref() {
            None => Ok(()),
            Some("") => write!(to, "\n  nothing can be asked of it now"),
            Some(verbs) => write!(to, "\n  can be asked now: {verbs}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Problem;

    #[test]
    fn a_problem_names_every_wrong_field_and_what_could_be_asked() {
        let body = r#"{"type":"about:blank","title":"Unprocessable Entity","status":422,
            "detail":"2 fields are not acceptable","errors":[
            {"field":"customer_id","message":"must be 1 to 64 characters"},
            {"field":"items[0].quantity","message":"must be 1 to 1000, is 0"}]}"#;
        insta::assert_snapshot!(Problem::read(422, body), @"
        2 fields are not acceptable
          customer_id: must be 1 to 64 characters
          items[0].quantity: must be 1 to 1000, is 0
        ");
        let body = r#"{"detail":"nothing of the saga is parked","legal":["cancel","retry"]}"#;
        insta::assert_snapshot!(Problem::read(409, body), @"
        nothing of the saga is parked
          can be asked now: cancel, retry
        ");
        let ended = Problem::read(409, r#"{"detail":"the saga has ended","legal":[]}"#);
        assert!(ended.to_string().ends_with("nothing can be asked of it now"));
    }

    #[test]
    fn a_page_of_somebody_else_is_shown_as_it_is() {
        let problem = Problem::read(502, "<html>bad\x1b[2Jgateway</html>\n");
        assert_eq!(problem.to_string(), "<html>bad [2Jgateway</html>");
        assert_eq!(Problem::read(504, "").to_string(), "HTTP error (504)");
    }
}
