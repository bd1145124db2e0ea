//! The table `dead_letter`: what is put there, and what is known of its sagas.

use super::{
    judgement::{About, Standing},
    letter::Letter,
};
use contracts::Leg;
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Stores letters, each death of a message once: whatever was stored before changes nothing. A
/// later death opens its letter again, unless it is the death of a copy that is older than the
/// letter's replay. Tells how many deaths were new.
pub async fn store(pool: &PgPool, letters: &[Letter]) -> sqlx::Result<u64> {
    let mut stored = 0;
    let mut tx = pool.begin().await?;
    // One statement cannot touch a row twice.
    let mut rounds: Vec<Vec<&Letter>> = Vec::new();
    let mut seen: HashMap<Uuid, usize> = HashMap::new();
    for letter in letters {
        let round = seen.entry(letter.id).or_insert(0);
        if rounds.len() == *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push(letter);
        *round += 1;
    }
    for round in rounds {
        stored += insert(&mut tx, &round).await?;
    }
    tx.commit().await?;
    Ok(stored)
}

/// The number of a replay is the message's own word: it counts only as far as we have replayed.
async fn insert(connection: &mut PgConnection, letters: &[&Letter]) -> sqlx::Result<u64> {
    fn all<'a, T>(letters: &[&'a Letter], of: impl Fn(&'a Letter) -> T) -> Vec<T> {
        letters.iter().map(|letter| of(letter)).collect()
    }
    let done = sqlx::query(
        "INSERT INTO dead_letter (id, participant, died_in, message_kind, message_id, type, saga_id,
                definition, step, leg, attempt, reason, error, tries, fingerprint, unreadable, body,
                headers, properties, first_failure, stamp, died_after, dead_at)
         SELECT id, participant, died_in, message_kind, message_id, type, saga_id,
                definition, step, leg, attempt, reason, error, tries, fingerprint, unreadable, body,
                headers::json, properties::json, first_failure, stamp, died_after,
                coalesce(stamp, clock_timestamp())
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                       $7::uuid[], $8::text[], $9::text[], $10::text[], $11::int[], $12::text[],
                       $13::text[], $14::int[], $15::uuid[], $16::text[], $17::bytea[],
                       $18::text[], $19::text[], $20::timestamptz[], $21::timestamptz[], $22::int[])
             AS new (id, participant, died_in, message_kind, message_id, type, saga_id, definition,
                     step, leg, attempt, reason, error, tries, fingerprint, unreadable, body,
                     headers, properties, first_failure, stamp, died_after)
          ORDER BY id
         ON CONFLICT (id) DO UPDATE SET
                reason = excluded.reason, error = excluded.error, tries = excluded.tries,
                fingerprint = excluded.fingerprint, unreadable = excluded.unreadable,
                headers = excluded.headers, properties = excluded.properties,
                first_failure = coalesce(dead_letter.first_failure, excluded.first_failure),
                stamp = excluded.stamp, died_after = excluded.died_after,
                dead_at = excluded.dead_at, deaths = dead_letter.deaths + 1,
                updated_at = clock_timestamp(),
                state = CASE WHEN excluded.died_after < dead_letter.replays
                             THEN dead_letter.state ELSE 'open' END,
                remark = CASE WHEN excluded.died_after < dead_letter.replays
                              THEN dead_letter.remark
                              WHEN dead_letter.replays > 0 THEN 'it died again after its replay'
                         END,
                sent_at = CASE WHEN excluded.died_after < dead_letter.replays
                               THEN dead_letter.sent_at END,
                claimed_until = CASE WHEN excluded.died_after < dead_letter.replays
                                     THEN dead_letter.claimed_until END,
                answered = CASE WHEN excluded.died_after < dead_letter.replays
                                THEN dead_letter.answered END
          WHERE (least(excluded.died_after, dead_letter.replays),
                 coalesce(excluded.stamp, '-infinity'))
              > (least(dead_letter.died_after, dead_letter.replays),
                 coalesce(dead_letter.stamp, '-infinity'))",
    )
    .bind(all(letters, |letter| letter.id))
    .bind(all(letters, |letter| letter.participant.as_str()))
    .bind(all(letters, |letter| letter.died_in.as_str()))
    .bind(all(letters, |letter| letter.kind.as_str()))
    .bind(all(letters, |letter| letter.message_id.as_deref()))
    .bind(all(letters, |letter| letter.message_type.as_deref()))
    .bind(all(letters, |letter| letter.saga))
    .bind(all(letters, |letter| letter.definition.as_deref()))
    .bind(all(letters, |letter| letter.step.as_deref()))
    .bind(all(letters, |letter| letter.leg.map(Leg::as_str)))
    .bind(all(letters, |letter| letter.attempt))
    .bind(all(letters, |letter| letter.reason.as_str()))
    .bind(all(letters, |letter| letter.error.as_str()))
    .bind(all(letters, |letter| letter.tries))
    .bind(all(letters, |letter| letter.fingerprint))
    .bind(all(letters, |letter| letter.unreadable.as_deref()))
    .bind(all(letters, |letter| letter.body.as_slice()))
    .bind(all(letters, |letter| letter.headers.as_str()))
    .bind(all(letters, |letter| letter.properties.as_str()))
    .bind(all(letters, |letter| letter.first_failure))
    .bind(all(letters, |letter| letter.stamp))
    .bind(all(letters, |letter| letter.died_after))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

