//! Our place among the daemons that serve the database: signs of life, what is ours, and who is gone.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use metrics::gauge;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    errands::Errands,
    plan::{Plan, plan},
};
use crate::{
    carrier::{Carrier, Divisible, SLOT_LASTS},
    charge::CarrierName,
    gateway::{ApplyError, Gateway, Inner},
    process,
    store::{Census, DatabaseClock, InstanceId, InstanceStanding, Instances, Peer, StoreError},
};

/// Signs of life within one lease.
const BEATS_PER_LEASE: u32 = 5;

/// Clocks that are further apart make what is reckoned by them useless: what lies between an answer that one daemon had and one of another.
const APART_MAX_MS: u64 = 1_000;

/// One that is fenced may be there still, and keep messages that nobody answers: what is left of it is looked at now and then.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What we know of the others, and what is ours.
#[derive(Debug)]
pub(in crate::gateway) struct Attendance {
    instances: Instances,
    /// What is divided with the others.
    divided: Vec<Divisible>,
    known: Mutex<Known>,
    /// The carriers to which we can send.
    serving: ArcSwap<BTreeSet<CarrierName>>,
    /// What others asked us to do.
    pub(super) errands: Errands,
    /// The others have taken us for dead.
    fenced: CancellationToken,
    /// There is nothing any more to attend for.
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct Known {
    /// The others, as they were seen last.
    peers: Vec<Peer>,
    /// Who has what, as it was seen last.
    holders: HashMap<String, InstanceId>,
    /// What we use.
    ours: BTreeSet<String>,
    /// When each of the others was first seen with the sign of life that is still its last.
    seen: HashMap<InstanceId, (i64, Instant)>,
    /// Since when those are fenced that are, as far as we know.
    fenced: HashMap<InstanceId, Instant>,
    /// Who is being taken over, or was, and when it may be looked at again.
    taken_over: HashMap<InstanceId, Option<Instant>>,
    /// Our lease was renewed when this was asked for.
    renewed_at: Option<Instant>,
}

impl Attendance {
    pub(in crate::gateway) fn new(instances: Instances, divided: Vec<Divisible>) -> Attendance {
        let (fenced, over) = (CancellationToken::new(), CancellationToken::new());
        Attendance {
            instances,
            divided,
            known: Mutex::default(),
            serving: ArcSwap::default(),
            errands: Errands::default(),
            fenced,
            over,
        }
    }

    pub(super) fn instances(&self) -> &Instances {
        &self.instances
    }

    /// Whether we can send to this carrier.
    pub(super) fn serves(&self, carrier: &CarrierName) -> bool {
        self.serving.load().contains(carrier)
    }

    /// Whether this is ours, and nobody else's.
    pub(in crate::gateway) fn is_ours(&self, unit: &str) -> bool {
        self.known().ours.contains(unit)
    }

    /// Returns once the others have taken us for dead.
    pub(in crate::gateway) async fn fenced(&self) {
        self.fenced.cancelled().await;
    }

    /// Whether there are others.
    fn has_company(&self) -> bool {
        self.known().peers.iter().any(|peer| peer.standing == InstanceStanding::Live)
    }

    /// Another daemon that has one of these.
    pub(super) fn holder_of(&self, units: &[String]) -> Option<Peer> {
        let known = self.known();
        let is_live =
            |id: &InstanceId| known.peers.iter().find(|peer| peer.id == *id && peer.standing == InstanceStanding::Live);
        units.iter().find_map(|unit| is_live(known.holders.get(unit)?)).cloned()
    }

    /// Whether we have one of these.
    fn has_one_of(&self, units: &[String]) -> bool {
        let known = self.known();
        units.iter().any(|unit| known.ours.contains(unit))
    }

