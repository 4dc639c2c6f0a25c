//! The public face of a pool.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Lane, LinkState, PoolConfig, PoolEvent, Standing,
    command::Command,
    link,
    places::{LinkPlacesConfig, Places, PlacesConfig, ReserveError, Slot},
};
use crate::{
    process,
    smpp::{
        encode::EncodeError,
        metering::{self, PoolMetering},
        pdu::{Bind, QuerySm},
        session::{DoubtCause, QueryOutcome, SessionConfig, Unwritten},
        tap::Tap,
    },
};

/// How often the gauges of a pool are set.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// What handles want of the links.
#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    pub(super) stop: bool,
    /// To have no bind for now: it is somebody else's turn.
    pub(super) rest: bool,
    /// To bind with from the next bind on, in place of what the link was opened with.
    pub(super) bind: Option<Arc<Bind>>,
}

/// Several links to one carrier. Clones share it.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Face>);

#[derive(Debug)]
struct Face {
    places: Arc<Places>,
    links: Vec<LinkFace>,
    tap: Tap,
}

#[derive(Debug)]
struct LinkFace {
    name: Arc<str>,
    session: SessionConfig,
    control: watch::Sender<Control>,
    state: watch::Receiver<LinkState>,
}

impl Drop for Face {
    fn drop(&mut self) {
        self.places.end();
    }
}

impl Pool {
    /// Opens the links: each connects, binds, and keeps at it until [`Pool::unbind`], or until every handle or the receiver is
    /// dropped. Needs a tokio runtime. The receiver must be read: deliveries and late answers come through it.
    ///
    /// Errors: the fields of a bind cannot be written.
    pub fn open(config: PoolConfig) -> Result<(Pool, mpsc::Receiver<PoolEvent>), EncodeError> {
        // Each bind is encoded here once, so that it cannot fail later.
        config.links.iter().try_for_each(|link| link::check_bind(&link.session))?;
        let (events, receiver) = mpsc::channel(config.events_max.max(1));
        let (mut to_do, mut places) = (Vec::new(), Vec::new());
        for link in &config.links {
            let (commands, receiver) = mpsc::unbounded_channel();
            to_do.push(receiver);
            let window = if link.session.bind.mode.sends() { link.session.window.max(1) } else { 0 };
            places.push(LinkPlacesConfig { window, tps: link.tps, rests: config.rests, commands });
        }
        let places =
            PlacesConfig { tps: config.tps, breaker: config.breaker, waiting_max: config.waiting_max, links: places };
        let places = Arc::new(Places::new(places));
        process::spawn(Arc::clone(&places).keep_time());
        if let Some(first) = config.links.first() {
            process::spawn(measure(PoolMetering::new(&first.session.carrier), Arc::downgrade(&places)));
        }
        let mut links = Vec::new();
        for (index, (link, to_do)) in config.links.into_iter().zip(to_do).enumerate() {
            let name: Arc<str> = link.session.name.as_str().into();
            let session = link.session.clone();
            let (control, controlled) = watch::channel(Control { rest: config.rests, ..Control::default() });
            let first = if config.rests { LinkState::Resting } else { LinkState::Connecting };
            let (state, watched) = watch::channel(first);
            let seat = link::Seat { places: Arc::clone(&places), index };
            let (events, tap) = (events.clone(), config.tap.clone());
            let ends = link::Ends { commands: to_do, control: controlled, state, events, tap };
            process::spawn(link::Task::new(link, config.events_max, seat, ends).run());
            links.push(LinkFace { name, session, control, state: watched });
        }
        Ok((Pool(Arc::new(Face { places, links, tap: config.tap })), receiver))
    }

    /// A place in the window of the link with most of them free, if a message may go this instant and nobody waits.
    pub fn try_reserve(&self) -> Option<Slot> {
        self.0.places.try_reserve()
    }

    /// Waits for a place in a window until `deadline`; also while all links are down, or the pool is paused. That it will not
    /// come in time is said as soon as it can be known.
    pub async fn reserve(&self, lane: Lane, deadline: Instant) -> Result<Slot, ReserveError> {
        self.0.places.reserve(lane, deadline).await
    }

