//! Replays on their way out, and what becomes of them.

use super::{
    Office,
    judgement::{self, About, Standing},
    shelf,
};
use messaging::{Headers, Incoming, Outgoing, Properties};
use runtime::failpoint;
use sqlx::{FromRow, types::Json};
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;
use uuid::Uuid;

/// Messages in one publish. They may be a megabyte each.
const TOGETHER: usize = 50;
/// For one look.
const MOST: i64 = 1_000;
/// For the participant of a saga whose definition does not say how long it may take.
const GRACE: Duration = Duration::from_secs(30);

/// A letter whose replay is to be sent.
#[derive(FromRow)]
struct Due {
    id: Uuid,
    died_in: String,
    body: Vec<u8>,
    headers: Json<Headers>,
    properties: Json<Properties>,
    #[sqlx(flatten)]
    about: About,
}

/// A letter whose replay is confirmed and not settled.
#[derive(FromRow)]
struct Sent {
    /// Whether its time is over.
    overdue: bool,
    #[sqlx(flatten)]
    about: About,
}

const DUE: &str = "
    SELECT id, died_in, body, headers, properties, participant, message_kind, type, saga_id,
           definition, step, leg, unreadable, state, remark, replays
      FROM dead_letter WHERE id = ANY($1) AND state = 'replaying' AND sent_at IS NULL";

impl Office {
    /// Sends the replays that have begun: the same messages, confirmed before they count as sent.
    /// What is not sent now is sent when its claim has run out, by whoever looks then.
    pub(super) async fn send(&self, ids: &[Uuid]) -> sqlx::Result<()> {
        for ids in ids.chunks(TOGETHER) {
            let due: Vec<Due> = sqlx::query_as(DUE).bind(ids).fetch_all(&self.engine.pool).await?;
            let mut connection = self.engine.pool.acquire().await?;
            let sagas = shelf::sagas(&mut connection, due.iter().map(|due| &due.about)).await?;
            drop(connection);
            let numbers: Vec<(Uuid, i32)> =
                due.iter().map(|due| (due.id, due.about.replays)).collect();
            let messages: Vec<Outgoing> =
                due.into_iter().map(|due| self.message(due, &sagas)).collect();
            failpoint::hit("orchestrator.letters-claimed").await;
            let lost = match self.publisher.send(&messages).await {
                Ok(lost) => lost.into_iter().map(|lost| lost.index).collect::<Vec<_>>(),
                Err(error) => {
                    tracing::warn!(%error, "replays not sent: they are sent later");
                    return Ok(());
                }
            };
            failpoint::hit("orchestrator.letters-replayed").await;
            let (mut sent, mut unheard) = (Vec::new(), Vec::new());
            for (index, number) in numbers.into_iter().enumerate() {
                if lost.contains(&index) { &mut unheard } else { &mut sent }.push(number);
            }
            self.mark_sent(&sent, &unheard).await?;
        }
        Ok(())
    }

    fn message(&self, due: Due, sagas: &BTreeMap<Uuid, Standing>) -> Outgoing {
        let Due {
            about, died_in, body, headers: Json(headers), properties: Json(properties), ..
        } = due;
        let saga = about.saga_id.and_then(|id| sagas.get(&id));
        let deadline = (about.message_kind == "command").then(|| {
            let leg = judgement::command(&self.engine.catalogue, &about, saga);
            OffsetDateTime::now_utc() + leg.map_or(GRACE, |leg| leg.timeout)
        });
        let letter = Incoming { properties, headers, body, ..Incoming::default() };
        let count = u32::try_from(about.replays).unwrap_or_default();
        // In the trace that it died in.
        Outgoing::replay_on_demand(&letter, &died_in, count, deadline).departing(None)
    }

