//! The definitions that this orchestrator can drive.

use super::{
    Desk,
    schema::{Listed, ProblemBody},
};
use axum::{Json, extract::State};
use runtime::{
    http::{PathId, Problem},
    page::Page,
};
use saga_core::Plan;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Definition {
    name: &'static str,
    version: u16,
    /// A saga that has not reached its pivot this long after its start goes back.
    deadline_seconds: Option<f64>,
    steps: Vec<DefinedStep>,
    /// The plan as a Mermaid flow chart.
    diagram: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct DefinedStep {
    name: &'static str,
    kind: &'static str,
    /// Steps with the same number run in parallel.
    stage: usize,
    participant: &'static str,
    command: &'static str,
    compensation: Option<&'static str>,
    timeout_seconds: f64,
    attempts: u8,
}

/// Every definition, in all its versions.
#[utoipa::path(get, path = "/api/v1/definitions", operation_id = "list-definitions", responses(
    (status = 200, body = Listed<Definition>, description = "All of them."),
))]
pub async fn definitions(State(desk): State<Desk>) -> Json<Page<Definition>> {
    let items = desk.engine.catalogue.iter().map(|it| Definition::of(it.plan())).collect();
    Json(Page { items, next: None })
}

/// The newest version of a definition.
#[utoipa::path(get, path = "/api/v1/definitions/{name}", operation_id = "get-definition",
    params(("name" = String, Path, description = "Its name.")),
    responses(
        (status = 200, body = Definition, description = "The definition."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is none of this name."),
    ))]
pub async fn definition(
    State(desk): State<Desk>,
    PathId(name): PathId<String>,
) -> Result<Json<Definition>, Problem> {
    let definition = desk.engine.catalogue.newest(&name);
    let definition =
        definition.ok_or_else(|| Problem::not_found(format!("no definition {name:?}")))?;
    Ok(Json(Definition::of(definition.plan())))
}

impl Definition {
    fn of(plan: &Plan) -> Self {
        let steps = plan.steps().map(|(index, step)| DefinedStep {
            name: step.name,
            kind: step.kind.as_str(),
            stage: plan.stage_of(index),
            participant: step.action.participant(),
            command: step.action.command,
            compensation: step.compensation.map(|leg| leg.command),
            timeout_seconds: step.action.timeout.as_secs_f64(),
            attempts: step.action.attempts,
        });
        Definition {
            name: plan.name(),
            version: plan.version(),
            deadline_seconds: plan.deadline().map(|deadline| deadline.as_secs_f64()),
            steps: steps.collect(),
            diagram: saga_core::mermaid(plan),
        }
    }
}