    /// Takes note of what was seen. Returns who has given no sign of life for so long that it is to be fenced.
    fn note(&self, census: &Census, asked_at: Instant) -> Vec<InstanceId> {
        let mut known = self.known();
        let lease = self.instances.lease();
        // While we saw nobody, nobody can have been seen to be silent.
        let saw_nothing = known.renewed_at.is_none_or(|at| asked_at.duration_since(at) > lease / 2);
        known.renewed_at = Some(asked_at);
        known.peers.clone_from(&census.peers);
        known.holders = census.leases.iter().map(|lease| (lease.name.clone(), lease.holder)).collect();
        let me = self.instances.me();
        let held: BTreeSet<&str> =
            census.leases.iter().filter(|lease| lease.holder == me).map(|lease| lease.name.as_str()).collect();
        known.ours.retain(|unit| held.contains(unit.as_str()));
        let mut seen = HashMap::new();
        let mut silent = Vec::new();
        for peer in census.peers.iter().filter(|peer| peer.standing == InstanceStanding::Live) {
            let before = known.seen.get(&peer.id).filter(|(beats, _)| *beats == peer.beats && !saw_nothing);
            let since = before.map_or(asked_at, |(_, since)| *since);
            if peer.is_late && asked_at.duration_since(since) >= lease / 2 {
                silent.push(peer.id);
            }
            seen.insert(peer.id, (peer.beats, since));
        }
        known.seen = seen;
        silent
    }

    /// Those that can be taken over. What one that is fenced had opened before, it may send for as long as a slot lasts: so long they are waited for.
    fn gone(&self, census: &Census, now: Instant) -> Vec<InstanceId> {
        let mut known = self.known();
        known.taken_over.retain(|id, _| *id == InstanceId::NOBODY || census.peers.iter().any(|peer| peer.id == *id));
        known.fenced.retain(|id, _| census.peers.iter().any(|peer| peer.id == *id));
        let mut gone = Vec::new();
        for peer in &census.peers {
            match peer.standing {
                InstanceStanding::Live => {}
                InstanceStanding::Left => gone.push(peer.id),
                InstanceStanding::Fenced => {
                    let since = *known.fenced.entry(peer.id).or_insert(now);
                    gone.extend((now.saturating_duration_since(since) >= SLOT_LASTS).then_some(peer.id));
                }
            }
        }
        gone
    }

    /// What has become free of the lease in time: we must not use what may be another's.
    fn let_go(&self) -> bool {
        let is_over = process::now() >= self.lets_go_at();
        is_over && !std::mem::take(&mut self.known().ours).is_empty()
    }

    /// When what is ours may soon be another's, if our lease is not renewed before. Where nothing is ours, there is nothing to let go.
    fn lets_go_at(&self) -> Instant {
        let (known, lease) = (self.known(), self.instances.lease());
        match known.renewed_at.filter(|_| !known.ours.is_empty()) {
            Some(at) => at + lease * 2 / 3,
            None => process::now() + lease,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// Whether charges at this carrier go out from another daemon, which takes them from us.
    pub fn is_served_elsewhere(&self, carrier: &CarrierName) -> bool {
        self.0.carriers.get(carrier).is_some_and(|carrier| self.0.is_served_elsewhere(carrier))
    }
}

impl Inner {
    /// Whether this is ours, where several daemons divide such things.
    pub(in crate::gateway) fn is_ours(&self, unit: &str) -> bool {
        self.attendance.as_ref().is_none_or(|attendance| attendance.is_ours(unit))
    }

    /// Whether charges at this carrier go out from another daemon, which takes them from us.
    fn is_served_elsewhere(&self, carrier: &Carrier) -> bool {
        let holder = |attendance: &Arc<Attendance>| attendance.holder_of(&carrier.sending_units());
        self.exchange.is_some() && self.attendance.as_ref().and_then(holder).is_some_and(|peer| peer.address.is_some())
    }

    /// Gives what waits for this carrier's texts to a daemon that can send them, if we cannot. Whether we can.
    pub(in crate::gateway) async fn texts_or_hands_over(&self, carrier: &Carrier) -> bool {
        let Some(attendance) = self.attendance.as_ref().filter(|_| !self.texts(carrier)) else { return true };
        let Some(peer) = attendance.holder_of(&carrier.texting_units()) else { return false };
        match attendance.instances.hand_over_messages(carrier.name(), peer.id, self.now()).await {
            Ok(0) => {}
            Ok(messages) => {
                debug!(carrier = %carrier.name(), messages, to = peer.name, "they go out from another instance")
            }
            Err(error) => warn!(carrier = %carrier.name(), %error, "messages cannot be given to another instance yet"),
        }
        false
    }

    /// Whether texts of this carrier go out from here.
    pub(in crate::gateway) fn texts(&self, carrier: &Carrier) -> bool {
        self.attendance.as_ref().is_none_or(|attendance| attendance.has_one_of(&carrier.texting_units()))
    }

    /// Whether other daemons serve the same database.
    pub(in crate::gateway) fn has_company(&self) -> bool {
        self.attendance.as_ref().is_some_and(|attendance| attendance.has_company())
    }

    /// Gives signs of life and sees to it that everything is somebody's, until the gateway has stopped.
    pub(in crate::gateway) async fn attend(self: Arc<Self>, attendance: Arc<Attendance>) {
        let mut interval = tokio::time::interval(attendance.instances.lease() / BEATS_PER_LEASE);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = attendance.over.cancelled() => return,
                _ = interval.tick() => {}
                () = tokio::time::sleep_until(attendance.lets_go_at().into()) => {}
            }
            let patience = attendance.instances.lease() / 2;
            let until = (process::now() + patience).min(attendance.lets_go_at());
            match tokio::time::timeout_at(until.into(), self.look_around(&attendance)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(%error, "no sign of life could be given; soon again"),
                Err(_) => warn!("the database takes no sign of life; soon again"),
            }
            if attendance.let_go() {
                warn!("our lease could not be renewed in time: what we had of the carriers is left to others");
                self.use_what_is_ours(&attendance);
            }
        }
    }

