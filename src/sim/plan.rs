//! What a world is like, all of it drawn from its seed.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    charge::LateSuccess,
    gateway::GatewayConfig,
    simulator::{ChargingMoment, DelayRange, Fault, FaultRule, MoForm, ReceiptForm},
};

/// How a carrier charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Smpp(ChargingMoment),
    Camara { two_step: bool },
    OneApi { two_step: bool },
    Cis { two_step: bool },
}

/// How a carrier gives money back over SMPP.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefundPlan {
    pub(super) at: ChargingMoment,
    pub(super) partial: bool,
    /// Whether `query_sm` is answered.
    pub(super) queries: bool,
}

/// One carrier.
#[derive(Clone, Debug)]
pub(super) struct CarrierPlan {
    pub(super) name: &'static str,
    /// The three digits after +7.
    pub(super) prefix: &'static str,
    pub(super) kind: Kind,
    /// How it gives money back over SMPP, if its contract says that it does.
    pub(super) refunds: Option<RefundPlan>,
    pub(super) faults: Vec<FaultRule>,
    pub(super) response_delay: DelayRange,
    pub(super) delivery_delay: DelayRange,
    /// Every so often all its links are reset, on average.
    pub(super) resets_every: Option<Duration>,
}

/// How often something goes wrong, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StorePlan {
    pub(super) failed: u32,
    pub(super) unanswered: u32,
    pub(super) slow: u32,
    pub(super) ended_before: u32,
    pub(super) ended_after: u32,
}

/// The same for connections and requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NetworkPlan {
    /// Nothing is written.
    pub(super) refused: u32,
    /// Lost on the way there.
    pub(super) lost_before: u32,
    /// Lost on the way back.
    pub(super) lost_after: u32,
    /// Held up on the way there, perhaps for longer than anybody waits.
    pub(super) late: u32,
}

/// A whole world.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) carriers: Vec<CarrierPlan>,
    /// Passengers of each carrier.
    pub(super) passengers: u32,
    /// How long things go wrong.
    pub(super) lasts: Duration,
    pub(super) gateway: GatewayConfig,
    pub(super) store: StorePlan,
    pub(super) network: NetworkPlan,
    /// Every so often the process is killed, or stopped in order, on average.
    pub(super) ends_every: Option<Duration>,
    /// Every so often the gateway's wall clock jumps, on average.
    pub(super) jumps_every: Option<Duration>,
}

/// What in a world draws its own chance, so that one does not disturb the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Plan,
    Process(u64),
    Carrier(u64),
    Network,
    Office,
    Supervisor,
    Passenger(u64),
    Staff(u64),
    Weather(u64),
    Follower,
    Refunds(u64),
    Audit,
}

/// The dice of one role.
pub(super) fn dice(seed: u64, role: Role) -> StdRng {
    StdRng::seed_from_u64(sub_seed(seed, role))
}

/// A seed for one role.
pub(super) fn sub_seed(seed: u64, role: Role) -> u64 {
    let (kind, number) = match role {
        Role::Plan => (1, 0),
        Role::Process(number) => (2, number),
        Role::Carrier(number) => (3, number),
        Role::Network => (4, 0),
        Role::Office => (5, 0),
        Role::Supervisor => (6, 0),
        Role::Passenger(number) => (7, number),
        Role::Staff(number) => (8, number),
        Role::Weather(number) => (9, number),
        Role::Follower => (10, 0),
        Role::Refunds(number) => (12, number),
        Role::Audit => (11, 0),
    };
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (kind << 56) ^ number
}

/// Carriers' names with their prefixes.
const CARRIERS: [(&str, &str); 3] = [("beeline", "705"), ("kcell", "701"), ("tele2", "707")];

/// A pause of `every` on average.
pub(super) fn pause(dice: &mut impl Rng, every: Duration) -> Duration {
    let ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX / 2);
    Duration::from_millis(dice.random_range(0..=2 * ms))
}

impl Plan {
    /// The world of this seed.
    pub(super) fn new(seed: u64) -> Plan {
        let mut dice = dice(seed, Role::Plan);
        let count = *[1, 1, 2, 3].choose(&mut dice).expect("there are some");
        let carriers = CARRIERS.iter().take(count).map(|(name, prefix)| CarrierPlan::new(&mut dice, name, prefix));
        let mut carriers: Vec<CarrierPlan> = carriers.collect();
        for (number, carrier) in (0..).zip(&mut carriers) {
            if let Kind::Smpp(_) = carrier.kind {
                carrier.refunds = RefundPlan::new(&mut self::dice(seed, Role::Refunds(number)));
            }
        }
        let often = |dice: &mut StdRng, odds: &[u32]| *odds.choose(dice).expect("there are some");
        let store = match dice.random_bool(0.5) {
            false => StorePlan::default(),
            true => StorePlan {
                failed: often(&mut dice, &[0, 0, 5, 30]),
                unanswered: often(&mut dice, &[0, 0, 5, 20]),
                slow: often(&mut dice, &[0, 50, 200]),
                ended_before: often(&mut dice, &[0, 1, 5, 10]),
                ended_after: often(&mut dice, &[0, 1, 5, 10]),
            },
        };
        let network = match dice.random_bool(0.5) {
            false => NetworkPlan::default(),
            true => NetworkPlan {
                refused: often(&mut dice, &[0, 10, 100]),
                lost_before: often(&mut dice, &[0, 20, 100]),
                lost_after: often(&mut dice, &[0, 20, 100]),
                late: often(&mut dice, &[0, 20, 100]),
            },
        };
        let gateway = GatewayConfig {
            ticket_deadline_seconds: *[15, 60].choose(&mut dice).expect("there are some"),
            late_success: *[LateSuccess::Refund, LateSuccess::Ticket].choose(&mut dice).expect("there are some"),
            repeat_window_seconds: *[60, 900].choose(&mut dice).expect("there are some"),
            sweep_interval_ms: 2_000,
            reply_ttl_seconds: 600,
            ..GatewayConfig::default()
        };
        let seconds = |dice: &mut StdRng, range| Duration::from_secs(dice.random_range(range));
        Plan {
            seed,
            carriers,
            passengers: dice.random_range(2..=5),
            lasts: seconds(&mut dice, 60..=240),
            gateway,
            store,
            network,
            ends_every: dice.random_bool(0.5).then(|| seconds(&mut dice, 15..=120)),
            jumps_every: dice.random_bool(0.3).then(|| seconds(&mut dice, 30..=120)),
        }
    }
}

