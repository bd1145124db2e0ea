//! A replay of many: 1, 2, 5, 10, 20 and so on, each rung only once the one before has had its
//! effect, and none after a letter that died again. All of it is in the database, so that any
//! orchestrator may go on with it at any time.

use super::{
    Office, judgement,
    shelf::{self, begin_replays},
};
use runtime::failpoint;
use sqlx::{Acquire as _, FromRow};
use std::collections::HashMap;
use uuid::Uuid;

/// The largest rung.
const TOP: usize = 500;
/// Letters that are looked at in one transaction.
const LOOK: i64 = 200;

/// Letters of the rung of this number, from 0.
fn size(rung: i32) -> usize {
    let rung = u32::try_from(rung).unwrap_or_default();
    let power = 10_usize.saturating_pow(rung / 3);
    let steps = [1, 2, 5];
    steps[(rung % 3) as usize].min(TOP).saturating_mul(power).min(TOP)
}

#[derive(FromRow)]
struct Standing {
    waiting: i64,
    sent: i64,
    failed: i64,
    unheard: i64,
}

impl Office {
    /// Goes on with every replay that nobody else is busy with.
    pub(super) async fn climb(&self) -> sqlx::Result<()> {
        let mine: Vec<(Uuid, i32)> = sqlx::query_as(
            "UPDATE dead_letter_replay SET claimed_by = $1,
                    claimed_until = clock_timestamp() + interval '15 s'
              WHERE id IN (SELECT id FROM dead_letter_replay
                            WHERE state = 'running' AND (claimed_by = $1
                                  OR claimed_until IS NULL OR claimed_until < clock_timestamp())
                            ORDER BY created_at LIMIT 10 FOR UPDATE SKIP LOCKED)
              RETURNING id, rung",
        )
        .bind(self.me)
        .fetch_all(&self.engine.pool)
        .await?;
        for (replay, rung) in mine {
            self.step(replay, rung).await?;
        }
        Ok(())
    }

    async fn step(&self, replay: Uuid, rung: i32) -> sqlx::Result<()> {
        self.take_in(replay).await?;
        let Standing { waiting, sent, failed, unheard } = self.standing(replay).await?;
        if failed > 0 {
            let why = format!("{failed} died again, on rung {rung}");
            return self.end(replay, "stopped", Some(&why)).await;
        }
        if unheard > 0 {
            let limit = self.patience;
            let why = format!("{unheard} were not answered within {limit:?}, on rung {rung}");
            return self.end(replay, "stopped", Some(&why)).await;
        }
        if sent > 0 {
            return Ok(());
        }
        if waiting == 0 {
            return self.end(replay, "done", None).await;
        }
        let begun = self.begin(replay, rung).await?;
        failpoint::hit("orchestrator.rung-begun").await;
        self.send(&begun).await
    }