    /// One sign of life, and what follows from what was seen.
    async fn look_around(self: &Arc<Self>, attendance: &Arc<Attendance>) -> Result<(), StoreError> {
        let asked_at = process::now();
        let census = attendance.instances.beat().await?;
        if census.is_fenced && !attendance.fenced.is_cancelled() {
            error!("the other instances have taken this one for dead and go on in its place");
            attendance.fenced.cancel();
        }
        if census.is_fenced {
            return self.divide(attendance, &census).await;
        }
        for silent in attendance.note(&census, asked_at) {
            match attendance.instances.fence(silent).await {
                Ok(true) => {
                    warn!(instance = %silent, "it gave no sign of life for longer than its lease: it is taken over")
                }
                Ok(false) => {}
                Err(error) => warn!(instance = %silent, %error, "it cannot be taken over yet"),
            }
        }
        if let Some(clock) = &census.clock {
            self.compare(clock);
        }
        let live = census.peers.iter().filter(|peer| peer.standing == InstanceStanding::Live).count();
        gauge!("instances").set(f64::from(u32::try_from(live + 1).unwrap_or(u32::MAX)));
        // What nobody looks after, for whatever reason, is somebody's within a minute.
        for gone in attendance.gone(&census, asked_at).into_iter().chain([InstanceId::NOBODY]) {
            self.take_over_apart(attendance, gone);
        }
        self.divide(attendance, &census).await
    }

    /// Holds our clock against the database's, as the others do with theirs.
    fn compare(&self, clock: &DatabaseClock) {
        let apart_ms = clock.apart_ms(self.now(), process::now());
        let ahead = Duration::from_millis(apart_ms.unsigned_abs()).as_secs_f64();
        gauge!("instances_clock_ahead_seconds").set(ahead.copysign(if apart_ms < 0 { -1.0 } else { 1.0 }));
        // Also of one that is alone: what one that is gone has left was written by the other clock.
        if apart_ms.unsigned_abs() > APART_MAX_MS {
            warn!(
                apart_ms,
                "our clock is apart from the database's: nothing that is not found counts as absent until it is set right"
            );
            self.clock.is_apart();
        }
    }

    /// Comes to our part of what is divided. What is to be left is first used no more, and given back after that.
    async fn divide(&self, attendance: &Attendance, census: &Census) -> Result<(), StoreError> {
        let me = attendance.instances.me();
        let nothing = census.is_fenced || self.stopping.is_cancelled();
        let Plan { take, leave } = plan(me, if nothing { &[] } else { &attendance.divided }, census);
        let held = |unit: &String| census.leases.iter().any(|lease| lease.holder == me && lease.name == *unit);
        let taken = if take.is_empty() { Vec::new() } else { attendance.instances.take(&take).await? };
        {
            let mut known = attendance.known();
            let all = attendance.divided.iter().flat_map(|divided| &divided.units);
            let ours = all.filter(|unit| !nothing && (taken.contains(unit) || held(unit) && !leave.contains(unit)));
            known.ours = ours.cloned().collect();
        }
        self.use_what_is_ours(attendance);
        let is_given_up = |name: &String| !attendance.is_ours(name) && !self.is_using(name);
        let ours = census.leases.iter().filter(|lease| lease.holder == me).map(|lease| lease.name.clone());
        let given_up: Vec<String> = ours.filter(is_given_up).collect();
        if !given_up.is_empty() {
            attendance.instances.give_back(&given_up).await?;
        }
        if !taken.is_empty() || !given_up.is_empty() {
            info!(?taken, ?given_up, "our part of what the instances divide");
        }
        Ok(())
    }