impl RefundPlan {
    /// Two in three contracts have refunds.
    fn new(dice: &mut StdRng) -> Option<RefundPlan> {
        let at = *[ChargingMoment::Submission, ChargingMoment::Delivery].choose(dice)?;
        let plan = RefundPlan { at, partial: dice.random_bool(0.7), queries: dice.random_bool(0.5) };
        (dice.random_range(0..3) > 0).then_some(plan)
    }
}

impl CarrierPlan {
    fn new(dice: &mut StdRng, name: &'static str, prefix: &'static str) -> CarrierPlan {
        let two_step = dice.random_bool(0.5);
        let kind = match dice.random_range(0..6) {
            0 | 1 => Kind::Smpp(ChargingMoment::Submission),
            2 => Kind::Smpp(ChargingMoment::Delivery),
            3 => Kind::Camara { two_step },
            4 => Kind::OneApi { two_step },
            _ => Kind::Cis { two_step },
        };
        let possible = possible_faults(kind);
        let kinds = if dice.random_bool(0.3) { 0 } else { dice.random_range(1..=6) };
        let faults = possible.sample(dice, kinds).copied().collect::<Vec<_>>();
        let faults = faults.into_iter().map(|fault| {
            let probability = *[0.02, 0.1, 0.3].choose(dice).expect("there are some");
            FaultRule::at_random(probability, fault)
        });
        let faults = faults.collect();
        let range =
            |dice: &mut StdRng, max: &[u64]| DelayRange { min: 0, max: *max.choose(dice).expect("there are some") };
        CarrierPlan {
            name,
            prefix,
            kind,
            refunds: None,
            faults,
            response_delay: range(dice, &[20, 500, 6_000]),
            delivery_delay: range(dice, &[50, 2_000, 20_000]),
            resets_every: dice.random_bool(0.4).then(|| Duration::from_secs(dice.random_range(5..=60))),
        }
    }
}

/// What can go wrong at a carrier of this kind. Every one has an SMSC, for texts at least.
fn possible_faults(kind: Kind) -> Vec<Fault> {
    let late = 15_000;
    let mut faults = vec![
        Fault::Throttle,
        Fault::QueueFull,
        Fault::Refuse { status: 0x58, body: true },
        Fault::Nack,
        Fault::DropLinkBeforeCharge,
        Fault::SystemError { charged: true },
        Fault::SystemError { charged: false },
        Fault::DropResponse,
        Fault::DelayResponse { ms: late },
        Fault::OutOfOrder,
        Fault::ReceiptBeforeResponse,
        Fault::DuplicateResponse,
        Fault::UnknownSequenceFirst,
        Fault::EmptyMessageId,
        Fault::MissingMessageId,
        Fault::WrongResponseType,
        Fault::NackSequenceZero,
        Fault::GarbagePdu,
        Fault::DropLinkAfterSubmit,
        Fault::UnbindMidWindow,
        Fault::GoSilent { ms: 20_000 },
        Fault::StopReading { ms: 10_000 },
        Fault::DuplicateReceipt,
        Fault::NoReceipt,
        Fault::LateReceipt { ms: 30_000 },
        Fault::EnrouteFirst,
        Fault::UndeliveredFirst,
        Fault::UnknownIdFirst,
        Fault::ReceiptOnOtherLink,
        Fault::ReceiptAs { form: ReceiptForm::Tlv },
        Fault::ReceiptFieldsMissing,
        Fault::ReceiptWithoutEsmClass,
        Fault::RedeliverMo,
        Fault::MoResponseLost,
        Fault::MoInParts { form: MoForm::Udh8 },
        Fault::MoPartTwice,
        Fault::MoPartMissing,
        Fault::RefuseBind { status: 0x0D },
        Fault::StaleBind { ms: 20_000 },
        Fault::ResetAfterBind { ms: 5_000 },
        Fault::IgnoreEnquireLink,
    ];
    if !matches!(kind, Kind::Smpp(_)) {
        faults.truncate(24);
        faults.extend([
            Fault::HttpTimeOutBefore { ms: 20_000 },
            Fault::HttpResetBefore,
            Fault::HttpErrorBefore { status: 503 },
            Fault::HttpThrottle { retry_after_s: 2 },
            Fault::HttpForbidden,
            Fault::HttpTokenExpired,
            Fault::HttpLate { ms: late },
            Fault::HttpSlow { ms: late },
            Fault::HttpTimeOutAfter { ms: 20_000 },
            Fault::HttpResetAfter,
            Fault::HttpErrorAfter { status: 500 },
            Fault::HttpDuplicate { charged: true },
            Fault::HttpDuplicate { charged: false },
            Fault::HttpGarbage,
            Fault::HttpWrongContentType,
            Fault::HttpTruncated,
            Fault::HttpCallbackFirst,
            Fault::HttpCallbackTwice,
            Fault::HttpCallbackLost,
            Fault::HttpCallbackWrongToken,
            Fault::HttpCallbackUnknown,
        ]);
    }
    faults
}
