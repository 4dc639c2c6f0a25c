//! Our place among the daemons that serve the database: signs of life, what is ours, and who is gone.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use metrics::gauge;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    errands::Errands,
    plan::{Plan, plan},
};
use crate::{
    carrier::{Carrier, Divisible},
    charge::CarrierName,
    gateway::{ApplyError, Inner},
    process,
    store::{Census, InstanceId, InstanceStanding, Instances, Peer, StoreError},
};

/// Signs of life within one lease.
const BEATS_PER_LEASE: u32 = 5;

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

    /// What has become free of the lease in time: we must not use what may be another's.
    fn let_go(&self) -> bool {
        let mut known = self.known();
        let left = known.renewed_at.map(|at| process::now().saturating_duration_since(at));
        let is_over = left.is_none_or(|since| since >= self.instances.lease() * 2 / 3);
        is_over && !std::mem::take(&mut known.ours).is_empty()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether this is ours, where several daemons divide such things.
    pub(in crate::gateway) fn is_ours(&self, unit: &str) -> bool {
        self.attendance.as_ref().is_none_or(|attendance| attendance.is_ours(unit))
    }

    /// Gives what waits for this carrier's texts to a daemon that can send them, if we cannot. Whether we can.
    pub(in crate::gateway) async fn texts_or_hands_over(&self, carrier: &Carrier) -> Result<bool, StoreError> {
        let Some(attendance) = &self.attendance else { return Ok(true) };
        let units = carrier.texting_units();
        if attendance.has_one_of(&units) {
            return Ok(true);
        }
        if let Some(peer) = attendance.holder_of(&units) {
            let handed_over = attendance.instances.hand_over_messages(carrier.name(), peer.id, self.now()).await?;
            if handed_over > 0 {
                info!(carrier = %carrier.name(), handed_over, to = peer.name, "messages go out from another instance");
            }
        }
        Ok(false)
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
            }
            let looked = tokio::time::timeout(attendance.instances.lease() / 2, self.look_around(&attendance)).await;
            match looked {
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
        for silent in attendance.note(&census, asked_at) {
            match attendance.instances.fence(silent).await {
                Ok(true) => {
                    warn!(instance = %silent, "it gave no sign of life for longer than its lease: it is taken over")
                }
                Ok(false) => {}
                Err(error) => warn!(instance = %silent, %error, "it cannot be taken over yet"),
            }
        }
        gauge!("instances").set(f64::from(u32::try_from(census.peers.len() + 1).unwrap_or(u32::MAX)));
        for gone in census.peers.iter().filter(|peer| peer.standing != InstanceStanding::Live) {
            self.take_over_apart(attendance, gone.id);
        }
        self.divide(attendance, &census).await
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
    pub(in crate::gateway) async fn join(self: &Arc<Self>, attendance: &Attendance) -> Result<(), ApplyError> {
        let census = attendance.instances.beat().await?;
        let gone = census.peers.iter().filter(|peer| peer.standing != InstanceStanding::Live).map(|peer| peer.id);
        for gone in gone.chain([InstanceId::NOBODY]) {
            self.take_over(attendance, gone).await?;
            attendance.known().taken_over.insert(gone, Some(process::now() + LOOK_AGAIN));
        }
        self.divide(attendance, &census).await?;
        Ok(())
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
            if let Err(error) = inner.take_over(&attendance, gone).await {
                warn!(instance = %gone, %error, "its charges are not all taken over yet");
            }
            attendance.known().taken_over.insert(gone, Some(process::now() + LOOK_AGAIN));
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