    fn use_what_is_ours(&self, attendance: &Attendance) {
        let mut serving = BTreeSet::new();
        for (name, carrier) in &self.carriers {
            carrier.use_only(|unit| attendance.is_ours(unit));
            if attendance.has_one_of(&carrier.sending_units()) {
                serving.insert(name.clone());
            }
        }
        attendance.serving.store(Arc::new(serving));
    }

    fn is_using(&self, unit: &str) -> bool {
        self.carriers.values().any(|carrier| carrier.is_using(unit))
    }

    /// Before anything else is done: gives the first sign of life, and takes over what those had that are gone.
    ///
    /// Errors: the store fails; then the gateway must not start.
    pub(in crate::gateway) async fn join(self: &Arc<Self>, attendance: &Arc<Attendance>) -> Result<(), ApplyError> {
        let asked_at = process::now();
        let census = attendance.instances.beat().await?;
        attendance.note(&census, asked_at);
        self.divide(attendance, &census).await?;
        // Who had our name is gone, whoever started us, if its connection was: the others are waited for.
        let instances = &attendance.instances;
        let is_gone = |peer: &&Peer| {
            peer.standing == InstanceStanding::Left || peer.name == instances.name() && !instances.has_displaced()
        };
        let gone: Vec<InstanceId> =
            census.peers.iter().filter(is_gone).map(|peer| peer.id).chain([InstanceId::NOBODY]).collect();
        attendance.known().taken_over.extend(gone.iter().map(|gone| (*gone, None)));
        process::spawn(self.clone().attend(attendance.clone()));
        for gone in gone {
            self.take_over(attendance, gone).await?;
            // Nobody waits for what is in doubt, and there may be very much of it.
            let (inner, attendance) = (self.clone(), attendance.clone());
            self.spawn(async move {
                let taken_over = inner.take_over_doubts(&attendance, gone).await;
                inner.has_taken_over(&attendance, gone, taken_over);
            });
        }
        Ok(())
    }

    /// Notes when it is looked at again.
    fn has_taken_over(&self, attendance: &Attendance, gone: InstanceId, taken_over: Result<(), ApplyError>) {
        if let Err(error) = &taken_over {
            warn!(instance = %gone, %error, "its charges are not all taken over yet");
        }
        let again_in = if taken_over.is_ok() { LOOK_AGAIN } else { Duration::ZERO };
        attendance.known().taken_over.insert(gone, Some(process::now() + again_in));
    }

    /// Takes over what one had that is gone, unless that is under way.
    fn take_over_apart(self: &Arc<Self>, attendance: &Arc<Attendance>, gone: InstanceId) {
        let is_under_way = match attendance.known().taken_over.get(&gone) {
            Some(None) => true,
            Some(Some(again_at)) => *again_at > process::now(),
            None => false,
        };
        if self.stopping.is_cancelled() || is_under_way {
            return;
        }
        attendance.known().taken_over.insert(gone, None);
        let (inner, attendance) = (self.clone(), attendance.clone());
        self.spawn(async move {
            let taken_over = match inner.take_over(&attendance, gone).await {
                Ok(()) => inner.take_over_doubts(&attendance, gone).await,
                failed => failed,
            };
            inner.has_taken_over(&attendance, gone, taken_over);
        });
    }

    /// Ends the attendance: what is still ours is the others' at once. Nothing may be written afterwards.
    pub(in crate::gateway) async fn leave(&self, attendance: &Attendance) {
        attendance.over.cancel();
        let leaving = tokio::time::timeout(Duration::from_secs(5), attendance.instances.leave());
        if !matches!(leaving.await, Ok(Ok(()))) {
            warn!("the other instances could not be told that we go; they take over once our lease has run out");
        }
    }
}
