//! The exchange without its SMSC: whatever is submitted and whatever strikes, the books balance.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    clock::Timestamp,
    simulator::{
        exchange::{Arrival, Exchange},
        message::{self, Submission},
        ruling::Reply,
    },
};

const FAULTS: [Fault; 20] = [
    Fault::DropResponse,
    Fault::DelayResponse { ms: 5 },
    Fault::DuplicateResponse,
    Fault::NoReceipt,
    Fault::UndeliveredFirst,
    Fault::DropLinkAfterSubmit,
    Fault::DropLinkBeforeCharge,
    Fault::Throttle,
    Fault::SystemError { charged: false },
    Fault::SystemError { charged: true },
    Fault::EmptyMessageId,
    Fault::Nack,
    Fault::NackSequenceZero,
    Fault::Refuse { status: 0x45, body: true },
    Fault::BadLength { command_length: 0 },
    Fault::GoSilent { ms: 5 },
    Fault::UnbindMidWindow,
    Fault::ReusedMessageId,
    Fault::OutOfOrder,
    Fault::UnknownIdFirst,
];

fn submission(last: u64, tariff: Option<&str>) -> Submission {
    Submission {
        to: number(last),
        to_as_written: number(last).e164().to_string(),
        text: "SMSBUS".into(),
        tariff: tariff.map(str::to_owned),
        validity: Some(Duration::from_secs(60)),
        ..message::tests::submission()
    }
}

/// Four numbers: two plain ones, one that may not pay, one whose phone is off.
fn exchange(moment: ChargingMoment, faults: Vec<(Fault, f64)>, seed: u64) -> Exchange {
    Exchange::new(SimulatorConfig {
        charging: Charging { at: moment },
        subscribers: [
            (number(3), Subscriber::with_balance(20_000).and(Condition::RecentSimSwap)),
            (number(4), Subscriber::with_balance(20_000).and(Condition::PhoneOff)),
        ]
        .into(),
        faults: faults.into_iter().map(|(fault, probability)| FaultRule::at_random(probability, fault)).collect(),
        seed,
        ..quick()
    })
    .expect("a valid configuration")
}

proptest! {
    #[test]
    fn what_left_the_balances_is_what_the_ledger_says(
        at_delivery: bool,
        faults in prop::collection::vec((prop::sample::select(FAULTS.to_vec()), 0.0..0.5), 0..5),
        seed: u64,
        script in prop::collection::vec((1_u64..5, any::<bool>()), 1..40),
    ) {
        let moment = if at_delivery { ChargingMoment::Delivery } else { ChargingMoment::Submission };
        let mut exchange = exchange(moment, faults, seed);
        let begin = Timestamp::from_unix_seconds(1_772_350_200);
        let mut accepted = Vec::new();
        for (step, (last, paid)) in (0..).zip(script) {
            let charges_before = exchange.ledger.entries().len();
            let ruling = exchange.submit(submission(last, paid.then_some("BUS_80")), begin.plus(Duration::from_secs(step)));
            let charged_now = exchange.ledger.entries().len() - charges_before;
            prop_assert_eq!(charged_now, usize::from(!at_delivery && paid && ruling.accepted.is_some()));
            if let Reply::Accepted { .. } = ruling.reply {
                prop_assert!(ruling.accepted.is_some());
            }
            accepted.extend(ruling.accepted);
        }
        // Long after every validity period: each message ends, and ends once.
        for (key, _) in &accepted {
            let arrival = exchange.arrive(*key, begin.plus(Duration::from_secs(50)));
            if matches!(arrival, Some(Arrival::Later(_))) {
                let expired = exchange.arrive(*key, begin.plus(Duration::from_secs(500)));
                prop_assert!(matches!(expired, Some(Arrival::Ended { .. })), "{:?}", expired);
            }
            prop_assert_eq!(exchange.arrive(*key, begin.plus(Duration::from_secs(501))), None);
        }
        prop_assert_eq!(exchange.messages.pending(), 0);
        for last in 1..5 {
            let left = Money::kzt(20_000 - exchange.subscribers.get(number(last)).balance_minor);
            prop_assert_eq!(left, exchange.ledger.total_of(number(last)));
        }
        prop_assert_eq!(exchange.ledger.total_of(number(3)), Money::kzt(0));
        if at_delivery {
            prop_assert_eq!(exchange.ledger.total_of(number(4)), Money::kzt(0), "a phone that is off pays nothing");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_carrier() {
    let rulings = |seed| {
        let mut exchange = exchange(ChargingMoment::Submission, vec![(Fault::DropResponse, 0.5)], seed);
        let at = Timestamp::from_unix_seconds(0);
        (0..32).map(|_| exchange.submit(submission(1, None), at)).collect::<Vec<_>>()
    };
    assert_eq!(rulings(1), rulings(1));
    assert_ne!(rulings(1), rulings(2));
}

#[test]
fn a_full_smsc_refuses_before_it_charges() {
    let limits = Limits { messages_pending_max: 1, ..Limits::default() };
    let mut exchange = Exchange::new(SimulatorConfig { limits, ..quick() }).expect("valid");
    let at = Timestamp::from_unix_seconds(0);
    assert!(exchange.submit(submission(1, Some("BUS_80")), at).accepted.is_some());
    assert_eq!(exchange.submit(submission(1, Some("BUS_80")), at).reply, Reply::Status { status: 0x14, body: false });
    assert_eq!(exchange.ledger.total(), Money::kzt(8_000));
}

#[test]
fn a_fault_says_rightly_whether_the_message_is_charged() {
    for fault in FAULTS {
        let mut exchange = exchange(ChargingMoment::Submission, vec![(fault, 1.0)], 1);
        exchange.submit(submission(1, Some("BUS_80")), Timestamp::from_unix_seconds(0));
        assert_eq!(exchange.ledger.entries().is_empty(), fault.prevents_charge(), "{fault:?}");
    }
}
