//! Problem documents (RFC 9457).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One wrong input: which one and why. `field` is a path such as `items[0].quantity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// An answer that says what was wrong, as `application/problem+json`.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    /// Boxed: a `Result` with a problem in it stays small.
    document: Box<Document>,
}

#[derive(Debug, Clone, Serialize)]
struct Document {
    r#type: &'static str,
    title: String,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(flatten)]
    more: Map<String, Value>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem titled by its status.
    pub fn new(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem").to_owned();
        let document = Document {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail: None,
            errors: Vec::new(),
            more: Map::new(),
            retry_after_s: None,
        };
        Self { status, document: Box::new(document) }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST).detail(detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND).detail(detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT).detail(detail)
    }

    /// Understood, but not acceptable: one entry for each field that is wrong.
    pub fn unprocessable(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY);
        problem.document.detail = Some(match errors.as_slice() {
            [only] if only.field.is_empty() => only.message.clone(),
            [only] => format!("{}: {}", only.field, only.message),
            several => format!("{} fields are not acceptable", several.len()),
        });
        problem.document.errors = errors;
        problem
    }

    /// [`unprocessable`](Self::unprocessable) with one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::unprocessable(vec![FieldError::new(field, message)])
    }

    /// Not now; worth another try after so many seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE).detail(detail).retry_after(retry_after_s)
    }

    /// Our fault. The cause belongs into the log, never into the answer.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR)
            .detail("something went wrong on our side; the log has the cause under the request id")
    }

    /// Our fault, with its cause, which is logged here.
    pub fn fault(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::internal()
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.document.detail = Some(detail.into());
        self
    }

    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.document.title = title.into();
        self
    }

    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.document.retry_after_s = Some(seconds);
        self
    }

    /// An extra member of the document; a name the document already has is left alone.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if !["type", "title", "status", "detail", "errors"].contains(&name) {
            self.document.more.insert(name.to_owned(), value.into());
        }
        self
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn errors(&self) -> &[FieldError] {
        &self.document.errors
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry_after = self.document.retry_after_s;
        let mut response = (self.status, Json(self.document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
