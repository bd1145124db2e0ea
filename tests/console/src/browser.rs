//! One window: what it shows, what is typed into it, and what it complains of.

use crate::driver::{self, Driver};
use anyhow::{Context, Result, ensure};
use fantoccini::{
    Client, ClientBuilder, Locator,
    elements::Element,
    key::Key,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use testkit::eventually;
use tokio::time::timeout;

/// For what a page must come to show.
const LIMIT: Duration = Duration::from_secs(30);
/// For one command of the driver.
const COMMAND: Duration = Duration::from_secs(60);

/// How the page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Ends the names of screenshots.
    pub name: &'static str,
    pub width: u32,
    pub scheme: &'static str,
}

impl Look {
    pub const LIGHT: Look = Look { name: "light", width: 1280, scheme: "light" };
    pub const DARK: Look = Look { name: "dark", width: 1280, scheme: "dark" };
    pub const PHONE: Look = Look { name: "phone", width: 360, scheme: "light" };
    pub const PHONE_IN_THE_DARK: Look = Look { name: "phone-dark", width: 360, scheme: "dark" };
    const HEIGHT: u32 = 900;
}

/// A complaint of the browser that a test brings about itself.
#[derive(Clone, Copy, Debug)]
pub struct Excuse {
    /// Part of the address that is complained of.
    pub path: &'static str,
    /// What the complaint says of it, such as a status.
    pub says: &'static str,
}

impl Excuse {
    pub fn covers(&self, complaint: &str) -> bool {
        complaint.contains(self.path) && complaint.contains(self.says)
    }
}

pub struct Browser {
    client: Client,
    base: String,
    _driver: Driver,
}

impl Browser {
    /// An empty window. `base` is where the console is: `http://127.0.0.1:8000`.
    pub async fn open(base: String) -> Result<Self> {
        let driver = Driver::start().await?;
        let options = json!({
            "binary": driver::browser()?,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--hide-scrollbars", "--window-size=1280,900"],
        });
        let mut wanted = Capabilities::new();
        wanted.insert("goog:chromeOptions".to_owned(), options);
        wanted.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connecting = builder.capabilities(wanted).connect(&driver.address);
        let client = timeout(COMMAND, connecting).await.context("the browser does not start")?;
        let client = client.context("the browser does not start")?;
        Ok(Browser { client, base, _driver: driver })
    }

    /// A page of the console by its fragment, such as `#/sagas`.
    pub async fn visit(&self, fragment: &str) -> Result<()> {
        Ok(self.client.goto(&format!("{}/{fragment}", self.base)).await?)
    }

    pub async fn back(&self) -> Result<()> {
        Ok(self.client.back().await?)
    }

    /// Until an expression of the page's language is true.
    pub async fn holds(&self, expression: &str) -> Result<()> {
        eventually(LIMIT, &format!("{expression} to be true"), async || {
            let told = self.script(&format!("return ({expression})"), vec![]).await?;
            ensure!(told == json!(true), "it is {told}");
            Ok(())
        })
        .await
    }

