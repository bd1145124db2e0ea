//! What operators do with dead letters. Each is a row that changes and an audit row, in one
//! transaction; what is to be sent is sent after it.

use super::{
    Office, judgement,
    listing::{Filter, State, bound, matching},
    shelf,
};
use crate::audit::{self, Action};
use serde_json::json;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// Letters that one replay or discard takes at most; the oldest.
pub const MOST: i64 = 10_000;
/// Letters that are judged in one look.
const LOOK: usize = 500;

/// Who asks, and why.
#[derive(Clone, Debug)]
pub struct Why {
    pub reason: String,
    /// As told by whoever asks.
    pub by: Option<String>,
}

/// What a verb for one letter led to.
#[derive(Debug)]
pub enum Done {
    NoSuchLetter,
    Refused(String),
    /// With the id of the audit row.
    Accepted(Uuid),
    /// It would be, had it not been a question only.
    Would,
}

/// What a verb for many led to.
#[derive(Debug)]
pub struct Begun {
    /// `None` of a dry run, and where nothing is left to follow.
    pub replay: Option<Uuid>,
    pub matched: i64,
    /// Those of them whose replay would be refused now.
    pub stale: i64,
}

impl Office {
    /// Why a replay of this letter would be refused now.
    pub async fn stale(&self, id: Uuid) -> sqlx::Result<Option<String>> {
        let mut connection = self.engine.pool.acquire().await?;
        let letters = shelf::read(&mut connection, &[id]).await?;
        let sagas = shelf::sagas(&mut connection, &letters).await?;
        Ok(letters.first().and_then(|letter| {
            if let Some(why) = settled(&letter.state) {
                return Some(why.to_owned());
            }
            let saga = letter.saga_id.and_then(|id| sagas.get(&id));
            judgement::refusal(&self.engine.catalogue, letter, saga)
        }))
    }

    pub async fn replay_one(&self, id: Uuid, why: &Why, dry_run: bool) -> sqlx::Result<Done> {
        let mut tx = self.engine.pool.begin().await?;
        let letters = shelf::lock(&mut tx, &[id]).await?;
        let Some(letter) = letters.get(&id) else { return Ok(Done::NoSuchLetter) };
        let stale = match settled(&letter.state) {
            Some(why) => Some(why.to_owned()),
            None => {
                let sagas = shelf::sagas(&mut tx, [letter]).await?;
                let saga = letter.saga_id.and_then(|id| sagas.get(&id));
                let refusal = judgement::refusal(&self.engine.catalogue, letter, saga);
                if let (Some(why), false) = (&refusal, dry_run) {
                    shelf::refuse(&mut tx, &[(id, why.clone())]).await?;
                    metrics::counter!("dead_letters_refused_total",
                        "participant" => letter.participant.clone())
                    .increment(1);
                }
                refusal
            }
        };
        let action = action("replay", why, stale.as_deref().unwrap_or("its replay has begun"));
        let action = Action {
            accepted: stale.is_none(),
            dead_letter: Some(id),
            saga_id: letter.saga_id,
            ..action
        };
        if dry_run {
            return Ok(stale.map_or(Done::Would, Done::Refused));
        }
        if stale.is_none() {
            shelf::begin_replays(&mut tx, &[id]).await?;
        }
        audit::add(&mut tx, std::slice::from_ref(&action)).await?;
        tx.commit().await?;
        if let Some(why) = stale {
            return Ok(Done::Refused(why));
        }
        let office = self.clone();
        tokio::spawn(async move {
            if let Err(error) = office.send(&[id]).await {
                tracing::warn!(%error, "a replay is sent later");
            }
            office.has_work();
        });
        Ok(Done::Accepted(action.audit_id))
    }

    pub async fn discard_one(&self, id: Uuid, why: &Why, dry_run: bool) -> sqlx::Result<Done> {
        let mut tx = self.engine.pool.begin().await?;
        let letters = shelf::lock(&mut tx, &[id]).await?;
        let Some(letter) = letters.get(&id) else { return Ok(Done::NoSuchLetter) };
        let refused = settled(&letter.state);
        if dry_run {
            return Ok(refused.map_or(Done::Would, |why| Done::Refused(why.to_owned())));
        }
        if refused.is_none() {
            discard(&mut tx, &[id], &why.reason).await?;
        }
        let action = Action {
            accepted: refused.is_none(),
            dead_letter: Some(id),
            saga_id: letter.saga_id,
            ..action("discard", why, refused.unwrap_or("discarded"))
        };
        audit::add(&mut tx, std::slice::from_ref(&action)).await?;
        tx.commit().await?;
        Ok(match refused {
            Some(why) => Done::Refused(why.to_owned()),
            None => Done::Accepted(action.audit_id),
        })
    }

