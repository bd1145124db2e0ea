//! All the books, opened at one moment each, and read a range of ids at a time.

use super::{
    dossier::{
        Counted, Dossier, Entry, Hold, InboxRow, Journalled, Notification, Order, Payment, SagaRow,
        Shipment,
    },
    error::Error,
    ledger,
    removed::Removed,
    snapshot::{Row, Snapshot},
    sources::Sources,
};
use saga_core::Catalogue;
use sqlx::FromRow;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) type Dossiers = BTreeMap<Uuid, Dossier>;

/// The books, in the order in which they are opened.
pub(crate) struct Books<'a> {
    sources: &'a Sources,
    catalogue: &'a Catalogue,
    since: Option<OffsetDateTime>,
    journal: Snapshot,
    pub order: Option<Snapshot>,
    pub inventory: Option<Snapshot>,
    pub payment: Option<Snapshot>,
    pub shipping: Option<Snapshot>,
    pub notification: Option<Snapshot>,
    pub analytics: Option<Snapshot>,
    /// The journal as it grows.
    pub journal_now: Snapshot,
}

#[derive(FromRow)]
struct Key {
    key: Uuid,
}

#[derive(FromRow)]
struct Waiting {
    saga: Option<String>,
}

/// The last id of a page that begins at `$1`, for each kind of table.
const ENDS: [(&str, &str); 12] = [
    (
        "orchestrator",
        "SELECT id AS key FROM saga WHERE id >= $1 AND id <= $2 ORDER BY id OFFSET 499 LIMIT 1",
    ),
    (
        "order",
        "SELECT id AS key FROM orders WHERE id >= $1 AND id <= $2 ORDER BY id OFFSET 499 LIMIT 1",
    ),
    ("order", INBOX_END),
    (
        "inventory",
        "SELECT order_id AS key FROM hold WHERE order_id >= $1 AND order_id <= $2 ORDER BY order_id OFFSET 1999 LIMIT 1",
    ),
    ("inventory", INBOX_END),
    (
        "payment",
        "SELECT order_id AS key FROM payment WHERE order_id >= $1 AND order_id <= $2 ORDER BY order_id OFFSET 499 LIMIT 1",
    ),
    ("payment", INBOX_END),
    (
        "shipping",
        "SELECT order_id AS key FROM shipment WHERE order_id >= $1 AND order_id <= $2 ORDER BY order_id OFFSET 499 LIMIT 1",
    ),
    ("shipping", INBOX_END),
    (
        "notification",
        "SELECT order_id AS key FROM notification WHERE order_id >= $1 AND order_id <= $2 ORDER BY order_id OFFSET 1999 LIMIT 1",
    ),
    ("notification", INBOX_END),
    (
        "analytics",
        "SELECT order_id AS key FROM orders WHERE order_id >= $1 AND order_id <= $2 ORDER BY order_id OFFSET 499 LIMIT 1",
    ),
];
const INBOX_END: &str = "SELECT saga_id AS key FROM inbox WHERE saga_id >= $1 AND saga_id <= $2 ORDER BY saga_id OFFSET 1999 LIMIT 1";
const INBOX: &str = "SELECT saga_id, step, leg, kind, outcome, reply, at FROM inbox
                     WHERE saga_id BETWEEN $1 AND $2 ORDER BY saga_id, step, leg";
const ORDERS: &str = "SELECT id, status, amount, currency, items, tracking, created_at AS at,
            status = 'cancelled' AND opened_at IS NULL AS withdrawn
     FROM orders WHERE id BETWEEN $1 AND $2";
const HOLDS: &str = "SELECT order_id, product_id, quantity, status, created_at AS at FROM hold
                     WHERE order_id BETWEEN $1 AND $2 ORDER BY order_id, product_id";
const PAYMENTS: &str =
    "SELECT order_id, amount, currency, authorisation_key, authorisation, status, created_at AS at
     FROM payment WHERE order_id BETWEEN $1 AND $2";
const SHIPMENTS: &str =
    "SELECT order_id, shipment_key, tracking, status, created_at AS at FROM shipment
     WHERE order_id BETWEEN $1 AND $2";
const NOTIFICATIONS: &str = "SELECT order_id, channel, status, created_at AS at FROM notification
     WHERE order_id BETWEEN $1 AND $2 ORDER BY order_id, channel";
const COUNTED: &str = "SELECT order_id, status, amount, currency, seen_at AS at FROM orders
                       WHERE order_id BETWEEN $1 AND $2";

