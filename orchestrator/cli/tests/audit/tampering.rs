//! Copies of a service's database, to be tampered with.

use crate::world::World;
use anyhow::{Context, Result};
use reqwest::Url;
use runtime::config::Redacted;
use sagactl::audit::Sources;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::{PATIENCE, eventually};
use uuid::Uuid;

/// Lets anything be written.
const LOOSEN: &str = "SET session_replication_role = replica;
    DO $$ DECLARE it record; BEGIN
        FOR it IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint
                   WHERE contype = 'c' AND connamespace = 'public'::regnamespace
        LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', it.owner, it.conname); END LOOP;
    END $$";

/// The world's books, with one database replaced by a copy that was changed by hand.
pub struct Tampered {
    sources: Sources,
    name: String,
    /// Of the copy, as the superuser.
    pub url: Url,
    admin: Url,
}

impl World {
    /// With a copy of the service's database on which `sql` was run by the superuser, past all
    /// triggers, references and checks.
    pub async fn tampered(&self, service: &'static str, sql: &str) -> Result<Tampered> {
        let original = self.stack.database(service)?.name();
        let name = format!("test_tampered_{}", Uuid::new_v4().simple());
        let admin = self.superuser("postgres");
        // Nobody may be connected to what is copied, and a last look takes a moment to be over.
        eventually(PATIENCE, "a copy of the database", async || {
            run(&admin, &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{original}\"")).await
        })
        .await?;
        let url = self.superuser(&name);
        let sql = format!("{LOOSEN}; {sql}");
        run(&url, &sql).await.with_context(|| sql.clone())?;
        let sources = self.sources()?.with_database(service, Redacted::new(url.as_str()));
        Ok(Tampered { sources, name, url, admin })
    }
}

impl Tampered {
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    pub async fn remove(self) -> Result<()> {
        run(&self.admin, &format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name)).await
    }
}

/// Statements of this test's own making.
async fn run(url: &Url, sql: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url.as_str()).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
