use crate::{
    Instances, cleanup,
    scratch_vhost::login_as,
    templates::{self, Template, owner_of},
};
use anyhow::Result;
use reqwest::Url;
use sqlx::{Connection, PgPool, migrate::Migrator, postgres::PgPoolOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use uuid::Uuid;

/// A database for one test, dropped with it.
#[derive(Debug)]
pub struct ScratchDb {
    name: String,
    server: Url,
    url: Url,
    owner_url: Url,
    pool: PgPool,
}

impl ScratchDb {
    /// An empty one that belongs to the superuser.
    pub async fn empty() -> Result<Self> {
        let instances = Instances::shared()?;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut admin = templates::connect(&instances.database).await?;
        templates::run(&mut admin, format!("CREATE DATABASE \"{name}\"")).await?;
        admin.close().await?;
        let server = &instances.database;
        Self::new(name, server, server.clone(), server.clone())
    }

    /// The service's database, with its migrations, seen with the service's own role: it reads and
    /// writes rows, and can change no table.
    pub async fn of(service: &str, migrations: &Migrator) -> Result<Self> {
        let instances = Instances::shared()?;
        let template = Template::get(&instances, service, key(migrations), async |owner| {
            let mut connection = templates::connect(owner).await?;
            migrations.run(&mut connection).await?;
            Ok(connection.close().await?)
        })
        .await?;
        Self::copy(&instances, &template).await
    }

    pub(crate) async fn copy(instances: &Instances, template: &Template) -> Result<Self> {
        let name = template.copy(instances).await?;
        let (server, service) = (&instances.database, &template.service);
        let url = login_as(server, service, instances.database_password())?;
        let owner_url = login_as(server, &owner_of(service), instances.database_password())?;
        Self::new(name, server, url, owner_url)
    }

    fn new(name: String, server: &Url, mut url: Url, mut owner_url: Url) -> Result<Self> {
        url.set_path(&name);
        owner_url.set_path(&name);
        let pool = PgPoolOptions::new().max_connections(5).connect_lazy(url.as_str())?;
        Ok(ScratchDb { name, server: server.clone(), url, owner_url, pool })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// With the service's role.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// With the role that migrates.
    pub fn owner_url(&self) -> &str {
        self.owner_url.as_str()
    }

    /// Of at most five connections, with the service's role.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

fn key(migrations: &Migrator) -> u64 {
    let mut hasher = DefaultHasher::new();
    for migration in migrations.iter() {
        migration.checksum.hash(&mut hasher);
    }
    hasher.finish()
}

impl Drop for ScratchDb {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        cleanup::finish(async move { templates::drop_database(&server, &name).await });
    }
}
