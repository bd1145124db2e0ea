//! A verb for all sagas that a filter means.

use super::{
    Desk,
    filter::{Filter, Found},
    problem,
    schema::{LegWord, ProblemBody},
    verbs::Why,
};
use crate::{
    audit::{self, Action},
    engine::{Occurrence, Verdict},
    operator::{self, Ask, Unacceptable, Wanted, Which},
};
use axum::{Json, extract::State};
use contracts::{Leg, SagaId};
use runtime::http::{Body, PathId, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::types::Json as Column;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// At most so many sagas in one request.
const MOST: u16 = 1_000;
/// So many in one transaction.
const BATCH: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BulkVerb {
    Cancel,
    Resume,
    Retry,
    Skip,
    ForceCompensate,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    /// Which sagas; not empty. Unless it says otherwise, open ones.
    filter: Filter,
    /// For the histories and the audit trail.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    #[schema(min_length = 1, max_length = 100)]
    by: Option<String>,
    /// Only tell what would be accepted.
    #[serde(default)]
    dry_run: bool,
    /// Of retry and skip; when left out, the one that is waited for.
    step: Option<String>,
    /// Of retry and skip; when left out, the one that is waited for.
    leg: Option<LegWord>,
    /// Of skip: the reply to assume.
    value: Option<Value>,
    /// At most so many sagas, the newest; 1000 when not said.
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// What came, or would come, of a verb for many.
#[derive(Debug, Serialize, ToSchema)]
pub struct Bulked {
    matched: usize,
    accepted: usize,
    refused: Vec<Refused>,
    dry_run: bool,
    /// Null of a dry run, which leaves no trace.
    audit_id: Option<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Refused {
    saga_id: Uuid,
    text: String,
}

/// Asks a verb of every saga that the filter means.
#[utoipa::path(post, path = "/api/v1/sagas/bulk/{verb}", operation_id = "operate-many",
    request_body = Bulk, params(("verb" = inline(BulkVerb), Path, description = "What to ask.")),
    responses(
        (status = 200, body = Bulked, description = "What came of it, or would."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such verb."),
    ))]
pub async fn bulk(
    State(desk): State<Desk>,
    PathId(verb): PathId<BulkVerb>,
    Body(bulk): Body<Bulk>,
) -> Result<Json<Bulked>, Problem> {
    // What no request may say comes before what this verb may not.
    let limit = match bulk.limit.unwrap_or(MOST) {
        limit @ 1..=MOST => i64::from(limit),
        _ => return Err(Problem::field("limit", format!("is 1 to {MOST}"))),
    };
    let (reason, by, dry_run) =
        Why::new(bulk.reason.clone(), bulk.by.clone(), bulk.dry_run).checked()?;
    let filter = bulk.filter.clone().checked("filter.")?;
    if filter.is_empty() {
        return Err(Problem::field("filter", "is not empty: it would mean every saga"));
    }
    let wanted = bulk.wanted(verb)?;
    let meant = Filter { open: filter.open.or(Some(true)), ..filter.clone() };
    let (found, _) = meant.page(&desk.engine.pool, None, limit).await.map_err(problem)?;
    let ask = |found: &Found| {
        let ask = Ask::new(SagaId(found.id), wanted.clone(), reason.clone());
        Occurrence::Ask(Ask { by: by.clone(), ..ask })
    };
    let asks: Vec<Occurrence> = found.iter().map(ask).collect();
    let mut verdicts = Vec::with_capacity(asks.len());
    for batch in asks.chunks(BATCH) {
        verdicts.extend(match dry_run {
            true => desk.engine.rehearse(batch).await.map_err(problem)?.verdicts,
            false => desk.advance(batch).await?,
        });
    }
    let refused: Vec<_> = found
        .iter()
        .zip(&verdicts)
        .filter_map(|(found, verdict)| Some(Refused { saga_id: found.id, text: why(verdict)? }))
        .collect();
    let (matched, accepted) = (found.len(), found.len() - refused.len());
    let mut audit_id = None;
    if !dry_run {
        let action = Action {
            audit_id: Uuid::now_v7(),
            at: OffsetDateTime::now_utc(),
            by,
            verb: wanted.as_str().to_owned(),
            reason,
            saga_id: None,
            dead_letter: None,
            filter: serde_json::to_value(&filter).ok().map(Column),
            accepted: accepted > 0,
            text: format!("{matched} matched, {accepted} accepted"),
        };
        let mut connection = desk.engine.pool.acquire().await.map_err(problem)?;
        audit::add(&mut connection, std::slice::from_ref(&action)).await.map_err(problem)?;
        audit_id = Some(action.audit_id);
    }
    Ok(Json(Bulked { matched, accepted, refused, dry_run, audit_id }))
}

impl Bulk {
    fn wanted(&self, verb: BulkVerb) -> Result<Wanted, Problem> {
        let leg = self.leg.map(Leg::from);
        let which = Which { step: self.step.clone(), leg };
        let wanted = match verb {
            BulkVerb::Cancel => Wanted::Cancel,
            BulkVerb::Resume => Wanted::Resume,
            BulkVerb::ForceCompensate => Wanted::ForceCompensate,
            BulkVerb::Retry => Wanted::Retry(which.clone()),
            BulkVerb::Skip => Wanted::Skip(which.clone(), self.value.clone().unwrap_or_default()),
        };
        let stepwise = matches!(verb, BulkVerb::Retry | BulkVerb::Skip);
        if !stepwise && which != Which::default() {
            let field = if which.step.is_some() { "step" } else { "leg" };
            return Err(Problem::field(field, "is of retry and skip"));
        }
        if verb != BulkVerb::Skip && self.value.is_some() {
            return Err(Problem::field("value", "is of skip"));
        }
        Ok(wanted)
    }
}

/// Why it was refused; `None` when it was not.
fn why(verdict: &Verdict) -> Option<String> {
    Some(match verdict {
        Verdict::Moved => return None,
        Verdict::Ignored(ignored) => operator::why(*ignored).to_owned(),
        Verdict::Unacceptable(Unacceptable { field, why }) => format!("{field} {why}"),
        Verdict::UnknownDefinition(why) | Verdict::Misfit(why) | Verdict::Unstorable(why) => {
            why.clone()
        }
        Verdict::Started | Verdict::AlreadyStarted | Verdict::UnknownSaga => {
            "there is no such saga".to_owned()
        }
    })
}
