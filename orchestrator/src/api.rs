//! REST: what sagas do and why, and what operators can ask of them. Every route is declared with
//! its description; the document at `/docs` is made of the same declarations.

mod audit;
mod bulk;
mod counts;
mod dead_letters;
mod definitions;
pub mod document;
mod events;
mod explain;
mod filter;
mod list;
pub mod participants;
pub(crate) mod schema;
mod verbs;
mod view;

use crate::{dead_letters::Office, engine::Engine, sending::Sender};
use axum::Router;
use participants::Participants;
use runtime::http::Problem;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What every route works with.
#[derive(Clone)]
pub struct Desk {
    pub engine: Engine,
    pub sender: Sender,
    counts: counts::Recent,
    listeners: events::Listeners,
    participants: Participants,
}

impl Desk {
    pub fn new(engine: Engine, sender: Sender, participants: Participants) -> Self {
        Desk {
            engine,
            sender,
            counts: counts::Recent::default(),
            listeners: events::Listeners::default(),
            participants,
        }
    }
}

/// Every route, and the document of them.
pub fn router(desk: Desk, office: Office) -> Router {
    let (sagas, _) = routes().split_for_parts();
    let (letters, _) = dead_letters::routes().split_for_parts();
    let sagas = sagas.merge(document::routes(&document())).with_state(desk);
    sagas.merge(letters.with_state(office))
}

/// The document that `/docs` shows.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = routes().into_openapi();
    document.merge(dead_letters::routes().into_openapi());
    document::completed(document)
}

fn routes() -> OpenApiRouter<Desk> {
    OpenApiRouter::with_openapi(document::Document::openapi())
        .routes(routes!(list::sagas, verbs::start))
        .routes(routes!(counts::counts))
        .routes(routes!(bulk::bulk))
        .routes(routes!(view::saga))
        .routes(routes!(explain::explain))
        .routes(routes!(events::one))
        .routes(routes!(events::all))
        .routes(routes!(verbs::cancel))
        .routes(routes!(verbs::resume))
        .routes(routes!(verbs::retry))
        .routes(routes!(verbs::skip))
        .routes(routes!(verbs::force_compensate))
        .routes(routes!(audit::audit))
        .routes(routes!(definitions::definitions))
        .routes(routes!(definitions::definition))
        .routes(routes!(participants::participants))
}

fn problem(error: sqlx::Error) -> Problem {
    store::problem(error)
}