    /// Only what is still the same replay: it may have died again already.
    async fn mark_sent(&self, sent: &[(Uuid, i32)], lost: &[(Uuid, i32)]) -> sqlx::Result<()> {
        let (ids, numbers): (Vec<Uuid>, Vec<i32>) = sent.iter().copied().unzip();
        sqlx::query(
            "UPDATE dead_letter SET sent_at = clock_timestamp(), claimed_until = NULL,
                    updated_at = clock_timestamp()
               FROM unnest($1::uuid[], $2::int[]) AS new (id, number)
              WHERE dead_letter.id = new.id AND replays = number AND state = 'replaying'",
        )
        .bind(ids)
        .bind(numbers)
        .execute(&self.engine.pool)
        .await?;
        if lost.is_empty() {
            return Ok(());
        }
        let (ids, numbers): (Vec<Uuid>, Vec<i32>) = lost.iter().copied().unzip();
        sqlx::query(
            "UPDATE dead_letter SET state = 'open', claimed_until = NULL,
                    remark = 'its replay reached no queue', updated_at = clock_timestamp()
               FROM unnest($1::uuid[], $2::int[]) AS new (id, number)
              WHERE dead_letter.id = new.id AND replays = number AND state = 'replaying'",
        )
        .bind(ids)
        .bind(numbers)
        .execute(&self.engine.pool)
        .await
        .map(drop)
    }

    /// Sends what somebody has begun to replay and not sent in time, as a process that was killed.
    pub(super) async fn send_what_is_left(&self) -> sqlx::Result<()> {
        let left: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE dead_letter SET claimed_until = clock_timestamp() + interval '30 s'
              WHERE id IN (SELECT id FROM dead_letter
                            WHERE state = 'replaying' AND sent_at IS NULL
                              AND claimed_until < clock_timestamp()
                            ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
              RETURNING id",
        )
        .bind(MOST)
        .fetch_all(&self.engine.pool)
        .await?;
        self.send(&left).await
    }

    /// Notes which replays have had their effect. What nobody can see the effect of (an event), or
    /// what nothing was heard of for too long, is done with as well; another death opens it again.
    pub(super) async fn settle(&self) -> sqlx::Result<()> {
        let mut connection = self.engine.pool.acquire().await?;
        let sent: Vec<Sent> = sqlx::query_as(
            "SELECT id, participant, message_kind, type, saga_id, definition, step, leg, unreadable,
                    state, remark, replays,
                    sent_at < clock_timestamp() - make_interval(secs => $2) AS overdue
               FROM dead_letter WHERE state = 'replaying' AND sent_at IS NOT NULL
              ORDER BY updated_at LIMIT $1",
        )
        .bind(MOST)
        .bind(self.patience.as_secs_f64())
        .fetch_all(&mut *connection)
        .await?;
        if sent.is_empty() {
            return Ok(());
        }
        let sagas = shelf::sagas(&mut connection, sent.iter().map(|sent| &sent.about)).await?;
        let (mut ids, mut numbers, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for Sent { overdue, about } in &sent {
            let saga = about.saga_id.and_then(|id| sagas.get(&id));
            let answered = judgement::is_answered(about, saga);
            if answered || *overdue {
                ids.push(about.id);
                numbers.push(about.replays);
                answers.push(answered || about.message_kind == "event");
            }
        }
        let settled: Vec<String> = sqlx::query_scalar(
            "UPDATE dead_letter SET state = 'replayed', answered = new.answered,
                    remark = CASE WHEN NOT new.answered THEN 'its replay is not answered so far' END,
                    updated_at = clock_timestamp()
               FROM unnest($1::uuid[], $2::int[], $3::bool[]) AS new (id, number, answered)
              WHERE dead_letter.id = new.id AND replays = number AND state = 'replaying'
             RETURNING participant",
        )
        .bind(ids)
        .bind(numbers)
        .bind(answers)
        .fetch_all(&mut *connection)
        .await?;
        for participant in settled {
            metrics::counter!("dead_letters_replayed_total", "participant" => participant)
                .increment(1);
        }
        Ok(())
    }
}