macro_rules! about {
    () => {
        "SELECT id, participant, message_kind, type, saga_id, definition, step, leg, unreadable,
                state, remark, replays
           FROM dead_letter WHERE id = ANY($1) ORDER BY id"
    };
}

/// Letters as they are now.
pub async fn read(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<About>> {
    sqlx::query_as(about!()).bind(ids).fetch_all(connection).await
}

/// Locks letters, in the order of their ids.
pub async fn lock(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, About>> {
    let query = sqlx::query_as(concat!(about!(), " FOR UPDATE"));
    let letters: Vec<About> = query.bind(ids).fetch_all(connection).await?;
    Ok(letters.into_iter().map(|letter| (letter.id, letter)).collect())
}

/// The sagas that these letters belong to, as they stand now.
pub async fn sagas<'a>(
    connection: &mut PgConnection,
    letters: impl IntoIterator<Item = &'a About>,
) -> sqlx::Result<BTreeMap<Uuid, Standing>> {
    let mut ids: Vec<Uuid> = letters.into_iter().filter_map(|letter| letter.saga_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let sagas: Vec<Standing> =
        sqlx::query_as("SELECT id, definition, version, state, steps FROM saga WHERE id = ANY($1)")
            .bind(ids)
            .fetch_all(connection)
            .await?;
    Ok(sagas.into_iter().map(|saga| (saga.id, saga)).collect())
}

/// Letters whose replay begins: the claim keeps others from sending them for a while.
pub async fn begin_replays(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<Vec<(Uuid, i32)>> {
    sqlx::query_as(
        "UPDATE dead_letter SET state = 'replaying', replays = replays + 1, remark = NULL,
                sent_at = NULL, answered = NULL, updated_at = clock_timestamp(),
                claimed_until = clock_timestamp() + interval '30 s'
          WHERE id = ANY($1) AND state IN ('open', 'refused') RETURNING id, replays",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
}

/// Letters that are not replayed, with the reason.
pub async fn refuse(
    connection: &mut PgConnection,
    refusals: &[(Uuid, String)],
) -> sqlx::Result<()> {
    let (ids, remarks): (Vec<Uuid>, Vec<&str>) =
        refusals.iter().map(|(id, remark)| (*id, remark.as_str())).unzip();
    sqlx::query(
        "UPDATE dead_letter SET state = 'refused', remark = new.remark,
                updated_at = clock_timestamp()
           FROM unnest($1::uuid[], $2::text[]) AS new (id, remark)
          WHERE dead_letter.id = new.id AND state IN ('open', 'refused')",
    )
    .bind(ids)
    .bind(remarks)
    .execute(connection)
    .await
    .map(drop)
}
