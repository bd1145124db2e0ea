//! A mail server that takes whatever comes.

use runtime::config::Redacted;
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub struct Mailbox {
    address: std::net::SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Mailbox {
    pub async fn start() -> Mailbox {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mails: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&mails);
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A client that hangs up in the middle is no concern of the others.
                let _ = receive(client, &kept).await;
            }
        });
        Mailbox { address, mails, server }
    }

    pub fn url(&self) -> Redacted {
        Redacted::new(format!("smtp://{}", self.address))
    }

    /// Headers and body of each mail that was taken.
    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    /// Nobody answers at its address from then on.
    pub async fn close(self) {
        self.server.abort();
        let _ = self.server.await;
    }
}

/// One conversation. A mail is kept before its taking is confirmed.
async fn receive(client: TcpStream, mails: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    client.write_all(b"220 mailbox\r\n").await?;
    let mut line = String::new();
    while client.read_line(&mut line).await? > 0 {
        let verb = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        line.clear();
        let answer = match verb.as_str() {
            "DATA" => {
                client.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while client.read_line(&mut line).await? > 0 && line != ".\r\n" {
                    text.push_str(&line);
                    line.clear();
                }
                line.clear();
                mails.lock().unwrap().push(text);
                "250 taken\r\n"
            }
            "QUIT" => {
                client.write_all(b"221 bye\r\n").await?;
                break;
            }
            _ => "250 mailbox\r\n",
        };
        client.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