    /// What has become of the letters that were sent.
    async fn take_in(&self, replay: Uuid) -> sqlx::Result<()> {
        sqlx::query(
            "WITH news AS (
                 SELECT position, CASE
                        WHEN letter.state = 'discarded' THEN 'refused'
                        WHEN letter.replays > number OR letter.state IN ('open', 'refused')
                             THEN 'failed'
                        WHEN letter.state = 'replayed' THEN 'replayed'
                        ELSE 'sent' END AS outcome
                   FROM dead_letter_replay_item AS item
                   JOIN dead_letter AS letter ON letter.id = dead_letter_id
                  WHERE replay_id = $1 AND outcome IN ('sent', 'replayed'))
             UPDATE dead_letter_replay_item AS item SET outcome = news.outcome
               FROM news
              WHERE replay_id = $1 AND item.position = news.position
                AND item.outcome <> news.outcome",
        )
        .bind(replay)
        .execute(&self.engine.pool)
        .await
        .map(drop)
    }

    async fn standing(&self, replay: Uuid) -> sqlx::Result<Standing> {
        sqlx::query_as(
            "SELECT count(*) FILTER (WHERE outcome = 'waiting') AS waiting,
                    count(*) FILTER (WHERE outcome = 'sent') AS sent,
                    count(*) FILTER (WHERE outcome = 'failed') AS failed,
                    count(*) FILTER (WHERE outcome = 'replayed' AND NOT answered) AS unheard
               FROM dead_letter_replay_item
               JOIN dead_letter ON dead_letter.id = dead_letter_id
              WHERE replay_id = $1",
        )
        .bind(replay)
        .fetch_one(&self.engine.pool)
        .await
    }

    /// Begins the next rung: as many letters as it takes that are worth it, the oldest first; those
    /// on the way that are not are refused. Begun is not sent.
    async fn begin(&self, replay: Uuid, rung: i32) -> sqlx::Result<Vec<Uuid>> {
        let wanted = size(rung);
        let mut begun = Vec::new();
        loop {
            let (looked_at, more) = self.judge(replay, wanted - begun.len()).await?;
            begun.extend(more);
            if begun.len() == wanted || looked_at == 0 {
                break;
            }
        }
        sqlx::query("UPDATE dead_letter_replay SET rung = $2 WHERE id = $1")
            .bind(replay)
            .bind(rung + 1)
            .execute(&self.engine.pool)
            .await?;
        Ok(begun)
    }

    /// Judges letters that wait until `wanted` of them are begun.
    async fn judge(&self, replay: Uuid, wanted: usize) -> sqlx::Result<(usize, Vec<Uuid>)> {
        let mut connection = self.engine.pool.acquire().await?;
        let mut tx = connection.begin().await?;
        // Nobody else takes the same ones, should two be busy with one replay.
        let waiting: Vec<(i32, Uuid)> = sqlx::query_as(
            "SELECT position, dead_letter_id FROM dead_letter_replay_item
              WHERE replay_id = $1 AND outcome = 'waiting'
              ORDER BY position LIMIT $2 FOR UPDATE",
        )
        .bind(replay)
        .bind(LOOK)
        .fetch_all(&mut *tx)
        .await?;
        let ids: Vec<Uuid> = waiting.iter().map(|(_, id)| *id).collect();
        let letters = shelf::lock(&mut tx, &ids).await?;
        let sagas = shelf::sagas(&mut tx, letters.values()).await?;
        let (mut begin, mut refuse, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        for (position, id) in waiting {
            let Some(letter) = letters.get(&id) else { continue };
            if begin.len() == wanted {
                break;
            }
            // Somebody else has seen to it since.
            if !matches!(letter.state.as_str(), "open" | "refused") {
                outcomes.push((position, "refused"));
                continue;
            }
            let saga = letter.saga_id.and_then(|id| sagas.get(&id));
            match judgement::refusal(&self.engine.catalogue, letter, saga) {
                Some(why) => {
                    refuse.push((id, why));
                    outcomes.push((position, "refused"));
                    metrics::counter!("dead_letters_refused_total",
                        "participant" => letter.participant.clone())
                    .increment(1);
                }
                None => {
                    begin.push(id);
                    outcomes.push((position, "sent"));
                }
            }
        }
        shelf::refuse(&mut tx, &refuse).await?;
        let numbers: HashMap<Uuid, i32> =
            begin_replays(&mut tx, &begin).await?.into_iter().collect();
        let (positions, words): (Vec<i32>, Vec<&str>) = outcomes.iter().copied().unzip();
        let looked_at = positions.len();
        let (ids, numbers): (Vec<Uuid>, Vec<i32>) = numbers.into_iter().unzip();
        sqlx::query(
            "UPDATE dead_letter_replay_item AS item SET outcome = new.outcome, number = of.number
               FROM unnest($2::int[], $3::text[]) AS new (position, outcome),
                    dead_letter_replay_item AS self
               LEFT JOIN unnest($4::uuid[], $5::int[]) AS of (id, number)
                 ON of.id = self.dead_letter_id
              WHERE item.replay_id = $1 AND item.position = new.position
                AND self.replay_id = $1 AND self.position = item.position",
        )
        .bind(replay)
        .bind(positions)
        .bind(words)
        .bind(ids)
        .bind(numbers)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok((looked_at, begin))
    }

    async fn end(&self, replay: Uuid, state: &str, why: Option<&str>) -> sqlx::Result<()> {
        tracing::info!(%replay, state, why, "replay of dead letters ended");
        sqlx::query(
            "UPDATE dead_letter_replay SET state = $2, text = $3, claimed_until = NULL,
                    ended_at = clock_timestamp()
              WHERE id = $1 AND state = 'running'",
        )
        .bind(replay)
        .bind(state)
        .bind(why)
        .execute(&self.engine.pool)
        .await
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rung_is_about_twice_the_one_before_and_none_is_too_large() {
        let sizes: Vec<_> = (0..12).map(size).collect();
        assert_eq!(sizes, [1, 2, 5, 10, 20, 50, 100, 200, 500, 500, 500, 500]);
        assert_eq!(size(i32::MAX), TOP);
    }
}
