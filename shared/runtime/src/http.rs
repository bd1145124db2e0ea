//! The HTTP surface of a process: problem documents for everything that goes wrong (RFC 9457),
//! extractors whose every rejection is one, and a server with limits against slow clients, slow
//! handlers and panics.

mod body;
mod layers;
mod params;
mod problem;
mod server;

pub use body::{Body, MAX_BODY};
pub use layers::{REQUEST_LIMIT, RequestId, with_time_limit};
pub use params::{Params, PathId};
pub use problem::{FieldError, Problem};
pub use server::{Error, Limits, app, listen, serve, serve_on};
