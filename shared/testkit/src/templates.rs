//! A migrated database is made once and copied for every test: copying takes a fraction of the
//! time that migrating does.

use crate::{Instances, PATIENCE, eventually, logins, scratch_vhost::login_as};
use anyhow::{Context, Result};
use reqwest::Url;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

/// Names are made of these parts: what was migrated, by whom, from what text.
pub(crate) struct Template {
    pub(crate) service: String,
    pub(crate) name: String,
}

impl Template {
    /// `key` changes whenever the migrations do. `migrate` gets the owner's URL of an empty
    /// database; it is called once per cluster.
    pub(crate) async fn get(
        instances: &Instances,
        service: &str,
        key: u64,
        migrate: impl AsyncFnOnce(&Url) -> Result<()>,
    ) -> Result<Self> {
        let name = format!("template_{service}_{key:016x}");
        let template = Template { service: service.to_owned(), name };
        let mut admin = connect(&instances.database).await?;
        // Held until the connection closes: other tests that want the same one wait here.
        sqlx::query("SELECT pg_advisory_lock(hashtext($1))")
            .bind(&template.name)
            .execute(&mut admin)
            .await?;
        if !template.exists(&mut admin).await? {
            template.make(instances, &mut admin, migrate).await?;
        }
        admin.close().await?;
        Ok(template)
    }

    /// A copy of its own, owned as in production.
    pub(crate) async fn copy(&self, instances: &Instances) -> Result<String> {
        let name = format!("test_{}_{}", self.service, Uuid::new_v4().simple());
        let mut admin = connect(&instances.database).await?;
        let (template, owner) = (&self.name, owner_of(&self.service));
        run(
            &mut admin,
            format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\" OWNER \"{owner}\""),
        )
        .await?;
        admin.close().await?;
        Ok(name)
    }

    async fn exists(&self, admin: &mut PgConnection) -> Result<bool> {
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&self.name)
            .fetch_one(admin)
            .await?)
    }

    /// Under another name until it is complete, so that no half-migrated one is ever copied.
    async fn make(
        &self,
        instances: &Instances,
        admin: &mut PgConnection,
        migrate: impl AsyncFnOnce(&Url) -> Result<()>,
    ) -> Result<()> {
        let unfinished = format!("unfinished_{}", self.name);
        run(admin, format!("DROP DATABASE IF EXISTS \"{unfinished}\" WITH (FORCE)")).await?;
        logins::on_postgres(instances, &self.service, &unfinished).await?;
        let owner = owner_of(&self.service);
        let mut url = login_as(&instances.database, &owner, instances.database_password())?;
        url.set_path(&unfinished);
        migrate(&url).await.with_context(|| format!("cannot migrate {}", self.service))?;
        // The migrating connection may take a moment to be gone on the server's side.
        eventually(PATIENCE, "the template's last connection to end", async || {
            run(admin, format!("ALTER DATABASE \"{unfinished}\" RENAME TO \"{}\"", self.name)).await
        })
        .await
    }
}

pub(crate) fn owner_of(service: &str) -> String {
    format!("{service}_owner")
}

pub(crate) async fn drop_database(server: &Url, name: &str) -> Result<()> {
    let mut admin = connect(server).await?;
    run(&mut admin, format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await
}

pub(crate) async fn connect(url: &Url) -> Result<PgConnection> {
    let connecting = PgConnection::connect(url.as_str());
    tokio::time::timeout(PATIENCE, connecting)
        .await
        .context("PostgreSQL did not answer")?
        .context("cannot connect to PostgreSQL")
}

/// The statement holds names made here, of letters, digits and underscores.
pub(crate) async fn run(connection: &mut PgConnection, statement: String) -> Result<()> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
