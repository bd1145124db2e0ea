//! The list of sagas, newest first, by what is wanted of them.

use super::{
    Desk,
    filter::{CauseWord, Filter, Found, Place, StateWord},
    problem,
    schema::{Listed, ProblemBody},
};
use crate::{record::Reason, stored::Step};
use axum::extract::State;
use runtime::{
    http::{Params, Problem},
    page::{Cursor, Limit, Page},
};
use saga_core::Catalogue;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    state: Option<StateWord>,
    /// The definition's name.
    definition: Option<String>,
    /// A step that is waited for.
    step: Option<String>,
    parked: Option<bool>,
    /// Why it goes, or went, back.
    cause: Option<CauseWord>,
    /// Whether it has not ended.
    open: Option<bool>,
    #[param(maximum = 315_360_000)]
    older_than_seconds: Option<u64>,
    /// Part of its id, or of its data (a customer, an order), in any case. A page may end before it
    /// is full: then `next` goes on with the search.
    #[param(min_length = 1, max_length = 200)]
    text: Option<String>,
    /// 50 when not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<(i64, Uuid)>>,
}

/// A saga in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SagaItem)]
pub struct Item {
    pub saga_id: Uuid,
    definition: String,
    version: i32,
    #[schema(value_type = StateWord)]
    state: String,
    /// The step that cannot go on alone.
    parked: Option<String>,
    /// The first step that is waited for; null when it has ended.
    step: Option<String>,
    cause: Option<Reason>,
    /// The number of events in its history.
    pub revision: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
}

impl Item {
    pub fn of(found: Found, catalogue: &Catalogue) -> Self {
        let waits = |name: &str| {
            matches!(found.steps.0.get(name), Some(Step::Acting(_) | Step::Undoing(_)))
        };
        let version = u16::try_from(found.version).unwrap_or_default();
        let step = match catalogue.get(&found.definition, version) {
            Some(definition) => definition
                .plan()
                .steps()
                .map(|(_, step)| step.name)
                .find(|name| waits(name))
                .map(str::to_owned),
            // A definition of another build: the order of its steps is not known.
            None => found.steps.0.keys().find(|name| waits(name)).cloned(),
        };
        Item {
            saga_id: found.id,
            definition: found.definition,
            version: found.version,
            state: found.state,
            parked: found.parked,
            step,
            cause: found.cause.map(|cause| cause.0),
            revision: found.revision,
            created_at: found.created_at,
            updated_at: found.updated_at,
            ended_at: found.ended_at,
        }
    }
}

/// Sagas, newest first.
#[utoipa::path(get, path = "/api/v1/sagas", operation_id = "list-sagas", params(Wanted), responses(
    (status = 200, body = Listed<Item>, description = "One page."),
    (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "A filter is not acceptable."),
))]
pub async fn sagas(
    State(desk): State<Desk>,
    Params(wanted): Params<Wanted>,
) -> Result<axum::Json<Page<Item>>, Problem> {
    let Wanted { limit, cursor, .. } = wanted;
    let after = cursor.map(|cursor| place(&cursor)).transpose()?;
    let filter = Filter {
        state: wanted.state,
        definition: wanted.definition,
        step: wanted.step,
        parked: wanted.parked,
        cause: wanted.cause,
        open: wanted.open,
        older_than_seconds: wanted.older_than_seconds,
        text: wanted.text,
    };
    let filter = filter.checked("")?;
    let (found, broken_off) =
        filter.page(&desk.engine.pool, after, limit.rows()).await.map_err(problem)?;
    let items = found.into_iter().map(|found| Item::of(found, &desk.engine.catalogue)).collect();
    let mut page = Page::cut(items, limit, |item: &Item| (micros(item.created_at), item.saga_id));
    if page.next.is_none() {
        page.next = broken_off.map(|(at, id)| Cursor((micros(at), id)).encode());
    }
    Ok(axum::Json(page))
}

pub(super) fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

pub(super) fn place(Cursor((micros, id)): &Cursor<(i64, Uuid)>) -> Result<Place, Problem> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(*micros) * 1_000)
        .ok()
        // Older than any saga, and perhaps than any time that Postgres can hold.
        .filter(|at| at.year() >= 1970)
        .map(|at| (at, *id))
        .ok_or_else(|| Problem::field("cursor", "is not one that this list gave"))
}