impl<'a> Books<'a> {
    pub async fn open(
        sources: &'a Sources,
        catalogue: &'a Catalogue,
        since: Option<OffsetDateTime>,
    ) -> Result<Self, Error> {
        let journal = Snapshot::open(sources, "orchestrator").await?.ok_or(Error::NoJournal)?;
        let (order, inventory, payment, shipping, notification, analytics, journal_now) = tokio::try_join!(
            Snapshot::open(sources, "order"),
            Snapshot::open(sources, "inventory"),
            Snapshot::open(sources, "payment"),
            Snapshot::open(sources, "shipping"),
            Snapshot::open(sources, "notification"),
            Snapshot::open(sources, "analytics"),
            Snapshot::of_now(sources, "orchestrator"),
        )?;
        let journal_now = journal_now.ok_or(Error::NoJournal)?;
        Ok(Books {
            sources,
            catalogue,
            since,
            journal,
            order,
            inventory,
            payment,
            shipping,
            notification,
            analytics,
            journal_now,
        })
    }

    /// Where the page that begins at `from` ends: soon enough that none of the tables has more than
    /// a few thousand rows in it.
    pub async fn end_of_page(&mut self, from: Uuid) -> Result<Uuid, Error> {
        let mut end = Uuid::max();
        for (service, sql) in ENDS {
            let Some(book) = self.book(service) else { continue };
            let found: Vec<Key> = book.range(sql, from, end).await?;
            end = found.first().map_or(end, |found| found.key);
        }
        Ok(end)
    }

    fn book(&mut self, service: &str) -> Option<&mut Snapshot> {
        match service {
            "orchestrator" => Some(&mut self.journal),
            "order" => self.order.as_mut(),
            "inventory" => self.inventory.as_mut(),
            "payment" => self.payment.as_mut(),
            "shipping" => self.shipping.as_mut(),
            "notification" => self.notification.as_mut(),
            "analytics" => self.analytics.as_mut(),
            _ => None,
        }
    }

    /// What is known of the ids from `from` to `to`.
    pub async fn page(&mut self, from: Uuid, to: Uuid) -> Result<Dossiers, Error> {
        let mut page = Dossiers::new();
        self.sagas(&mut page, from, to).await?;
        let (sources, books) = (self.sources, &mut *self);
        let (orders, stock, money, parcels, told, counted, ledger) = tokio::try_join!(
            with_inbox(&mut books.order, ORDERS, from, to),
            with_inbox(&mut books.inventory, HOLDS, from, to),
            with_inbox(&mut books.payment, PAYMENTS, from, to),
            with_inbox(&mut books.shipping, SHIPMENTS, from, to),
            with_inbox(&mut books.notification, NOTIFICATIONS, from, to),
            without_inbox(&mut books.analytics, COUNTED, from, to),
            ledger::read(sources, from, to),
        )?;
        fill(
            &mut page,
            orders.0,
            |row: &Order| (row.id, Some(row.at)),
            |it, row| it.order = Some(row),
        );
        fill(
            &mut page,
            stock.0,
            |row: &Hold| (row.order_id, Some(row.at)),
            |it, row| it.holds.push(row),
        );
        fill(
            &mut page,
            money.0,
            |row: &Payment| (row.order_id, Some(row.at)),
            |it, row| it.payment = Some(row),
        );
        fill(
            &mut page,
            parcels.0,
            |row: &Shipment| (row.order_id, Some(row.at)),
            |it, row| it.shipment = Some(row),
        );
        fill(
            &mut page,
            told.0,
            |row: &Notification| (row.order_id, Some(row.at)),
            |it, row| it.notifications.push(row),
        );
        fill(
            &mut page,
            counted,
            |row: &Counted| (row.order_id, Some(row.at)),
            |it, row| it.counted = Some(row),
        );
        for (participant, rows) in [
            ("order", orders.1),
            ("inventory", stock.1),
            ("payment", money.1),
            ("shipping", parcels.1),
            ("notification", told.1),
        ] {
            let of = |row: &InboxRow| (row.saga_id, Some(row.at));
            fill(&mut page, rows, of, |it, row| it.inbox.push(InboxRow { participant, ..row }));
        }
        let within = |key: &str| ledger::saga_of(key).filter(|id| (from..=to).contains(id));
        for record in ledger.authorisations {
            let Some(id) = within(&record.key) else { continue };
            page.entry(id).or_default().authorisations.push(record);
        }
        for record in ledger.shipments {
            let Some(id) = within(&record.key) else { continue };
            page.entry(id).or_default().parcels.push(record);
        }
        self.without_newcomers(&mut page).await?;
        Ok(page)
    }

