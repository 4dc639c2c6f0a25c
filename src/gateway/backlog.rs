//! What a carrier kept back for us while we could not take it.
//!
//! A passenger whose message waited at the carrier has left the bus, and must not be charged for it. Messages do not say when
//! they were written. So two things are remembered of each carrier: which messages were put off, and since when; and when
//! messages could last be taken, so that what comes after an outage is known to have waited. Instants are passed in.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use crate::{clock::Timestamp, store::MoKind};

/// Messages that were put off; the oldest are forgotten first, and then they are new when they come again.
const PUT_OFF_MAX: usize = 10_000;
/// A carrier that has not brought a message again for so long has given it up. What says the same then is a new message.
const PUT_OFF_FOR_MAX: Duration = Duration::from_secs(3_600);
/// The longest that what is durable about the last moment may lag behind.
const WATCH_EVERY_MAX: Duration = Duration::from_secs(5);

/// The two spans that the operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BacklogConfig {
    /// An outage that was longer makes a backlog.
    pub(super) outage: Duration,
    /// For so long after it, what arrives is backlog.
    pub(super) lasts: Duration,
}

/// The memory of one carrier.
#[derive(Debug)]
pub(super) struct Backlog {
    config: BacklogConfig,
    /// When messages could last be taken; `None` before the first time of all.
    taken_at: Option<Timestamp>,
    /// The last such moment that is durable: what the next process will know.
    watched_at: Option<Timestamp>,
    /// For how much longer messages must be taken until the backlog is through; zero if there is none.
    left: Duration,
    put_off: HashMap<[u8; 32], PutOff>,
    /// In the order in which they were first put off. Those that have come since are passed over.
    order: VecDeque<([u8; 32], Timestamp)>,
}

#[derive(Clone, Copy, Debug)]
struct PutOff {
    first: Timestamp,
    last: Timestamp,
}

/// What is known of a message that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// When it first came.
    pub(super) received_at: Timestamp,
    /// [`MoKind::Prompt`] or [`MoKind::Late`].
    pub(super) kind: MoKind,
}

impl Backlog {
    /// `taken_at` is what an earlier process left behind.
    pub(super) fn new(config: BacklogConfig, taken_at: Option<Timestamp>) -> Backlog {
        let watched_at = taken_at;
        let left = Duration::ZERO;
        Backlog { config, taken_at, watched_at, left, put_off: HashMap::new(), order: VecDeque::new() }
    }

    /// A message is here, and is about to be kept. That it can be kept is not known yet.
    pub(super) fn arrives(&self, fingerprint: &[u8; 32], now: Timestamp) -> Arrival {
        let kind = if self.has_backlog(now) { MoKind::Late } else { MoKind::Prompt };
        Arrival { received_at: self.known(fingerprint, now).map_or(now, |known| known.first), kind }
    }

    /// The message could not be kept; the carrier is asked to bring it again.
    pub(super) fn put_off(&mut self, fingerprint: [u8; 32], now: Timestamp) {
        let first = self.known(&fingerprint, now).map(|known| known.first);
        self.put_off.insert(fingerprint, PutOff { first: first.unwrap_or(now), last: now });
        if first.is_none() {
            self.order.push_back((fingerprint, now));
        }
        while self.order.len() > PUT_OFF_MAX {
            self.forget_oldest();
        }
    }

    /// The message is kept, as of `now`.
    pub(super) fn kept(&mut self, fingerprint: &[u8; 32], now: Timestamp) {
        self.put_off.remove(fingerprint);
        while self.order.front().is_some_and(|(front, first)| !self.is_put_off_since(front, *first)) {
            self.order.pop_front();
        }
        self.can_take(now);
    }

    /// Messages can be taken at `now`: the carrier is bound, and the store writes.
    pub(super) fn can_take(&mut self, now: Timestamp) {
        self.left = if self.ends_an_outage(now) { self.config.lasts } else { self.left_at(now) };
        // A clock that jumps back must not make an outage of the time until it is where it was.
        self.taken_at = Some(now);
    }

    /// Another daemon could take messages at that moment, and has kept that.
    pub(super) fn taken_elsewhere(&mut self, at: Timestamp) {
        if self.taken_at.is_none_or(|taken_at| taken_at < at) {
            self.taken_at = Some(at);
            self.watched_at = self.watched_at.max(Some(at));
        }
    }