    /// Begins a replay of the letters that match. Its rungs are climbed by whoever looks next.
    pub async fn replay_many(
        &self,
        filter: &Filter,
        why: &Why,
        dry_run: bool,
    ) -> sqlx::Result<Begun> {
        let mut tx = self.engine.pool.begin().await?;
        let ids = matched(&mut tx, filter).await?;
        let matched = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let stale = self.count_stale(&mut tx, &ids).await?;
        if dry_run {
            return Ok(Begun { replay: None, matched, stale });
        }
        let replay = Uuid::now_v7();
        sqlx::query("INSERT INTO dead_letter_replay (id, matched) VALUES ($1, $2)")
            .bind(replay)
            .bind(i32::try_from(matched).unwrap_or(i32::MAX))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO dead_letter_replay_item (replay_id, position, dead_letter_id)
             SELECT $1, position, id
               FROM unnest($2::uuid[]) WITH ORDINALITY AS matched (id, position)",
        )
        .bind(replay)
        .bind(ids)
        .execute(&mut *tx)
        .await?;
        let text = format!("{matched} matched, {stale} of them stale; replay {replay}");
        let action = Action { filter: Some(Json(json!(filter))), ..action("replay", why, &text) };
        audit::add(&mut tx, &[action]).await?;
        tx.commit().await?;
        self.has_work();
        Ok(Begun { replay: Some(replay), matched, stale })
    }

    pub async fn discard_many(
        &self,
        filter: &Filter,
        why: &Why,
        dry_run: bool,
    ) -> sqlx::Result<Begun> {
        let mut tx = self.engine.pool.begin().await?;
        let mut ids = matched(&mut tx, filter).await?;
        ids.sort_unstable();
        let matched = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        if !dry_run {
            let letters = shelf::lock(&mut tx, &ids).await?;
            ids.retain(|id| letters.get(id).is_some_and(|it| settled(&it.state).is_none()));
            discard(&mut tx, &ids, &why.reason).await?;
            let text = format!("{} of {matched} discarded", ids.len());
            let filter = Some(Json(json!(filter)));
            let action = Action { filter, ..action("discard", why, &text) };
            audit::add(&mut tx, &[action]).await?;
            tx.commit().await?;
        }
        Ok(Begun { replay: None, matched, stale: 0 })
    }

    async fn count_stale(&self, connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<i64> {
        let mut stale = 0;
        for ids in ids.chunks(LOOK) {
            let letters = shelf::read(connection, ids).await?;
            let sagas = shelf::sagas(connection, &letters).await?;
            let refused = letters.iter().filter(|letter| {
                let saga = letter.saga_id.and_then(|id| sagas.get(&id));
                judgement::refusal(&self.engine.catalogue, letter, saga).is_some()
            });
            stale += i64::try_from(refused.count()).unwrap_or_default();
        }
        Ok(stale)
    }
}

/// Why nothing can be done with a letter in this state.
fn settled(state: &str) -> Option<&'static str> {
    match state {
        "replaying" => Some("it is being replayed"),
        "replayed" => Some("it has been replayed"),
        "discarded" => Some("it has been discarded"),
        _ => None,
    }
}

/// The oldest first. Open ones, unless the filter says otherwise.
async fn matched(connection: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Uuid>> {
    let filter = Filter { state: filter.state.or(Some(State::Open)), ..filter.clone() };
    let query = sqlx::query_scalar(concat!(
        "SELECT id FROM dead_letter WHERE ",
        matching!(),
        " ORDER BY dead_at, id LIMIT $7"
    ));
    bound!(query, filter).bind(MOST).fetch_all(connection).await
}

async fn discard(connection: &mut PgConnection, ids: &[Uuid], reason: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE dead_letter SET state = 'discarded', remark = $2, updated_at = clock_timestamp()
          WHERE id = ANY($1) AND state IN ('open', 'refused')",
    )
    .bind(ids)
    .bind(reason)
    .execute(connection)
    .await
    .map(drop)
}

fn action(verb: &str, why: &Why, text: &str) -> Action {
    Action {
        audit_id: Uuid::now_v7(),
        at: time::OffsetDateTime::now_utc(),
        by: why.by.clone(),
        verb: verb.to_owned(),
        reason: why.reason.clone(),
        saga_id: None,
        dead_letter: None,
        filter: None,
        accepted: true,
        text: text.to_owned(),
    }
}