    async fn sagas(&mut self, page: &mut Dossiers, from: Uuid, to: Uuid) -> Result<(), Error> {
        let rows: Vec<SagaRow> = self
            .journal
            .range_since(
                "SELECT id, definition, version, state, cause, steps, parked, revision, wake_at,
                        (to_jsonb(saga) ->> 'look_at')::timestamptz AS look_at, deadline_at,
                        created_at, updated_at, ended_at, nullif(to_jsonb(saga) -> 'budgets', 'null') AS budgets,
                        now() AS now
                   FROM saga WHERE id BETWEEN $1 AND $2 AND ($3 IS NULL OR created_at >= $3)
                  ORDER BY id",
                from,
                to,
                self.since,
            )
            .await?;
        let entries: Vec<Entry> = self
            .journal
            .range(
                "SELECT saga_id, seq AS number, event AS word, step AS of_step, leg AS of_leg,
                        outcome AS of_outcome,
                        CASE event WHEN 'replied' THEN body::text END AS said,
                        seq, at, event, step, leg, attempt, outcome, NULL AS body
                   FROM saga_event WHERE saga_id BETWEEN $1 AND $2 ORDER BY saga_id, seq",
                from,
                to,
            )
            .await?;
        let mut histories: BTreeMap<Uuid, Vec<Entry>> = BTreeMap::new();
        for entry in entries {
            histories.entry(entry.saga_id).or_default().push(entry);
        }
        for row in rows {
            let lines = histories.remove(&row.id).unwrap_or_default();
            let id = row.id;
            let saga = Some(Journalled::new(row, lines, self.catalogue));
            page.insert(id, Dossier { saga, ..Dossier::default() });
        }
        // Of a saga that is too old to be looked at, the lines are no orphans.
        if self.since.is_none() {
            for (id, lines) in histories {
                page.entry(id).or_default().orphans = lines.len();
            }
        }
        Ok(())
    }

    /// Leaves out what has no saga only because the saga is younger than our look at the journal,
    /// or older than what is asked for. For the rest, notes whose start has not been sent.
    async fn without_newcomers(&mut self, page: &mut Dossiers) -> Result<(), Error> {
        let too_old =
            |it: &Dossier| self.since.is_some_and(|since| it.latest.is_some_and(|at| at < since));
        page.retain(|_, it| it.saga.is_some() || !too_old(it));
        let strays: Vec<Uuid> =
            page.iter().filter(|(_, it)| it.saga.is_none()).map(|(id, _)| *id).collect();
        if strays.is_empty() {
            return Ok(());
        }
        let known: Vec<Key> = self
            .journal_now
            .among("SELECT id AS key FROM saga WHERE id = ANY($1)", &strays)
            .await?;
        for Key { key } in known {
            page.remove(&key);
        }
        // Read last, so that it covers what was removed while we looked.
        let removed = Removed::read(&mut self.journal_now).await?;
        page.retain(|_, it| !removed.explains(it));
        let Some(order) = &mut self.order else { return Ok(()) };
        let waiting: Vec<Waiting> = order
            .among(
                "SELECT DISTINCT message -> 'properties' ->> 'correlation_id' AS saga FROM outbox
                  WHERE message ->> 'key' = 'orchestrator.starts'
                    AND message -> 'properties' ->> 'correlation_id' = ANY($1::uuid[]::text[])",
                &strays,
            )
            .await?;
        for id in waiting.into_iter().filter_map(|row| row.saga?.parse::<Uuid>().ok()) {
            if let Some(it) = page.get_mut(&id) {
                it.start_waits = true;
            }
        }
        Ok(())
    }
}

fn fill<T>(
    page: &mut Dossiers,
    rows: Vec<T>,
    of: impl Fn(&T) -> (Uuid, Option<OffsetDateTime>),
    put: impl Fn(&mut Dossier, T),
) {
    for row in rows {
        let (id, at) = of(&row);
        let dossier = page.entry(id).or_default();
        dossier.latest = dossier.latest.max(at);
        put(dossier, row);
    }
}

/// The rows of a participant's own table, and of its inbox.
async fn with_inbox<T: Row>(
    book: &mut Option<Snapshot>,
    sql: &'static str,
    from: Uuid,
    to: Uuid,
) -> Result<(Vec<T>, Vec<InboxRow>), Error> {
    let Some(book) = book else { return Ok((Vec::new(), Vec::new())) };
    Ok((book.range(sql, from, to).await?, book.range(INBOX, from, to).await?))
}

async fn without_inbox<T: Row>(
    book: &mut Option<Snapshot>,
    sql: &'static str,
    from: Uuid,
    to: Uuid,
) -> Result<Vec<T>, Error> {
    let Some(book) = book else { return Ok(Vec::new()) };
    book.range(sql, from, to).await
}