    /// If it is time to make durable that messages can be taken: the moment that is to be kept. As long as there is a backlog that is
    /// the moment before its outage, so that a process that starts anew in the midst of it knows of it.
    pub(super) fn watch(&self, now: Timestamp) -> Option<Timestamp> {
        let Some(watched_at) = self.watched_at else { return Some(now) };
        let is_due = now < watched_at || now.since(watched_at) >= self.watch_every();
        is_due.then(|| if self.has_backlog(now) { watched_at } else { now })
    }

    /// What [`Backlog::watch`] gave is durable, so messages can be taken at `now`.
    pub(super) fn watched(&mut self, kept: Timestamp, now: Timestamp) {
        self.watched_at = Some(kept);
        self.can_take(now);
    }

    /// For how long messages could not be taken; zero if that is not known.
    pub(super) fn outage(&self, now: Timestamp) -> Duration {
        self.taken_at.map_or(Duration::ZERO, |taken_at| now.since(taken_at))
    }

    fn ends_an_outage(&self, now: Timestamp) -> bool {
        self.outage(now) > self.config.outage
    }

    fn has_backlog(&self, now: Timestamp) -> bool {
        self.ends_an_outage(now) || !self.left_at(now).is_zero()
    }

    /// Time counts while messages can be taken: not if the link has been down again since.
    fn left_at(&self, now: Timestamp) -> Duration {
        self.left.saturating_sub(self.outage(now).min(self.watch_every()))
    }

    fn watch_every(&self) -> Duration {
        WATCH_EVERY_MAX.min(self.config.outage / 4)
    }

    fn known(&self, fingerprint: &[u8; 32], now: Timestamp) -> Option<PutOff> {
        self.put_off.get(fingerprint).copied().filter(|known| now.since(known.last) <= PUT_OFF_FOR_MAX)
    }

    fn is_put_off_since(&self, fingerprint: &[u8; 32], first: Timestamp) -> bool {
        self.put_off.get(fingerprint).is_some_and(|known| known.first == first)
    }

    fn forget_oldest(&mut self) {
        if let Some((oldest, first)) = self.order.pop_front()
            && self.is_put_off_since(&oldest, first)
        {
            self.put_off.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: BacklogConfig = BacklogConfig { outage: Duration::from_secs(120), lasts: Duration::from_secs(20) };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_772_350_200).plus(Duration::from_secs(seconds))
    }

    fn kind(backlog: &Backlog, second: u64) -> MoKind {
        backlog.arrives(&[0; 32], at(second)).kind
    }

    #[test]
    fn what_comes_after_an_outage_is_late_for_a_while() {
        let mut backlog = Backlog::new(CONFIG, Some(at(0)));
        assert_eq!(kind(&backlog, 120), MoKind::Prompt);
        // The first message may come before anybody has noticed that the outage is over.
        assert_eq!(kind(&backlog, 121), MoKind::Late);
        backlog.kept(&[0; 32], at(121));
        for second in 121..160 {
            let expected = if second < 141 { MoKind::Late } else { MoKind::Prompt };
            assert_eq!(kind(&backlog, second), expected, "second {second}");
            backlog.can_take(at(second));
        }
    }

    #[test]
    fn time_in_which_nothing_could_be_taken_does_not_shorten_a_backlog() {
        let mut backlog = Backlog::new(CONFIG, Some(at(0)));
        backlog.can_take(at(1_000));
        backlog.can_take(at(1_002));
        assert_eq!(kind(&backlog, 1_100), MoKind::Late, "the link was down again, for less than an outage");
        backlog.can_take(at(1_100));
        assert_eq!(kind(&backlog, 1_101), MoKind::Late);
        for second in 1_101..1_120 {
            backlog.can_take(at(second));
        }
        assert_eq!(kind(&backlog, 1_120), MoKind::Prompt);
    }

    #[test]
    fn a_process_that_starts_in_the_midst_of_a_backlog_knows_of_it() {
        let mut first = Backlog::new(CONFIG, Some(at(0)));
        let mut durable = at(0);
        for second in 1_000..1_010 {
            durable = first.watch(at(second)).expect("it is due");
            first.watched(durable, at(second));
        }
        let mut next = Backlog::new(CONFIG, Some(durable));
        assert_eq!(kind(&next, 1_020), MoKind::Late);
        for second in 1_020..1_060 {
            if let Some(kept) = next.watch(at(second)) {
                (durable, _) = (kept, next.watched(kept, at(second)));
            }
        }
        assert_eq!(kind(&next, 1_060), MoKind::Prompt);
        assert_eq!(kind(&Backlog::new(CONFIG, Some(durable)), 1_070), MoKind::Prompt, "it is through");
    }

