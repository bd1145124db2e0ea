//! Between one process and a server: lets everything through, until it is told otherwise.

mod weather;

pub use weather::Weather;

use anyhow::{Context, Result};
use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use weather::Delay;

/// A connection that publishes says so in its name, within its first frames.
const NAME: &[u8] = b" publisher";
const FIRST_FRAMES: usize = 4096;
const BUFFER: usize = 64 * 1024;
/// Reads that are under way in one direction of a connection, at most.
const UNDER_WAY: usize = 64;

/// A TCP proxy on a port of its own. Clones are the same proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// `host:port` of the server.
    server: String,
    mute: AtomicBool,
    swallowed: AtomicU64,
    touched: AtomicU64,
    cuts: watch::Sender<u64>,
    weather: watch::Sender<Weather>,
}

impl Proxy {
    /// In front of the server that a URL with a login names; and the URL that leads through it.
    pub async fn before(url: &str) -> Result<(Self, String)> {
        let (_, server) = url.rsplit_once('@').context("no login in the URL")?;
        let server = server.split('/').next().context("no server in the URL")?;
        let proxy = Proxy::start(server.to_owned()).await?;
        let url = url.replace(server, &format!("127.0.0.1:{}", proxy.port));
        Ok((proxy, url))
    }

    /// `server` is `host:port`; nobody needs to be there yet.
    pub async fn start(server: String) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port is free")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            server,
            mute: AtomicBool::new(false),
            swallowed: AtomicU64::new(0),
            touched: AtomicU64::new(0),
            cuts: watch::Sender::new(0),
            weather: watch::Sender::new(Weather::Clear),
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

    /// Resets every connection, and lets new ones publish.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        self.shared.mute.store(false, Ordering::SeqCst);
    }

    /// For what passes from now on, on every connection.
    pub fn set_weather(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Connections that were cut and reads that were lost or held up, so far.
    pub fn touched(&self) -> u64 {
        self.shared.touched.load(Ordering::SeqCst)
    }
}

impl Shared {
    async fn carry(self: Arc<Self>, client: TcpStream) {
        let mut cuts = self.cuts.subscribe();
        // As of a host that does not answer, its peer hears nothing.
        let mut weather = self.weather.subscribe();
        tokio::select! {
            _ = weather.wait_for(|weather| *weather != Weather::HalfOpen) => {}
            _ = cuts.changed() => return,
        }
        let Ok(server) = TcpStream::connect(&self.server).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        // A connection that lost a byte in one direction can be continued in neither, and neither end
        // hears that the other one is gone.
        let broken = AtomicBool::new(false);
        let up = self.flow(&client, &server, true, &broken);
        let down = self.flow(&server, &client, false, &broken);
        let both = async {
            tokio::pin!(up, down);
            tokio::select! {
                () = &mut up => if broken.load(Ordering::SeqCst) { down.await },
                () = &mut down => if broken.load(Ordering::SeqCst) { up.await },
            }
        };
        tokio::select! {
            () = both => {}
            _ = cuts.changed() => {
                self.touched.fetch_add(1, Ordering::SeqCst);
                let _ = (client.set_zero_linger(), server.set_zero_linger());
            }
        }
    }

    /// One direction, until either end is gone.
    async fn flow(&self, from: &TcpStream, to: &TcpStream, upstream: bool, broken: &AtomicBool) {
        let (on_the_way, arriving) = mpsc::channel(UNDER_WAY);
        let departing = async {
            self.depart(from, on_the_way, upstream, broken).await;
            // What is on the way still arrives.
            std::future::pending().await
        };
        tokio::select! {
            () = departing => {}
            () = arrive(arriving, to) => {}
        }
    }

