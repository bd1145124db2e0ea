use lapin::uri::AMQPUri;
use runtime::config::{self, Redacted};
use std::fmt;

/// Seconds. A dead peer is noticed after about twice this.
const HEARTBEAT: u16 = 10;
/// Milliseconds, for the TCP connection alone.
const CONNECTION_TIMEOUT: u64 = 3000;
/// Beyond this a pack gains nothing, and each is redelivered as a whole.
const MOST_PACKED: usize = 256;
const PACK: usize = 32;

/// Where the broker is, and as whom this process goes there.
#[derive(Clone)]
pub struct Amqp {
    pub url: Redacted,
    /// The process, as the management UI and `app_id` name it.
    pub app: String,
    pub(crate) pack: usize,
    /// One per host of the URL; tried in turn.
    nodes: Vec<AMQPUri>,
}

#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    #[error(transparent)]
    Unset(#[from] config::Error),
    #[error(
        "the broker's URL is not of the form amqp://user:password@host:5672/vhost \
         (the host may be a comma-separated list): {0}"
    )]
    Malformed(String),
}

impl Amqp {
    /// `url` may list several nodes of one cluster: `amqp://user:password@one:5672,two:5672/vhost`.
    pub fn new(url: Redacted, app: impl Into<String>) -> Result<Self, BadAddress> {
        let nodes = nodes(url.expose())?;
        Ok(Amqp { url, app: app.into(), pack: PACK, nodes })
    }

    /// From `AMQP_URL` (or `RABBITMQ_URL`, or `AMQP_ADDR`).
    pub fn from_env(app: impl Into<String>) -> Result<Self, BadAddress> {
        let pack = config::env("AMQP_PACK", Some(PACK))?;
        Ok(Amqp::new(config::amqp_url()?, app)?.packing(pack))
    }

    /// How many commands or replies for one queue may share a message (`AMQP_PACK`, 32), when so
    /// many are sent at once; 0: none, and this process is sent no packs.
    #[must_use]
    pub fn packing(self, most: usize) -> Self {
        Amqp { pack: most.min(MOST_PACKED), ..self }
    }

    pub(crate) fn packs(&self) -> bool {
        self.pack > 0
    }

    /// The login that the broker checks `user_id` against.
    pub fn login(&self) -> &str {
        self.node(0).map_or("", |node| &node.authority.userinfo.username)
    }

    /// The node to try at the given turn; turns count up with every attempt.
    pub(crate) fn node(&self, turn: usize) -> Option<&AMQPUri> {
        self.nodes.get(turn % self.nodes.len().max(1))
    }
}

impl fmt::Debug for Amqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amqp").field("url", &self.url).field("app", &self.app).finish()
    }
}

fn nodes(url: &str) -> Result<Vec<AMQPUri>, BadAddress> {
    let malformed = |why: &str| BadAddress::Malformed(why.to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(|| malformed("no scheme"))?;
    let path = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    hosts
        .split(',')
        .map(|host| {
            let mut node: AMQPUri = format!("{scheme}://{user}{host}{path}")
                .parse()
                .map_err(|why: String| BadAddress::Malformed(why))?;
            node.query.heartbeat.get_or_insert(HEARTBEAT);
            node.query.connection_timeout.get_or_insert(CONNECTION_TIMEOUT);
            Ok(node)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amqp(url: &str) -> Amqp {
        Amqp::new(Redacted::new(url), "test").unwrap()
    }

    #[test]
    fn hosts_of_a_list_take_turns() {
        let amqp = amqp("amqp://me:secret@one:5672,two:5673/place");
        let hosts: Vec<_> = (0..3)
            .map(|turn| amqp.node(turn).unwrap())
            .map(|node| (node.authority.host.clone(), node.authority.port, node.vhost.clone()))
            .collect();
        let place = || "place".to_owned();
        assert_eq!(
            hosts,
            [
                ("one".to_owned(), 5672, place()),
                ("two".to_owned(), 5673, place()),
                ("one".to_owned(), 5672, place())
            ]
        );
        assert_eq!(amqp.login(), "me");
    }

    #[test]
    fn a_heartbeat_is_always_asked_for() {
        assert_eq!(amqp("amqp://h").node(0).unwrap().query.heartbeat, Some(HEARTBEAT));
        assert_eq!(amqp("amqp://h/%2f?heartbeat=4").node(0).unwrap().query.heartbeat, Some(4));
    }

    #[test]
    fn the_password_is_never_printed() {
        assert!(!format!("{:?}", amqp("amqp://me:secret@one,two/v")).contains("secret"));
        let error = Amqp::new(Redacted::new("amqp//me:secret@one"), "t").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