    #[test]
    fn that_messages_can_be_taken_is_made_durable_now_and_then_however_many_come() {
        let mut backlog = Backlog::new(CONFIG, None);
        assert_eq!(backlog.watch(at(0)), Some(at(0)));
        backlog.watched(at(0), at(0));
        for second in 1..5 {
            backlog.kept(&[0; 32], at(second));
            assert_eq!(backlog.watch(at(second)), None);
        }
        assert_eq!(backlog.watch(at(5)), Some(at(5)));
        let before_the_clock_jumped_back = at(0).minus(Duration::from_secs(1));
        assert_eq!(backlog.watch(before_the_clock_jumped_back), Some(before_the_clock_jumped_back));
    }

    #[test]
    fn a_first_start_has_no_backlog() {
        let mut backlog = Backlog::new(CONFIG, None);
        assert_eq!(kind(&backlog, 0), MoKind::Prompt);
        backlog.can_take(at(0));
        assert_eq!((kind(&backlog, 1), backlog.outage(at(9))), (MoKind::Prompt, Duration::from_secs(9)));
    }

    #[test]
    fn an_outage_of_the_store_is_one_although_messages_arrive() {
        let mut backlog = Backlog::new(CONFIG, Some(at(0)));
        for second in (10..200).step_by(10) {
            backlog.put_off([1; 32], at(second));
        }
        let arrival = backlog.arrives(&[1; 32], at(200));
        assert_eq!(arrival, Arrival { received_at: at(10), kind: MoKind::Late });
    }

    #[test]
    fn a_message_that_was_put_off_is_as_old_as_its_first_delivery() {
        let mut backlog = Backlog::new(CONFIG, Some(at(0)));
        backlog.put_off([1; 32], at(5));
        backlog.put_off([1; 32], at(30));
        assert_eq!(backlog.arrives(&[1; 32], at(60)).received_at, at(5));
        assert_eq!(backlog.arrives(&[2; 32], at(60)).received_at, at(60));
        backlog.kept(&[1; 32], at(60));
        assert_eq!(backlog.arrives(&[1; 32], at(61)).received_at, at(61), "the next one is another");
        assert!(backlog.order.is_empty());
    }

    #[test]
    fn a_message_that_was_given_up_is_not_taken_for_the_same_text_of_the_next_day() {
        let mut backlog = Backlog::new(CONFIG, Some(at(0)));
        backlog.put_off([1; 32], at(5));
        assert_eq!(backlog.arrives(&[1; 32], at(3_605)).received_at, at(5));
        assert_eq!(backlog.arrives(&[1; 32], at(3_606)).received_at, at(3_606));
        backlog.put_off([1; 32], at(86_400));
        assert_eq!(backlog.arrives(&[1; 32], at(86_401)).received_at, at(86_400));
    }

    #[test]
    fn a_clock_that_jumps_back_makes_no_backlog() {
        let mut backlog = Backlog::new(CONFIG, Some(at(10_000)));
        assert_eq!(kind(&backlog, 5_000), MoKind::Prompt);
        backlog.can_take(at(20_000));
        assert_eq!(kind(&backlog, 20_010), MoKind::Late);
        for second in 15_000..15_021 {
            backlog.can_take(at(second));
        }
        assert_eq!(kind(&backlog, 15_021), MoKind::Prompt, "the clock makes it no longer than it is");
    }

    proptest! {
        #[test]
        fn the_memory_is_bounded_whatever_comes(
            events in prop::collection::vec((0..3_u8, any::<u16>(), 0..400_u64), 0..400)
        ) {
            let mut backlog = Backlog::new(CONFIG, None);
            // Near its bound from the start.
            for n in 0..PUT_OFF_MAX as u64 - 100 {
                backlog.put_off([n.to_be_bytes(); 4].concat().try_into().expect("32"), at(0));
            }
            let mut second = 0;
            for (event, n, pause) in events {
                second += pause;
                let fingerprint = [[n.to_be_bytes()[1]; 8]; 4].concat().try_into().expect("32");
                match event {
                    0 => backlog.kept(&fingerprint, at(second)),
                    1 => backlog.can_take(at(second)),
                    _ => backlog.put_off(fingerprint, at(second)),
                }
                prop_assert!(backlog.arrives(&fingerprint, at(second)).received_at <= at(second));
                prop_assert!(backlog.order.len() <= PUT_OFF_MAX && backlog.put_off.len() <= backlog.order.len());
            }
        }
    }
}