    /// How long an answer takes, nearly always, as measured; nothing before the first.
    pub fn expected_answer(&self) -> Duration {
        self.0.places.expected_answer()
    }

    /// Asks what became of a message. Waits for a place, in its turn among the messages, and for the answer until `deadline`, for
    /// the answer at most the response time-out.
    pub async fn query(&self, query: QuerySm, deadline: Instant) -> QueryOutcome {
        let mut slot = match self.0.places.reserve(Lane::Normal, deadline).await {
            Ok(slot) => slot,
            Err(ReserveError::Ended) => return QueryOutcome::NotWritten { why: Unwritten::NotBound },
            Err(ReserveError::Deadline | ReserveError::TooLate | ReserveError::Busy) => {
                return QueryOutcome::NotWritten { why: Unwritten::WindowFull };
            }
        };
        slot.leave_trial();
        let (reply, outcome) = oneshot::channel();
        match slot.commands().send(Command::Query { query, due: deadline, reply, slot }) {
            Ok(()) => outcome.await.unwrap_or(QueryOutcome::Unanswered { cause: DoubtCause::TaskEnded }),
            Err(_ended) => QueryOutcome::NotWritten { why: Unwritten::NotBound },
        }
    }

    /// Gives no more places until [`Pool::resume`]. Binds stay, deliveries go on, and places given are good.
    pub fn pause(&self) {
        self.0.places.set_paused(true);
    }

    /// Gives places again.
    pub fn resume(&self) {
        self.0.places.set_paused(false);
    }

    /// Which links have a bind from now on. The others drain, unbind, and rest until they are wanted again; their part of the rate
    /// rests with them.
    pub fn set_wanted(&self, is_wanted: impl Fn(&str) -> bool) {
        for (index, link) in self.0.links.iter().enumerate() {
            let rest = !is_wanted(&link.name);
            self.0.places.set_rests(index, rest);
            link.control.send_if_modified(|control| std::mem::replace(&mut control.rest, rest) != rest);
        }
    }

    /// Another rate for all links together, in messages a second, from now on.
    pub fn set_tps(&self, tps: u32) {
        self.0.places.set_tps(tps);
    }

    /// Other credentials for the link `name`, from its next bind on. Errors: they cannot be written; the old ones stay.
    pub fn set_bind(&self, name: &str, bind: Bind) -> Result<(), EncodeError> {
        for link in self.0.links.iter().filter(|link| *link.name == *name) {
            link::check_bind(&SessionConfig { bind: bind.clone(), ..link.session.clone() })?;
            let bind = Some(Arc::new(bind.clone()));
            link.control.send_modify(|control| control.bind = bind);
        }
        Ok(())
    }

    /// Ends the links for good: no more places; what is in flight may be answered until the drain time-out; `unbind`. Returns
    /// when every outcome has been given.
    pub async fn unbind(&self) {
        self.0.places.end();
        for link in &self.0.links {
            link.control.send_modify(|control| control.stop = true);
        }
        for link in &self.0.links {
            let mut state = link.state.clone();
            // An error means that the task is gone: ended all the more.
            let _ended = state.wait_for(|state| *state == LinkState::Ended).await;
        }
    }

    /// How the pool stands now.
    pub fn standing(&self) -> Standing {
        self.0.places.standing()
    }

    /// Where the PDUs of all links can be listened to.
    pub fn tap(&self) -> &Tap {
        &self.0.tap
    }

    /// How each link stands, by name, and every change of it.
    pub fn links(&self) -> impl Iterator<Item = (&str, watch::Receiver<LinkState>)> {
        self.0.links.iter().map(|link| (&*link.name, link.state.clone()))
    }
}

/// Sets the gauges until the pool is gone.
async fn measure(metering: PoolMetering, places: std::sync::Weak<Places>) {
    while let Some(places) = places.upgrade() {
        let standing = places.standing();
        metering.standing(metering::Load {
            rate_milli: standing.rate_milli,
            waiting: standing.waiting,
            breaker_open: matches!(standing.breaker, super::BreakerState::Open { .. }),
            throttled: standing.throttled,
        });
        drop(places);
        tokio::time::sleep(MEASURE_EVERY).await;
    }
}
