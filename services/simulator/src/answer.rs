use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A response as it is kept for its idempotency key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn created(body: Value) -> Self {
        Answer { status: 201, body }
    }

    pub(crate) fn ok(body: Value) -> Self {
        Answer { status: 200, body }
    }

    /// A no, with the code that a program may look at.
    pub(crate) fn no(status: u16, reason: &str) -> Self {
        Answer { status, body: json!({ "reason": reason }) }
    }

    /// Whether a repeated request must hear the same. "Not yet known" and "cannot now" may change.
    pub(crate) fn is_final(&self) -> bool {
        self.status < 500 && self.status != 404
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.body)).into_response()
    }
}
