//! Who waits for a place, and whether a message may go now: all that is under the lock. It spawns nothing and wakes nobody.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Lane, LinkPlacesConfig, Places, Slot, now};
use crate::pace::{self, BreakerConfig, Limiter, Pacer, Waiting};

/// The links' places, those who wait, and what allows a message.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) links: Vec<LinkPlaces>,
    pub(super) waiting: Waiting<Slot>,
    pub(super) pacer: Pacer,
    /// The contract's rate for all links together, in messages a second.
    tps: u32,
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
    /// Somebody else has its bind, and its part of the rate.
    pub(super) rests: bool,
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
            rests: link.rests,
            lost_some: false,
        };
        let links: Vec<LinkPlaces> = links.into_iter().map(link).collect();
        Queue {
            pacer: Pacer::new(part_of(tps, &links), breaker),
            links,
            waiting: Waiting::default(),
            tps,
            paused: false,
            ended: false,
            serve_at: None,
        }
    }

    pub(super) fn set_tps(&mut self, tps: u32) {
        self.tps = tps;
        self.retune();
    }

    /// The rate is that of the links which do not rest.
    pub(super) fn retune(&mut self) {
        self.pacer.set_tps(part_of(self.tps, &self.links));
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
        match self.pacer.turn(now) {
            pace::Turn::Now => Turn::Now(link),
            pace::Turn::Later(at) => Turn::Later(at),
            pace::Turn::Wait => Turn::Wait,
        }
    }

    pub(super) fn give(&mut self, places: &Arc<Places>, link: usize, now: Instant) -> Slot {
        let chosen = &mut self.links[link];
        assert!(chosen.free > 0, "a place was given that is not there");
        chosen.free -= 1;
        if let Some(contract) = &mut chosen.contract {
            contract.take();
        }
        let trial = self.pacer.take(now);
        Slot { places: Arc::clone(places), link, given_at: now, trial, held: true }
    }

    pub(super) fn comes_too_late(&self, lane: Lane, deadline: Instant) -> bool {
        self.expected_wait(lane).is_some_and(|wait| now() + wait > deadline)
    }

    /// How long one more in `lane` would wait at the rate in force, as far as that can be known: not while no link is open.
    fn expected_wait(&self, lane: Lane) -> Option<Duration> {
        let window: usize = self.links.iter().filter(|link| link.open).map(|link| link.window).sum();
        (window > 0).then(|| self.pacer.time_for(self.waiting.ahead_in(lane), window))
    }
}

/// The part of the contract's rate that belongs to the links which do not rest: each that sends has the same.
fn part_of(tps: u32, links: &[LinkPlaces]) -> u32 {
    let count = |sending: &mut dyn Iterator<Item = &LinkPlaces>| u64::try_from(sending.count()).unwrap_or(u64::MAX);
    let all = count(&mut links.iter().filter(|link| link.window > 0)).max(1);
    let awake = count(&mut links.iter().filter(|link| link.window > 0 && !link.rests));
    u32::try_from(u64::from(tps) * awake / all).unwrap_or(tps).max(1)
}
