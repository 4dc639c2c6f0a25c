//! Who waits for a place, and whether a message may go now: all that is under the lock. It spawns nothing and wakes nobody.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Lane, LinkPlacesConfig, Places, Slot, now};
use crate::pace::{Breaker, BreakerConfig, BreakerState, Latency, Limiter, Throttle};

/// The links' places, those who wait, and what allows a message.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) links: Vec<LinkPlaces>,
    pub(super) priority: VecDeque<oneshot::Sender<Slot>>,
    pub(super) normal: VecDeque<oneshot::Sender<Slot>>,
    pub(super) contract: Limiter,
    pub(super) throttle: Throttle,
    pub(super) breaker: Breaker,
    pub(super) latency: Latency,
    pub(super) paused: bool,
    pub(super) ended: bool,
    /// When somebody who waits can be served, if nothing else happens.
    pub(super) serve_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct LinkPlaces {
    pub(super) free: usize,
    pub(super) window: usize,
    /// Whether a request would be taken.
    pub(super) open: bool,
    pub(super) contract: Option<Limiter>,
    /// Messages of this session are in doubt because the link was lost.
    pub(super) lost_some: bool,
}

/// What can be done for those who wait.
pub(super) enum Turn {
    /// This link has a place, and a message may go.
    Now(usize),
    /// A message may go then.
    Later(Instant),
    /// Something else has to happen first.
    Wait,
}

impl Queue {
    pub(super) fn new(tps: u32, breaker: BreakerConfig, links: Vec<LinkPlacesConfig>) -> Queue {
        let link = |link: LinkPlacesConfig| LinkPlaces {
            free: link.window,
            window: link.window,
            open: false,
            contract: link.tps.map(Limiter::new),
            lost_some: false,
        };
        Queue {
            links: links.into_iter().map(link).collect(),
            priority: VecDeque::new(),
            normal: VecDeque::new(),
            contract: Limiter::new(tps),
            throttle: Throttle::new(tps),
            breaker: Breaker::new(breaker),
            latency: Latency::default(),
            paused: false,
            ended: false,
            serve_at: None,
        }
    }

    pub(super) fn set_tps(&mut self, tps: u32) {
        self.contract = Limiter::new(tps);
        self.throttle.set_ceiling(tps);
    }

    /// Whether a message may go now, and on which link: the one with most places free, so that load spreads.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        if self.paused || self.ended {
            return Turn::Wait;
        }
        let (mut best, mut earliest) = (None::<(usize, usize)>, None::<Instant>);
        for (index, link) in self.links.iter_mut().enumerate() {
            if !link.open || link.free == 0 {
                continue;
            }
            match link.contract.as_mut().map_or(Ok(()), |contract| contract.allows(now)) {
                Ok(()) if best.is_none_or(|(_, free)| link.free > free) => best = Some((index, link.free)),
                Ok(()) => {}
                Err(at) => earliest = Some(earliest.map_or(at, |earliest| earliest.min(at))),
            }
        }
        let Some((link, _)) = best else { return earliest.map_or(Turn::Wait, Turn::Later) };
        if !self.breaker.lets_through(now) {
            return match self.breaker.state(now) {
                BreakerState::Open { until } => Turn::Later(until),
                _ => Turn::Wait,
            };
        }
        if let Some(at) = self.throttle.not_before(now) {
            return Turn::Later(at);
        }
        match self.contract.allows(now) {
            Ok(()) => Turn::Now(link),
            Err(at) => Turn::Later(at),
        }
    }

    pub(super) fn give(&mut self, places: &Arc<Places>, link: usize, now: Instant) -> Slot {
        let chosen = &mut self.links[link];
        assert!(chosen.free > 0, "a place was given that is not there");
        chosen.free -= 1;
        if let Some(contract) = &mut chosen.contract {
            contract.take();
        }
        self.contract.take();
        self.throttle.take(now);
        let trial = self.breaker.take();
        Slot { places: Arc::clone(places), link, given_at: now, trial, held: true }
    }

    /// Whether anybody waits who has not given up.
    pub(super) fn somebody_waits(&mut self) -> bool {
        for lane in [&mut self.priority, &mut self.normal] {
            while lane.front().is_some_and(oneshot::Sender::is_closed) {
                lane.pop_front();
            }
        }
        self.waiting() > 0
    }

    pub(super) fn forget_those_who_gave_up(&mut self) {
        self.priority.retain(|waiter| !waiter.is_closed());
        self.normal.retain(|waiter| !waiter.is_closed());
    }

    pub(super) fn waiting(&self) -> usize {
        self.priority.len() + self.normal.len()
    }

    pub(super) fn comes_too_late(&self, lane: Lane, deadline: Instant) -> bool {
        self.expected_wait(lane).is_some_and(|wait| now() + wait > deadline)
    }

    /// How long one more in `lane` would wait at the rate in force, as far as that can be known: not while no link is open.
    fn expected_wait(&self, lane: Lane) -> Option<Duration> {
        let window: usize = self.links.iter().filter(|link| link.open).map(|link| link.window).sum();
        let ahead = match lane {
            Lane::Priority => self.priority.len(),
            Lane::Normal => self.waiting(),
        };
        let (window, ahead) = (u64::try_from(window).ok().filter(|window| *window > 0)?, u64::try_from(ahead).ok()?);
        let by_rate = self.throttle.time_for(ahead);
        let by_window = self.latency.typical().saturating_mul(u32::try_from(ahead / window).unwrap_or(u32::MAX));
        Some(by_rate.max(by_window))
    }
}
