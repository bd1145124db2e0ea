//! Between one process and the broker: lets everything through, until it is told to swallow what
//! the process publishes, and to cut its connections.

use anyhow::{Context, Result};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// A connection that publishes says so in its name, within its first frames.
const NAME: &[u8] = b" publisher";
const FIRST_FRAMES: usize = 4096;

#[derive(Clone, Debug)]
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// `host:port` of the broker.
    broker: String,
    mute: AtomicBool,
    swallowed: AtomicU64,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    pub async fn start(broker: String) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port is free")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            broker,
            mute: AtomicBool::new(false),
            swallowed: AtomicU64::new(0),
            cuts: watch::Sender::new(0),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&accepting).carry(client));
            }
        });
        Ok(Proxy { port, shared })
    }

    /// From now on nothing that is published arrives, and nobody is told.
    pub fn mute(&self) {
        self.shared.swallowed.store(0, Ordering::SeqCst);
        self.shared.mute.store(true, Ordering::SeqCst);
    }

    /// Bytes since it was muted.
    pub fn swallowed(&self) -> u64 {
        self.shared.swallowed.load(Ordering::SeqCst)
    }

    /// Ends every connection, and lets new ones publish.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        self.shared.mute.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    async fn carry(self: Arc<Self>, client: TcpStream) {
        let mut cuts = self.cuts.subscribe();
        let Ok(broker) = TcpStream::connect(&self.broker).await else { return };
        let _ = (client.set_nodelay(true), broker.set_nodelay(true));
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_broker, mut to_broker) = broker.into_split();
        tokio::select! {
            () = self.upstream(&mut from_client, &mut to_broker) => {}
            _ = copy(&mut from_broker, &mut to_client) => {}
            _ = cuts.changed() => {}
        }
    }

    async fn upstream(&self, client: &mut OwnedReadHalf, broker: &mut OwnedWriteHalf) {
        let mut buffer = vec![0; 64 * 1024];
        let mut first = Vec::new();
        let mut publishes = false;
        while let Ok(length) = client.read(&mut buffer).await
            && length > 0
        {
            let bytes = &buffer[..length];
            if !publishes && first.len() < FIRST_FRAMES {
                first.extend_from_slice(bytes);
                publishes = first.windows(NAME.len()).any(|window| window == NAME);
            }
            if publishes && self.mute.load(Ordering::SeqCst) {
                self.swallowed.fetch_add(length as u64, Ordering::SeqCst);
            } else if broker.write_all(bytes).await.is_err() {
                return;
            }
        }
    }
}
