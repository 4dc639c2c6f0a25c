//! Puts a drawn weather in force, spell by spell, and takes it away again whatever happens.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{ChaosConfig, ChaosError, ChaosReport, Spell, passengers::Crowd, report, weather::schedule};
use crate::simulator::{faults::RuleId, shared::Shared};

/// The chaos that plays now, or played last.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Running {
    /// Ends it. None while there is none.
    stop: Option<CancellationToken>,
    /// What the weather is now.
    spell: Option<Spell>,
    /// What came of the last one.
    pub(in crate::simulator) report: Option<ChaosReport>,
}

/// See [`crate::simulator::Simulator::chaos`].
pub(in crate::simulator) async fn play(
    shared: &Arc<Shared>,
    config: ChaosConfig,
    tell: impl FnMut(&Spell),
) -> Result<ChaosReport, ChaosError> {
    let playing = Playing::begin(shared, &config)?;
    Ok(playing.run(config, tell).await)
}

/// The same in the background. Errors: as [`play`], before it begins.
pub(in crate::simulator) fn start(shared: &Arc<Shared>, config: ChaosConfig) -> Result<(), ChaosError> {
    let playing = Playing::begin(shared, &config)?;
    shared.spawn(async move { playing.run(config, |_| {}).await });
    Ok(())
}

/// The weather now, while there is chaos, and what came of the last one.
pub(in crate::simulator) fn now(shared: &Shared) -> (Option<Spell>, Option<ChaosReport>) {
    let running = running(shared);
    (running.spell.clone(), running.report.clone())
}

/// Ends the chaos that plays now, if one does.
pub(in crate::simulator) fn stop(shared: &Shared) {
    if let Some(stop) = &running(shared).stop {
        stop.cancel();
    }
}

/// A chaos that plays. Dropped, there is none any more.
struct Playing {
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Playing {
    fn begin(shared: &Arc<Shared>, config: &ChaosConfig) -> Result<Playing, ChaosError> {
        config.validate()?;
        let mut running = running(shared);
        if running.stop.is_some() {
            return Err(ChaosError::Already);
        }
        let stop = shared.stop.child_token();
        *running = Running { stop: Some(stop.clone()), spell: None, report: None };
        Ok(Playing { shared: Arc::clone(shared), stop })
    }

    async fn run(self, config: ChaosConfig, mut tell: impl FnMut(&Spell)) -> ChaosReport {
        let begin = Instant::now();
        let storms_end = begin + Duration::from_millis(config.length_ms.saturating_sub(config.calm_at_end_ms));
        let crowd = Crowd::gather(&self.shared, &config, storms_end, &self.stop);
        let spells = schedule(&config, self.shared.listeners.len());
        let mut completed = true;
        for spell in &spells {
            tell(spell);
            running(&self.shared).spell = Some(spell.clone());
            let _in_force = InForce::begin(&self.shared, spell);
            let until = begin + Duration::from_millis(spell.from_ms.saturating_add(spell.for_ms));
            tokio::select! {
                () = sleep_until(until) => {}
                () = reset_links(&self.shared, spell.reset_links_every_ms) => {}
                () = self.stop.cancelled() => {
                    completed = false;
                    break;
                }
            }
        }
        let report = report::of(&self.shared, &config, completed, crowd.map(|crowd| crowd.report()));
        running(&self.shared).report = Some(report.clone());
        report
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.stop.cancel();
        let mut running = running(&self.shared);
        running.stop = None;
        running.spell = None;
    }
}

/// A spell in force. Dropped, it is over: its faults, and only those, are gone, and its listener opens again.
struct InForce<'a> {
    shared: &'a Shared,
    rules: Vec<RuleId>,
    shut: Option<usize>,
}

impl InForce<'_> {
    fn begin<'a>(shared: &'a Shared, spell: &Spell) -> InForce<'a> {
        let mut exchange = shared.exchange();
        // A full book takes no more rules: then this storm is a weaker one.
        let rules = spell.faults.iter().filter_map(|rule| exchange.faults.add(rule.clone()).ok()).collect();
        drop(exchange);
        if let Some(index) = spell.shut_listener {
            shared.want_listener_open(index, false);
        }
        InForce { shared, rules, shut: spell.shut_listener }
    }
}

impl Drop for InForce<'_> {
    fn drop(&mut self) {
        let mut exchange = self.shared.exchange();
        self.rules.iter().for_each(|id| exchange.faults.remove(*id));
        drop(exchange);
        if let Some(index) = self.shut {
            self.shared.want_listener_open(index, true);
        }
    }
}

async fn reset_links(shared: &Shared, every_ms: Option<u64>) {
    let Some(ms) = every_ms else { return std::future::pending().await };
    loop {
        sleep(Duration::from_millis(ms)).await;
        shared.links.reset_all();
    }
}

fn running(shared: &Shared) -> MutexGuard<'_, Running> {
    shared.chaos.lock().unwrap_or_else(PoisonError::into_inner)
}
