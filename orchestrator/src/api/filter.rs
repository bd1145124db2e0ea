//! Which sagas are meant: the same names in the query of a list and in the body of a bulk verb.

use crate::stored::Steps;
use runtime::http::Problem;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder, types::Json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// A text is looked for in so many sagas before a page ends.
const SEARCHED: i64 = 10_000;
/// At a time.
const CHUNK: i64 = 2_000;
/// Ten years, in seconds.
const OLDEST: u64 = 315_360_000;
const LONGEST: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = SagaState)]
pub enum StateWord {
    Running,
    Compensating,
    Completed,
    Compensated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Cause)]
pub enum CauseWord {
    Refused,
    Faulted,
    Unanswered,
    Cancelled,
    DeadlinePassed,
    Forced,
}

/// Sagas for which all that is said is true.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StateWord>,
    /// The definition's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// A step that is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<bool>,
    /// Why it goes, or went, back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseWord>,
    /// Whether it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 315_360_000)]
    pub older_than_seconds: Option<u64>,
    /// Part of its id, or of its data (a customer, an order), in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub text: Option<String>,
}

/// A saga's row as lists need it.
#[derive(Debug, FromRow)]
pub struct Found {
    pub id: Uuid,
    pub definition: String,
    pub version: i32,
    pub state: String,
    pub parked: Option<String>,
    pub cause: Option<Json<crate::record::Reason>>,
    pub steps: Json<Steps>,
    pub revision: i64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    hit: bool,
}

impl Found {
    /// Those of these sagas that there are.
    pub async fn all(pool: &PgPool, sagas: &[Uuid]) -> sqlx::Result<Vec<Found>> {
        sqlx::query_as(
            "SELECT id, definition, version, state, parked, cause, steps, revision, created_at,
                    updated_at, ended_at, true AS hit
               FROM saga WHERE id = ANY($1)",
        )
        .bind(sagas)
        .fetch_all(pool)
        .await
    }
}

/// Where a list goes on: the last saga that was looked at.
pub type Place = (OffsetDateTime, Uuid);

impl StateWord {
    pub fn as_str(self) -> &'static str {
        match self {
            StateWord::Running => "running",
            StateWord::Compensating => "compensating",
            StateWord::Completed => "completed",
            StateWord::Compensated => "compensated",
        }
    }

    fn is_open(self) -> bool {
        matches!(self, StateWord::Running | StateWord::Compensating)
    }

    fn has_cause(self) -> bool {
        matches!(self, StateWord::Compensating | StateWord::Compensated)
    }
}

impl CauseWord {
    fn as_str(self) -> &'static str {
        match self {
            CauseWord::Refused => "refused",
            CauseWord::Faulted => "faulted",
            CauseWord::Unanswered => "unanswered",
            CauseWord::Cancelled => "cancelled",
            CauseWord::DeadlinePassed => "deadline-passed",
            CauseWord::Forced => "forced",
        }
    }
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Refuses what no column can hold; `within` is where the filter stands.
    pub fn checked(self, within: &str) -> Result<Self, Problem> {
        let words = [("definition", &self.definition), ("step", &self.step), ("text", &self.text)];
        for (name, word) in words {
            let Some(word) = word else { continue };
            let length = word.chars().count();
            if word.contains('\0') || length == 0 || length > LONGEST {
                let message = format!("has 1 to {LONGEST} characters, none of them NUL");
                return Err(Problem::field(format!("{within}{name}"), message));
            }
        }
        if self.older_than_seconds.is_some_and(|seconds| seconds > OLDEST) {
            let name = format!("{within}older_than_seconds");
            return Err(Problem::field(name, format!("is at most {OLDEST}")));
        }
        Ok(self)
    }

    /// One page of the newest sagas that fit, up to `most` of them, from `after` on, and where the
    /// search for a text broke off, if it did.
    pub async fn page(
        &self,
        pool: &PgPool,
        after: Option<Place>,
        most: i64,
    ) -> sqlx::Result<(Vec<Found>, Option<Place>)> {
        if self.text.is_none() {
            return Ok((self.fetch(pool, after, most).await?, None));
        }
        let (mut found, mut after) = (Vec::new(), after);
        for _ in 0..SEARCHED / CHUNK {
            let looked_at = self.fetch(pool, after, CHUNK).await?;
            let last = looked_at.last().map(|it| (it.created_at, it.id));
            let all = i64::try_from(looked_at.len()).is_ok_and(|rows| rows < CHUNK);
            found.extend(looked_at.into_iter().filter(|it| it.hit));
            let enough = i64::try_from(found.len()).is_ok_and(|hits| hits >= most);
            if all || enough {
                found.truncate(usize::try_from(most).unwrap_or(usize::MAX));
                return Ok((found, None));
            }
            after = last;
        }
        Ok((found, after))
    }

    async fn fetch(
        &self,
        pool: &PgPool,
        after: Option<Place>,
        most: i64,
    ) -> sqlx::Result<Vec<Found>> {
        // Only what is wanted is said, so that the planner sees which partial index serves it.
        let mut sql = QueryBuilder::<Postgres>::new(
            "SELECT id, definition, version, state, parked, cause, steps, revision, created_at,
                    updated_at, ended_at, ",
        );
        match &self.text {
            Some(text) => {
                let text = text.to_lowercase();
                sql.push("position(").push_bind(text.clone());
                sql.push(" in id::text) > 0 OR position(").push_bind(text);
                sql.push(" in lower(data::text)) > 0");
            }
            None => {
                sql.push("true");
            }
        }
        sql.push(" AS hit FROM saga WHERE true");
        if let Some(state) = self.state {
            sql.push(" AND state = ").push_bind(state.as_str());
            sql.push(if state.is_open() { " AND ended_at IS NULL" } else { "" });
            sql.push(if state.has_cause() { " AND cause IS NOT NULL" } else { "" });
        }
        if let Some(definition) = &self.definition {
            sql.push(" AND definition = ").push_bind(definition.clone());
        }
        if let Some(step) = &self.step {
            sql.push(" AND ended_at IS NULL AND steps -> ").push_bind(step.clone());
            sql.push(" ->> 'status' IN ('acting', 'undoing')");
        }
        if let Some(parked) = self.parked {
            sql.push(if parked { " AND parked IS NOT NULL" } else { " AND parked IS NULL" });
        }
        if let Some(cause) = self.cause {
            sql.push(" AND cause IS NOT NULL AND cause ->> 'cause' = ").push_bind(cause.as_str());
        }
        if let Some(open) = self.open {
            sql.push(if open { " AND ended_at IS NULL" } else { " AND ended_at IS NOT NULL" });
        }
        if let Some(seconds) = self.older_than_seconds {
            sql.push(" AND created_at < now() - make_interval(secs => ");
            sql.push_bind(seconds as f64).push(")");
        }
        if let Some((at, id)) = after {
            sql.push(" AND (created_at, id) < (").push_bind(at).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(most);
        sql.build_query_as().fetch_all(pool).await
    }
}