    async fn depart(
        &self,
        from: &TcpStream,
        on_the_way: mpsc::Sender<(Instant, Vec<u8>)>,
        upstream: bool,
        broken: &AtomicBool,
    ) {
        let mut first = Vec::new();
        let mut publishes = false;
        let mut delay = Delay::default();
        while let Some(bytes) = read(from).await {
            if upstream && !publishes && first.len() < FIRST_FRAMES {
                first.extend_from_slice(&bytes);
                publishes = first.windows(NAME.len()).any(|window| window == NAME);
            }
            if publishes && self.mute.load(Ordering::SeqCst) {
                self.swallowed.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                continue;
            }
            let weather = *self.weather.borrow();
            if weather != Weather::Clear {
                self.touched.fetch_add(1, Ordering::SeqCst);
            }
            if weather == Weather::HalfOpen || broken.load(Ordering::SeqCst) {
                broken.store(true, Ordering::SeqCst);
            } else if on_the_way.send((delay.due(weather), bytes)).await.is_err() {
                return;
            }
        }
    }
}

async fn arrive(mut arriving: mpsc::Receiver<(Instant, Vec<u8>)>, to: &TcpStream) {
    while let Some((due, bytes)) = arriving.recv().await {
        sleep_until(due).await;
        if !write(to, &bytes).await {
            return;
        }
    }
}

/// What is there; `None` at the end.
async fn read(from: &TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; BUFFER];
    loop {
        from.readable().await.ok()?;
        match from.try_read(&mut bytes) {
            Ok(0) => return None,
            Ok(length) => {
                bytes.truncate(length);
                return Some(bytes);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

/// Whether all of it is written.
async fn write(to: &TcpStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if to.writable().await.is_err() {
            return false;
        }
        match to.try_write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    const SOON: Duration = Duration::from_secs(5);

    /// Repeats what it hears.
    async fn echo() -> Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = peer.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        Proxy::start(address).await
    }

    async fn say(stream: &mut TcpStream, word: &[u8; 4]) -> Result<Duration> {
        let began = Instant::now();
        stream.write_all(word).await?;
        let mut heard = [0; 4];
        timeout(SOON, stream.read_exact(&mut heard)).await??;
        anyhow::ensure!(heard == *word, "heard {heard:?}");
        Ok(began.elapsed())
    }

    #[tokio::test]
    async fn a_cut_resets_what_is_open_and_lets_in_what_is_new() -> Result<()> {
        let proxy = echo().await?;
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await?;
        say(&mut stream, b"good").await?;
        proxy.cut();
        let ended = timeout(SOON, stream.read(&mut [0; 4])).await?;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await?;
        say(&mut stream, b"anew").await?;
        assert_eq!(proxy.touched(), 1);
        Ok(())
    }

    #[tokio::test]
    async fn a_connection_that_lost_bytes_is_dead_for_ever_and_nobody_is_told() -> Result<()> {
        let proxy = echo().await?;
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await?;
        say(&mut stream, b"good").await?;
        proxy.set_weather(Weather::HalfOpen);
        stream.write_all(b"lost").await?;
        let mut late = TcpStream::connect(("127.0.0.1", proxy.port)).await?;
        late.write_all(b"late").await?;
        while proxy.touched() == 0 {
            tokio::task::yield_now().await;
        }
        proxy.set_weather(Weather::Clear);
        let mut heard = [0; 4];
        timeout(SOON, late.read_exact(&mut heard)).await??;
        assert_eq!(&heard, b"late", "a connection that lost nothing goes on");
        stream.write_all(b"more").await?;
        let silence = timeout(Duration::from_millis(200), stream.read(&mut [0; 4])).await;
        assert!(silence.is_err(), "neither an answer nor an end");
        Ok(())
    }

    #[tokio::test]
    async fn in_rough_weather_everything_arrives_late_and_in_order() -> Result<()> {
        let proxy = echo().await?;
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await?;
        let quick = say(&mut stream, b"fast").await?;
        let (latency, again) = (Duration::from_millis(50), Duration::from_millis(100));
        proxy.set_weather(Weather::Rough { latency, loss: 100, again });
        let late = say(&mut stream, b"slow").await?;
        assert!(late >= 2 * (latency + again), "there and back took {late:?}, before {quick:?}");
        Ok(())
    }
}