    /// Until the text of some element that `css` selects contains `text`.
    pub async fn shows(&self, css: &str, text: &str) -> Result<()> {
        let found =
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)";
        eventually(LIMIT, &format!("{css} to show {text:?}"), async || {
            let shown = self.script(found, vec![json!(css)]).await?;
            let shown: Vec<String> = serde_json::from_value(shown)?;
            ensure!(shown.iter().any(|one| one.contains(text)), "it shows {shown:?}");
            Ok(())
        })
        .await
    }

    /// Until nothing is selected by `css`.
    pub async fn lacks(&self, css: &str) -> Result<()> {
        eventually(LIMIT, &format!("{css} to be gone"), async || {
            let found = self.client.find_all(Locator::Css(css)).await?;
            ensure!(found.is_empty(), "there are {}", found.len());
            Ok(())
        })
        .await
    }

    pub async fn script(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        Ok(self.client.execute(script, arguments).await?)
    }

    /// Clicks the first element of `css` whose text begins so.
    pub async fn click(&self, css: &str, text: &str) -> Result<()> {
        eventually(LIMIT, &format!("a {css} named {text:?} to click"), async || {
            for element in self.client.find_all(Locator::Css(css)).await? {
                if element.text().await?.starts_with(text) {
                    return Ok(element.click().await?);
                }
            }
            anyhow::bail!("there is none")
        })
        .await
    }

    /// Types into whatever has the focus.
    pub async fn keys(&self, text: &str) -> Result<()> {
        Ok(self.focused().await?.send_keys(text).await?)
    }

    pub async fn key(&self, key: Key) -> Result<()> {
        self.keys(&char::from(key).to_string()).await
    }

    /// Presses the tabulator until the focus is on something whose text begins so.
    pub async fn tab_to(&self, text: &str) -> Result<()> {
        const MOST: usize = 80;
        for _ in 0..MOST {
            self.key(Key::Tab).await?;
            let element = self.focused().await?;
            if element.text().await?.starts_with(text) {
                return Ok(());
            }
        }
        anyhow::bail!("{MOST} steps by keyboard do not lead to {text:?}")
    }

    /// Presses the tabulator until `css` selects what has the focus.
    pub async fn tab_until(&self, css: &str) -> Result<()> {
        const MOST: usize = 80;
        for _ in 0..MOST {
            self.key(Key::Tab).await?;
            if self.has_focus(css).await? {
                return Ok(());
            }
        }
        anyhow::bail!("{MOST} steps by keyboard do not lead to {css}")
    }

    pub async fn has_focus(&self, css: &str) -> Result<bool> {
        let matches = "return document.activeElement.matches(arguments[0])";
        Ok(self.script(matches, vec![json!(css)]).await? == json!(true))
    }

    pub async fn focused(&self) -> Result<Element> {
        Ok(self.client.active_element().await?)
    }

    pub async fn look(&self, look: Look) -> Result<()> {
        self.sized(look, Look::HEIGHT).await?;
        let scheme = json!({ "name": "prefers-color-scheme", "value": look.scheme });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await
    }

    async fn sized(&self, look: Look, height: u32) -> Result<()> {
        let size = json!({
            "width": look.width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await
    }

    /// How far the page is wider than the window, in pixels.
    pub async fn overflow(&self) -> Result<i64> {
        let wider = "return document.documentElement.scrollWidth - innerWidth";
        self.script(wider, vec![]).await?.as_i64().context("the page has no width")
    }

    /// What would make the page hard to use: text or fields that reach over an edge, text that is
    /// too pale, controls without a name.
    pub async fn flaws(&self) -> Result<Vec<String>> {
        let told = self.script(include_str!("flaws.js"), vec![]).await?;
        Ok(serde_json::from_value(told)?)
    }

    /// The whole page, into `target/console/<name>-<look>.png`.
    pub async fn picture(&self, name: &str, look: Look) -> Result<()> {
        let high = self.script("return document.documentElement.scrollHeight", vec![]).await?;
        let high = u32::try_from(high.as_u64().unwrap_or_default())?;
        self.sized(look, high.max(Look::HEIGHT)).await?;
        let picture = self.client.screenshot().await?;
        self.sized(look, Look::HEIGHT).await?;
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/console"));
        fs::create_dir_all(folder)?;
        Ok(fs::write(folder.join(format!("{name}-{}.png", look.name)), picture)?)
    }

    /// What the browser wrote to its console since it was last asked: errors, violations of the
    /// content policy, and whatever a script prints.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let told = self.client.issue_cmd(Extension::new("se/log", json!({ "type": "browser" })));
        let told = told.await?;
        let lines = told.as_array().context("the browser has no log")?.iter();
        Ok(lines.map(|line| format!("{}: {}", line["level"], line["message"])).collect())
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<()> {
        let body = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(Extension::new("goog/cdp/execute", body)).await?;
        Ok(())
    }

    pub async fn close(self) -> Result<()> {
        timeout(COMMAND, self.client.close()).await.context("the browser does not close")??;
        Ok(())
    }
}

/// A command that ChromeDriver knows beyond the standard.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl Extension {
    fn new(path: &'static str, body: Value) -> Self {
        Extension { path, body }
    }
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(
        &self,
        base: &Url,
        session: Option<&str>,
    ) -> Result<Url, <Url as std::str::FromStr>::Err> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
