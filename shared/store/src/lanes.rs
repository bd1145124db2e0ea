//! Connections that serve one transaction after the other. A pool asks a connection that comes back
//! whether it is well; for transactions of a few statements these round trips are a third of all.

use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// One that has not been used for longer goes to the pool, which tries it before it is used again.
const FRESH: Duration = Duration::from_secs(1);
/// One that has been here for longer goes to the pool, whose limits on age it has not seen since.
const STAY: Duration = Duration::from_secs(60);

/// All connections of a pool but one may stay here between two transactions. Clones share them.
#[derive(Clone)]
pub struct Lanes {
    pool: PgPool,
    free: Arc<Mutex<Vec<Free>>>,
}

struct Free {
    connection: PoolConnection<Postgres>,
    taken_at: Instant,
    used_at: Instant,
}

/// A connection. It goes to the pool, which rolls back what was begun, unless it is [kept](Self::keep).
pub struct Lane {
    connection: PoolConnection<Postgres>,
    taken_at: Instant,
    lanes: Lanes,
}

impl Lanes {
    pub fn over(pool: PgPool) -> Self {
        Lanes { pool, free: Arc::default() }
    }

    /// Waits as long as the pool does; fails as it does.
    pub async fn take(&self) -> sqlx::Result<Lane> {
        let lanes = self.clone();
        let kept = self.free().pop();
        Ok(match kept {
            Some(Free { connection, taken_at, used_at }) if used_at.elapsed() <= FRESH => {
                Lane { connection, taken_at, lanes }
            }
            stale => {
                drop(stale);
                let connection = self.pool.acquire().await?;
                Lane { connection, taken_at: Instant::now(), lanes }
            }
        })
    }

    /// Closes all connections, once they are back.
    pub async fn close(&self) {
        let closing = self.pool.close();
        self.free().clear();
        closing.await;
    }

    fn free(&self) -> MutexGuard<'_, Vec<Free>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// For the next transaction; to be called when none is open.
    pub fn keep(self) {
        let Lane { connection, taken_at, lanes } = self;
        let most = lanes.pool.options().get_max_connections().saturating_sub(1);
        let mut free = lanes.free();
        if taken_at.elapsed() < STAY && free.len() < most as usize && !lanes.pool.is_closed() {
            free.push(Free { connection, taken_at, used_at: Instant::now() });
        }
    }

    /// Not to be used again, whatever its state.
    pub fn close(mut self) {
        self.connection.close_on_drop();
    }
}

impl Deref for Lane {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lane {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
