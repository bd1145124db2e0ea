//! One look at everything, or at what was found broken.

use super::{
    Options,
    dossier::{Journalled, Stored},
    error::Error,
    events, kept,
    letters::{self, Depth, Letter},
    page::{Books, Dossiers},
    registry,
    settling::{Candidates, Violations},
    sources::Sources,
    stock,
    vouching::Vouched,
};
use saga_core::Patience;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// Of dead letters, as many are listed.
const MOST_LETTERS: usize = 1_000;

/// What was seen.
#[derive(Default)]
pub(crate) struct Look {
    pub violations: Violations,
    pub sagas: u64,
    pub orders: u64,
    /// Sagas of definitions that this build does not have, by definition.
    pub foreign: BTreeMap<String, u64>,
    pub vouched: Vouched,
    pub letters: Vec<Letter>,
    pub depths: Vec<Depth>,
}

/// Every id, page after page.
pub(crate) async fn everything(sources: &Sources, options: &Options) -> Result<Look, Error> {
    let catalogue =
        sagas::catalogue(Patience { attempts: options.attempts, ..Patience::default() });
    let since = options.since.map(|ago| OffsetDateTime::now_utc() - ago);
    let mut books = Books::open(sources, &catalogue, since).await?;
    let mut look = Look::default();
    let mut from = Uuid::nil();
    loop {
        let to = books.end_of_page(from).await?;
        let page = books.page(from, to).await?;
        look.at(&page, sources);
        match to.as_u128().checked_add(1) {
            Some(next) => from = Uuid::from_u128(next),
            None => break,
        }
    }
    look.at_the_rest(&mut books, sources).await?;
    Ok(look)
}

/// The sagas among the candidates, and all that is not about one saga.
pub(crate) async fn again(
    sources: &Sources,
    options: &Options,
    candidates: &Candidates,
) -> Result<Look, Error> {
    let catalogue =
        sagas::catalogue(Patience { attempts: options.attempts, ..Patience::default() });
    let mut books = Books::open(sources, &catalogue, None).await?;
    let mut look = Look::default();
    for id in candidates.sagas() {
        look.at(&books.page(id, id).await?, sources);
    }
    look.at_the_rest(&mut books, sources).await?;
    Ok(look)
}

impl Look {
    fn at(&mut self, page: &Dossiers, sources: &Sources) {
        for (id, dossier) in page {
            self.sagas += u64::from(dossier.saga.is_some());
            self.orders += u64::from(dossier.order.is_some());
            if let Some(saga) =
                dossier.saga.as_ref().filter(|saga| matches!(saga.stored, Stored::Foreign))
            {
                let name = format!("{} v{}", saga.definition, saga.version);
                *self.foreign.entry(name).or_default() += 1;
            }
            let vouched = dossier.saga.as_ref().map(Journalled::vouched_for).unwrap_or_default();
            if !vouched.is_empty() {
                self.vouched.insert(*id, vouched);
            }
            self.violations.add(registry::of_a_saga(*id, dossier, sources));
        }
    }

    async fn at_the_rest(&mut self, books: &mut Books<'_>, sources: &Sources) -> Result<(), Error> {
        let violations = &mut self.violations;
        if let Some(book) = &mut books.inventory {
            stock::shelves(book, |shelf| violations.add(registry::of_a_shelf(&shelf, sources)))
                .await?;
        }
        if let Some(book) = &mut books.analytics {
            events::counters(book, |it| violations.add(registry::of_a_counter(&it, sources)))
                .await?;
        }
        for (service, book) in [
            ("order", &mut books.order),
            ("inventory", &mut books.inventory),
            ("payment", &mut books.payment),
            ("shipping", &mut books.shipping),
            ("notification", &mut books.notification),
            ("analytics", &mut books.analytics),
        ] {
            let Some(book) = book else { continue };
            events::stuck(book, service, |it| violations.add(registry::of_an_outbox(&it, sources)))
                .await?;
        }
        self.depths = letters::depths(sources).await?;
        self.letters = letters::read(sources, &self.depths, &mut books.journal_now).await?;
        for letter in &self.letters {
            self.violations.add(registry::of_a_letter(letter, sources));
        }
        // After the queues: a letter that is collected meanwhile is seen twice rather than never.
        let (violations, listed) = (&mut self.violations, &mut self.letters);
        kept::each(&mut books.journal_now, |letter| {
            violations.add(registry::of_a_kept_letter(&letter, sources));
            if listed.len() < MOST_LETTERS {
                listed.extend(letter.listed());
            }
        })
        .await?;
        Ok(())
    }
}
