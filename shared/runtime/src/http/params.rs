//! What a request carries in its address: the query string and the path.

use super::{body::named, problem::Problem};
use axum::{
    extract::{FromRequestParts, Path, Query, rejection::PathRejection},
    http::request::Parts,
};
use serde::de::{DeserializeOwned, value};
use std::error::Error;

/// Extracts the query string; a wrong or missing parameter is a 422 that names it. Parameters
/// that `T` does not know are ignored.
#[derive(Debug, Clone, Copy)]
pub struct Params<T>(pub T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Params(params)),
            Err(rejection) => Err(Problem::unprocessable(vec![match cause(&rejection) {
                Some(error) => named(&error.path().to_string(), &error.inner().to_string()),
                None => named("", &rejection.body_text()),
            }])),
        }
    }
}

type At = serde_path_to_error::Error<value::Error>;

/// The error with its path, somewhere down the chain of sources.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a At> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<At>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Extracts the parameter of a path. One that does not even parse names nothing that could exist,
/// so the answer is 404.
#[derive(Debug, Clone, Copy)]
pub struct PathId<T>(pub T);

impl<T, S> FromRequestParts<S> for PathId<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(PathId(id)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                tracing::debug!(%error, "a path that names nothing");
                Err(Problem::not_found("this address names nothing that could exist"))
            }
            Err(error) => {
                tracing::error!(%error, "a handler asks for a path parameter its route lacks");
                Err(Problem::internal())
            }
        }
    }
}
