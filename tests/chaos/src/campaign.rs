//! One run: load, faults, rest, audit.

mod mix;

use crate::{
    books,
    fault::Fault,
    ground::{Ground, Target},
    load::{Load, SECRETS},
    nemesis,
    pace::{Pace, Watch},
    quiescence,
    scenario::{Needs, Scenario},
    timeline::Strike,
    verdict::{Outcome, Rest},
};
use anyhow::{Result, bail};
use futures_util::future::join_all;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use testkit::Random;
use tokio::time::sleep;
use uuid::Uuid;

/// How long sagas may take to end at the earlier pace again.
const RECOVERY: Duration = Duration::from_secs(60);
/// How long everything may take to come to rest once all is healed and no order comes in.
const REST: Duration = Duration::from_secs(150);
/// For the first orders to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// For the last ones to be answered.
const ORDERS: Duration = Duration::from_secs(60);
/// Over which the pace is taken before anything is broken.
const CALM: Duration = Duration::from_secs(3);
/// Of the orders' rate: no pace to recover to is lower, however slow the machine was before.
const LEAST: f64 = 0.3;
const BETWEEN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub target: Target,
    /// Of each service.
    pub instances: u16,
    /// Orders per second.
    pub rate: u32,
}

pub struct Campaign {
    settings: Settings,
    ground: Arc<Ground>,
    pace: Arc<Pace>,
    _watch: Watch,
    /// Every order so far.
    known: BTreeSet<Uuid>,
    needs: Needs,
}

/// A fault and how long it lasts.
type Blow = (Fault, Duration);

impl Campaign {
    /// Starts a system that can be hurt in the ways of these needs.
    pub async fn start(settings: Settings, needs: Needs) -> Result<Self> {
        let ground = Ground::start(settings.target, settings.instances, needs).await?;
        let ground = Arc::new(ground);
        let (pace, watch) = Pace::watch(&ground);
        // Containers that stay up have the orders of whoever used them before.
        let known = books::orders(&ground).await?.into_keys().collect();
        Ok(Campaign { settings, ground, pace, _watch: watch, known, needs })
    }

    /// Stops and removes the system.
    pub async fn close(self) {
        drop((self._watch, self.pace));
        if let Some(ground) = Arc::into_inner(self.ground) {
            ground.close().await;
        }
    }

    /// One scenario, as often as the table says. `tell` hears of each fault when it is over.
    pub async fn scenario(
        &mut self,
        scenario: &Scenario,
        seed: u64,
        tell: &dyn Fn(&Strike),
    ) -> Result<Outcome> {
        let mut random = Random::new(seed);
        let load = self.load(&mut random);
        let (began, pace) = self.calm(&load).await?;
        let mut strikes = Vec::new();
        for round in 0..scenario.rounds {
            let fault = scenario.fault(&mut random, round, self.settings.instances);
            let blows = [(fault, scenario.hold())];
            strikes.extend(self.episode(&blows, Duration::ZERO, began, pace, tell).await?);
        }
        self.conclude(scenario.name, load, strikes).await
    }

    /// A mix of everything that this system can be hurt with, until `deadline`.
    pub async fn random(
        &mut self,
        deadline: Instant,
        seed: u64,
        tell: &dyn Fn(&Strike),
    ) -> Result<Outcome> {
        let mut random = Random::new(seed);
        let longest = deadline.saturating_duration_since(Instant::now()) / mix::SHARE;
        let mut mix = mix::Mix::new(random.fork(), self.needs, self.settings.instances, longest);
        let load = self.load(&mut random);
        let (began, pace) = self.calm(&load).await?;
        let mut strikes = Vec::new();
        while Instant::now() < deadline {
            let (blows, apart) = mix.next();
            strikes.extend(self.episode(&blows, apart, began, pace, tell).await?);
            sleep(CALM / 2).await;
        }
        self.conclude("random", load, strikes).await
    }

    /// One scenario after the other, without waiting in between: for whoever has little time.
    pub async fn in_succession(
        &mut self,
        name: &'static str,
        blows: &[Blow],
        seed: u64,
        tell: &dyn Fn(&Strike),
    ) -> Result<Outcome> {
        let load = self.load(&mut Random::new(seed));
        let (began, pace) = self.calm(&load).await?;
        let mut strikes = Vec::new();
        for blow in blows {
            let blow = std::slice::from_ref(blow);
            strikes.extend(self.episode(blow, Duration::ZERO, began, pace, tell).await?);
        }
        self.conclude(name, load, strikes).await
    }

    fn load(&self, random: &mut Random) -> Load {
        Load::start(&self.ground, &self.pace, self.settings.rate, random.fork())
    }

    /// Until orders end steadily; since when they are placed, and how fast they end.
    async fn calm(&self, load: &Load) -> Result<(Instant, f64)> {
        let began = Instant::now();
        let some = f64::from(self.settings.rate) * LEAST;
        if self.pace.recovered(began, some, PATIENCE).await.is_none() {
            let (accepted, pace) = (load.accepted(), self.pace.now(CALM));
            let ready = self.ground.wait_all_ready(CALM).await;
            let open = quiescence::open(&self.ground).await.unwrap_or_default();
            bail!(
                "before anything is broken, {accepted} orders are accepted and {pace:.1} a second end; \
                 ready: {ready:?}\n{open}"
            );
        }
        sleep(CALM).await;
        let rate = f64::from(self.settings.rate);
        Ok((began, self.pace.now(CALM).clamp(rate * LEAST, rate)))
    }

    /// Faults that overlap, each so much later than the one before, and the recovery from them.
    async fn episode(
        &self,
        blows: &[Blow],
        apart: Duration,
        began: Instant,
        pace: f64,
        tell: &dyn Fn(&Strike),
    ) -> Result<Vec<Strike>> {
        let struck = blows.iter().enumerate().map(async |(number, (fault, hold))| {
            sleep(apart * u32::try_from(number).unwrap_or(1)).await;
            nemesis::strike(&self.ground, fault, *hold, began).await
        });
        let mut strikes = join_all(struck).await.into_iter().collect::<Result<Vec<_>>>()?;
        let last = strikes.iter().map(|strike| strike.healed).max().unwrap_or(began);
        let recovery = self.pace.recovered(last, pace, RECOVERY).await;
        for strike in &mut strikes {
            strike.recovery = recovery;
            tell(strike);
        }
        Ok(strikes)
    }

    async fn conclude(
        &mut self,
        name: &'static str,
        load: Load,
        strikes: Vec<Strike>,
    ) -> Result<Outcome> {
        let held_back = load.held_back();
        let log = load.finish(ORDERS).await?;
        let rest = match self.ground.wait_all_ready(ORDERS).await {
            Ok(()) => quiescence::wait(&self.ground, REST).await,
            Err(error) => Err(error),
        };
        let rest = match rest {
            Ok(time) => Rest::After(time),
            Err(error) => {
                let open = quiescence::open(&self.ground).await.unwrap_or_default();
                Rest::Never(format!("{error:#}\n{open}"))
            }
        };
        sleep(BETWEEN).await;
        let (account, report) =
            books::read(&self.ground, &log, &mut self.known, books::SETTLE).await?;
        let leaks = self.ground.leaks(&SECRETS).await?;
        Ok(Outcome { name, strikes, account, report, rest, held_back, log, leaks })
    }

    /// The system that is hurt.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }
}
