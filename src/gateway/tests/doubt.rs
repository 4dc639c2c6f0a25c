//! How doubt ends: by a person, late, or not at all; and what passengers are told of it.

use std::time::Duration;

use super::world::{Over, PATIENCE, Setting, World, msisdn};
use crate::{
    charge::{Break, Charge, Event, Illegal, Reference, RefundState, State},
    clock::{Clock, ManualClock},
    gateway::{
        ApplyError, GatewayConfig, Purchased, RefundError, RefundOutcome, RefundResolution, RefundTexts, Resolution,
    },
    ledger::Account,
    money::Money,
    simulator::{Charging, ChargingMoment, Fault, FaultRule, Operation},
    store::{RefundFilter, RefundStanding, Write},
    ticket::short_code::{SERIAL_MAX, ShortCode},
};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";
const LONG: Duration = Duration::from_secs(3_700);

fn by_hand(setting: Setting) -> (World, ManualClock) {
    let hand = ManualClock::new(Clock::System.now());
    (World::new(Setting { clock: Clock::Manual(hand.clone()), ..setting }), hand)
}

fn resolution(charged: bool) -> Resolution {
    Resolution { charged, by: "aigul".into(), because: "the carrier's log".into() }
}

fn resolve(world: &World, charge: &Charge, charged: bool) -> Result<Charge, ApplyError> {
    world.run(world.gateway().resolve(charge.reference, resolution(charged)))
}

fn resolve_refund(world: &World, charge: &Charge, outcome: RefundOutcome) -> Result<Charge, ApplyError> {
    let resolution = RefundResolution { outcome, by: "aigul".into(), because: "the bank's list".into() };
    world.run(world.gateway().resolve_refund(charge.reference, charge.refunds[0].reference, resolution))
}

fn refund(world: &World, reference: Reference, minor: Option<i64>, key: &str) -> Result<Charge, RefundError> {
    world.run(world.gateway().refund(reference, minor.map(Money::kzt), "finance", key)).map(|(charge, _)| charge)
}

fn is_conflict(told: &Result<Charge, ApplyError>) -> bool {
    matches!(told, Err(ApplyError::Illegal(_)))
}

fn breaks(world: &World) -> Vec<String> {
    let breaks = world.run(world.gateway().store().breaks(20)).expect("the store");
    breaks.into_iter().map(|found| found.kind).collect()
}

/// The sum of an account, in tiyn.
fn balance(world: &World, account: &Account) -> i64 {
    let balances = world.run(world.gateway().store().balances()).expect("the store");
    balances.iter().filter(|balance| balance.account == *account).map(|balance| balance.minor).sum()
}

/// A charge that nobody can be asked about: its response was lost, and there is no receipt.
fn lost(world: &World, number: &str, key: &str) -> Charge {
    world.fault(number, Fault::DropResponse);
    world.fault(number, Fault::NoReceipt);
    let charge = world.bought(number, "1234", key);
    assert_eq!(charge.state, State::InDoubt);
    charge
}

/// A refund that the carrier lost, or did and does not tell.
fn refund_in_doubt(world: &World, number: &str, fault: Fault) -> Charge {
    let charge = world.bought(number, "1234", number);
    assert_eq!(charge.state, State::Charged);
    world.set_fault(FaultRule::for_number(msisdn(number), 1, fault).on(Operation::Refund));
    world.set_fault(FaultRule::always(Fault::HttpErrorBefore { status: 503 }).on(Operation::Status));
    refund(world, charge.reference, None, "k").expect("a refund");
    world.until("the refund is in doubt", |world| {
        Some(world.charge(charge.reference)).filter(|charge| charge.refunds[0].state == RefundState::InDoubt)
    })
}

#[test]
fn m12_one_who_writes_again_while_it_is_in_doubt_is_told_so_in_her_language_and_pays_once() {
    let world = World::new(Setting::default());
    world.sms(ANNA, "КАЗ");
    world.until_texts(ANNA, 1);
    world.fault(ANNA, Fault::DropResponse);
    world.fault(ANNA, Fault::NoReceipt);
    world.sms(ANNA, "1234");
    let doubtful = world.until_state(ANNA, "in_doubt");
    for more in ["1234", "1234*2"] {
        let before = world.texts(ANNA).len();
        world.sms(ANNA, more);
        let texts = world.until_texts(ANNA, before + 1);
        assert!(texts.last().is_some_and(|text| text.contains("өңделіп жатыр")), "{texts:?}");
    }
    let asked = world.purchase(ANNA, "1234", 1, "app");
    assert!(matches!(&asked, Ok(Purchased::Repeat(charge)) if charge.reference == doubtful.reference), "{asked:?}");
    assert_eq!(world.charges(ANNA).len(), 1);
    resolve(&world, &doubtful, true).expect("it was in doubt");
    world.audit();
}

#[test]
fn m03_a_person_settles_a_doubt_once_and_whoever_comes_second_is_refused() {
    for sqlite in [false, true] {
        let world = World::new(Setting { sqlite, ..Setting::default() });
        let charge = lost(&world, ANNA, "k");
        let told = std::thread::scope(|scope| {
            let deciding: Vec<_> = [true, false]
                .map(|charged| {
                    let (world, charge) = (&world, &charge);
                    scope.spawn(move || resolve(world, charge, charged))
                })
                .into();
            deciding.into_iter().map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 1, "{told:?}");
        let first = told.iter().find_map(|told| told.as_ref().ok()).expect("one");
        for charged in [true, false] {
            assert!(is_conflict(&resolve(&world, &charge, charged)));
        }
        assert_eq!(world.charge(charge.reference).state, first.state);
        let nobodys = Reference::new(world.gateway().now(), [7; 10]);
        let told = world.run(world.gateway().resolve(nobodys, resolution(true)));
        assert!(matches!(told, Err(ApplyError::UnknownCharge(_))), "{told:?}");
        let whose = world.run(world.gateway().store().journal(charge.reference)).expect("the store");
        assert!(format!("{whose:?}").contains("aigul") && format!("{whose:?}").contains("the carrier's log"));
    }
}

#[test]
fn m08_a_persons_word_stands_against_the_receipt_that_comes_later_and_the_money_is_owed() {
    for sqlite in [false, true] {
        let world = World::new(Setting { sqlite, charged_at: ChargingMoment::Delivery, ..Setting::default() });
        world.fault(ANNA, Fault::DropResponse);
        world.fault(ANNA, Fault::LateReceipt { ms: 1_200 });
        let charge = world.bought(ANNA, "1234", "k");
        assert_eq!(charge.state, State::InDoubt);
        let settled = resolve(&world, &charge, false).expect("it was in doubt");
        assert!(settled.state.is_not_taken());
        let owed = world.until("the receipt has come", |world| {
            Some(world.charge(charge.reference)).filter(|charge| !charge.refunds.is_empty())
        });
        assert_eq!((owed.state, owed.refunds[0].amount), (settled.state, charge.order.amount));
        assert!(breaks(&world).contains(&Break::ChargedAfterRejection.code().to_owned()));
        world.audit();
    }
}

#[test]
fn m03_what_nobody_can_be_asked_about_makes_no_rows_while_it_waits() {
    for sqlite in [false, true] {
        let profile = "query = { first_after_ms = 50, interval_ms_max = 100 }".to_owned();
        let (world, hand) = by_hand(Setting { sqlite, profile, ..Setting::default() });
        let charge = lost(&world, ANNA, "k");
        hand.advance(Duration::from_secs(61));
        std::thread::sleep(Duration::from_millis(100));
        let version = world.charge(charge.reference).version;
        for _ in 0..20 {
            hand.advance(LONG);
            std::thread::sleep(Duration::from_millis(30));
        }
        let journal = world.run(world.gateway().store().journal(charge.reference)).expect("the store");
        assert_eq!(
            (world.charge(charge.reference).version, journal.last().map(|e| e.version)),
            (version, Some(version))
        );
        resolve(&world, &charge, true).expect("it is in doubt still");
        world.audit();
    }
}

#[test]
fn m11_a_passenger_whose_money_came_late_is_told_what_becomes_of_it() {
    // What each carrier can do, and what she reads.
    for (over, text, state) in [
        (Over::Smpp, "Мы должны вам 80 тг", State::RefundOwed),
        (Over::Cis { two_step: false }, "80 тг списаны поздно, билета нет. Вернём их", State::Refunded),
    ] {
        let (world, hand) = by_hand(Setting { over, ..Setting::default() });
        let charge = match over {
            Over::Smpp => lost(&world, ANNA, "k"),
            _ => {
                for gone in [Fault::HttpResetAfter, Fault::HttpCallbackLost] {
                    world.set_fault(FaultRule::for_number(msisdn(ANNA), 1, gone).on(Operation::Charge));
                }
                world.set_fault(FaultRule::always(Fault::HttpErrorBefore { status: 503 }).on(Operation::Status));
                world.bought(ANNA, "1234", "k")
            }
        };
        assert_eq!(charge.state, State::InDoubt, "{over:?}");
        hand.advance(Duration::from_secs(61));
        resolve(&world, &charge, true).expect("it was in doubt");
        let texts = world.until_texts(ANNA, 1);
        assert!(texts[0].contains(text), "{texts:?}");
        world.until("it has come to its end", |world| (world.charge(charge.reference).state == state).then_some(()));
        assert_eq!(world.texts(ANNA).len(), 1, "{:?}", world.texts(ANNA));
        world.audit();
    }
}

#[test]
fn m11_a_late_ticket_is_told_by_sms_to_one_who_bought_in_an_app() {
    let gateway = GatewayConfig { late_success: crate::charge::LateSuccess::Ticket, ..Setting::default().gateway };
    let (world, hand) = by_hand(Setting { gateway, ..Setting::default() });
    let charge = lost(&world, ANNA, "k");
    hand.advance(Duration::from_secs(61));
    let settled = resolve(&world, &charge, true).expect("it was in doubt");
    assert_eq!(settled.state, State::Charged);
    let ticket = world.run(world.gateway().store().ticket(charge.reference)).expect("the store").expect("a ticket");
    assert!(world.until_texts(ANNA, 1)[0].contains(&ticket.short_code));
    world.audit();
}

#[test]
fn m11_where_no_key_signs_any_more_late_money_goes_back_and_does_not_stay_in_doubt() {
    let gateway = GatewayConfig { late_success: crate::charge::LateSuccess::Ticket, ..Setting::default().gateway };
    let keys_end = Clock::System.now().plus(Duration::from_secs(7_200));
    let (world, hand) = by_hand(Setting { gateway, keys_end, ..Setting::default() });
    let charge = lost(&world, ANNA, "k");
    hand.advance(Duration::from_secs(7_300));
    let settled = resolve(&world, &charge, true).expect("it was in doubt");
    assert_eq!(settled.state, State::RefundOwed);
    assert_eq!(breaks(&world), [Break::NoTicket.code()]);
    let journal = world.run(world.gateway().store().journal(charge.reference)).expect("the store");
    assert!(matches!(journal.last().and_then(|entry| entry.event.as_ref()), Some(Event::EvidenceWithoutTicket(_))));
    assert!(world.until_texts(ANNA, 1)[0].contains("Мы должны вам"));
    world.audit();
}

#[test]
fn m10_after_the_last_serial_of_a_vehicles_day_the_next_passenger_has_a_ticket_too() {
    for sqlite in [false, true] {
        let world = World::new(Setting { sqlite, ..Setting::default() });
        let zone = jiff::tz::TimeZone::get("Asia/Almaty").expect("a zone");
        for day in [world.gateway().now(), world.gateway().now().plus(Duration::from_secs(60))] {
            let used = Write::LeaseSerials {
                vehicle: "1234".parse().expect("a code"),
                day: day.date_in(&zone).to_string(),
                count: u32::from(SERIAL_MAX) + 1,
            };
            world.run(world.gateway().store().commit(&[used])).expect("a lease");
        }
        let charge = world.bought(ANNA, "1234", "k");
        assert_eq!(charge.state, State::Charged);
        let ticket = world.run(world.gateway().store().ticket(charge.reference)).expect("the store").expect("a ticket");
        let code: ShortCode = ticket.short_code.parse().expect("a code");
        assert!(code.serial() < 32, "{}", code.serial());
        world.audit();
    }
}

#[test]
fn a_refund_is_told_by_sms_to_those_whom_the_configuration_names() {
    for (refund_texts, by_sms, by_app) in
        [(RefundTexts::BoughtBySms, 1, 0), (RefundTexts::Always, 1, 1), (RefundTexts::Never, 0, 0)]
    {
        let gateway = GatewayConfig { refund_texts, ..Setting::default().gateway };
        let world = World::new(Setting { over: Over::Cis { two_step: false }, gateway, ..Setting::default() });
        world.sms(ANNA, "1234");
        let bought = world.until_state(ANNA, "charged");
        let in_app = world.bought(BULAT, "1235", "k");
        world.until_texts(ANNA, 1);
        refund(&world, bought.reference, Some(3_000), "a part").expect("a refund");
        world.until_texts(ANNA, 1 + by_sms);
        refund(&world, bought.reference, None, "the rest").expect("a refund");
        let texts = world.until_texts(ANNA, 1 + 2 * by_sms);
        if by_sms == 1 {
            assert!(texts[1].contains("вернём вам 30 тг") && texts[1].contains("остаётся в силе"), "{texts:?}");
            assert!(texts[2].contains("вернём вам 50 тг") && texts[2].contains("больше не действует"), "{texts:?}");
        }
        refund(&world, in_app.reference, None, "k").expect("a refund");
        world.until("both have gone back", |world| {
            let states = [&bought, &in_app].map(|charge| world.charge(charge.reference).state);
            (states == [State::Refunded; 2]).then_some(())
        });
        world.until_texts(BULAT, by_app);
        assert_eq!((world.texts(ANNA).len(), world.texts(BULAT).len()), (1 + 2 * by_sms, by_app));
        world.audit();
    }
}

/// By the wall clock hardly any time has passed, and the carrier may have forgotten the key.
#[test]
fn m04_a_refund_that_was_sent_before_the_clock_was_set_back_is_asked_about_and_not_sent_again() {
    let (world, hand) = by_hand(Setting { over: Over::Cis { two_step: false }, ..Setting::default() });
    let charge = refund_in_doubt(&world, ANNA, Fault::HttpResetAfter);
    let asked =
        |operation| world.simulator.stats().http.requests_by_operation.get(&operation).copied().unwrap_or_default();
    let (sent, questions) = (asked(Operation::Refund), asked(Operation::Status));
    hand.set(charge.updated_at.minus(Duration::from_secs(7_200)));
    assert!(world.gateway().now() < charge.updated_at);
    hand.advance(Duration::from_secs(7_200));
    world.until("it was asked about again and again", |world| {
        hand.advance(Duration::from_millis(100));
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(world.charge(charge.reference).refunds[0].state, RefundState::InDoubt);
        (asked(Operation::Status) >= questions + 6).then_some(())
    });
    assert_eq!(asked(Operation::Refund), sent);
    world.simulator.clear_faults();
    world.until("it has gone back", |world| {
        hand.advance(Duration::from_millis(100));
        Some(world.charge(charge.reference)).filter(|charge| charge.state == State::Refunded)
    });
    assert_eq!(asked(Operation::Refund), sent);
    world.audit();
}

#[test]
fn m03_a_refund_in_doubt_is_settled_by_a_person_with_a_reason_and_only_once() {
    for sqlite in [false, true] {
        for (fault, outcome, state) in [
            (Fault::HttpResetAfter, RefundOutcome::Refunded, State::Refunded),
            (Fault::HttpResetBefore, RefundOutcome::NotRefunded, State::RefundOwed),
        ] {
            let (world, _hand) = by_hand(Setting { sqlite, over: Over::Cis { two_step: false }, ..Setting::default() });
            let charge = refund_in_doubt(&world, ANNA, fault);
            assert!(
                is_conflict(&resolve_refund(&world, &charge, RefundOutcome::PaidOtherwise)),
                "it may be paid twice"
            );
            let settled = resolve_refund(&world, &charge, outcome).expect("it was in doubt");
            assert_eq!(settled.state, state);
            if outcome == RefundOutcome::Refunded {
                for again in [RefundOutcome::Refunded, RefundOutcome::NotRefunded, RefundOutcome::PaidOtherwise] {
                    assert!(is_conflict(&resolve_refund(&world, &charge, again)), "{again:?}");
                }
            }
            assert_eq!(world.charge(charge.reference), settled, "nothing was overwritten");
            let nobodys = Reference::new(world.gateway().now(), [7; 10]);
            let resolution = RefundResolution { outcome, by: "aigul".into(), because: "the bank's list".into() };
            let told = world.run(world.gateway().resolve_refund(charge.reference, nobodys, resolution));
            assert!(matches!(told, Err(ApplyError::Illegal(Illegal::UnknownRefund(_)))), "{told:?}");
            let journal = world.run(world.gateway().store().journal(charge.reference)).expect("the store");
            assert!(format!("{journal:?}").contains("the bank's list"));
            world.audit();
        }
    }
}

#[test]
fn m14_what_is_owed_and_paid_in_cash_leaves_the_list_and_the_carrier_owes_it_to_us() {
    for sqlite in [false, true] {
        let world = World::new(Setting { sqlite, ..Setting::default() });
        let charge = world.bought(ANNA, "1234", "k");
        let charge = refund(&world, charge.reference, Some(3_000), "a part").expect("a refund");
        let store = world.gateway().store().clone();
        let owed = RefundFilter { standing: Some(RefundStanding::Owed), ..RefundFilter::default() };
        let listed = || world.run(store.refunds(&owed, 9)).expect("the store");
        assert_eq!(listed().iter().map(|listed| listed.refund.amount.minor).collect::<Vec<_>>(), [3_000]);
        assert_eq!(balance(&world, &Account::RefundsOwed), -3_000);
        let paid = resolve_refund(&world, &charge, RefundOutcome::PaidOtherwise).expect("it was owed");
        assert_eq!((paid.state, paid.refunds[0].state), (State::Charged, RefundState::PaidOut));
        assert!(is_conflict(&resolve_refund(&world, &charge, RefundOutcome::PaidOtherwise)), "only once");
        assert_eq!(listed(), []);
        assert_eq!((balance(&world, &Account::RefundsOwed), balance(&world, &Account::RefundsPaidOut)), (0, -3_000));
        assert_eq!(balance(&world, &Account::CarrierReceivable("beeline".into())), 8_000);
        assert_eq!(balance(&world, &Account::Refunds("green".into())), 3_000);
        world.audit();
    }
}

#[test]
fn m14_all_of_it_and_parts_of_it_asked_for_at_once_never_come_to_more_than_was_taken() {
    for sqlite in [false, true] {
        for over in [Over::Smpp, Over::Cis { two_step: false }] {
            let world = World::new(Setting { sqlite, over, ..Setting::default() });
            let charge = world.bought(ANNA, "1234", "k");
            let wishes: [(Option<i64>, &str); 8] = [
                (None, "all"),
                (Some(3_000), "a"),
                (Some(5_000), "b"),
                (None, "all"),
                (Some(8_000), "c"),
                (Some(3_000), "a"),
                (Some(8_001), "d"),
                (Some(1), "e"),
            ];
            let told = std::thread::scope(|scope| {
                let asking: Vec<_> = wishes
                    .iter()
                    .map(|(minor, key)| {
                        let (world, reference) = (&world, charge.reference);
                        scope.spawn(move || refund(world, reference, *minor, key).is_ok())
                    })
                    .collect();
                asking.into_iter().map(|one| one.join().expect("no panic")).collect::<Vec<_>>()
            });
            assert!(told.contains(&true) && !told[6], "{told:?}");
            let after = world.charge(charge.reference);
            assert!(after.refunded_amount().minor <= 8_000, "{after:?}");
            let mut names: Vec<_> = after.refunds.iter().map(|refund| refund.reference).collect();
            names.dedup();
            assert_eq!(names.len(), after.refunds.len(), "the same key is the same refund");
            let left = 8_000 - after.refunded_amount().minor;
            assert!(refund(&world, charge.reference, Some(left + 1), "over").is_err());
            world.until("each is answered", |world| {
                let charge = world.charge(charge.reference);
                let asked = charge.refunds.iter().any(|refund| refund.state == RefundState::Requested);
                (!asked).then_some(())
            });
            world.audit();
        }
    }
}

#[test]
fn m08_an_owed_refund_that_the_carrier_made_after_all_is_a_break_and_leaves_the_list() {
    let (world, hand) = by_hand(Setting { over: Over::Cis { two_step: false }, ..Setting::default() });
    let charge = refund_in_doubt(&world, ANNA, Fault::HttpResetAfter);
    let settled = resolve_refund(&world, &charge, RefundOutcome::NotRefunded).expect("it was in doubt");
    assert_eq!(settled.state, State::RefundOwed);
    // The carrier's own word, from before: it did give it back.
    let evidence = Event::RefundEvidence {
        refund: charge.refunds[0].reference,
        id: "late".into(),
        source: crate::charge::EvidenceSource::Query,
        finding: crate::charge::Finding::Charged { carrier_id: None, amount: None },
    };
    world.run(world.gateway().0.apply(charge.reference, None, evidence)).expect("evidence is never illegal");
    assert_eq!(world.charge(charge.reference).state, State::Refunded);
    assert_eq!(breaks(&world), [Break::RefundedAfterRefusal.code()]);
    assert_eq!(world.run(world.gateway().store().refunds(&RefundFilter::default(), 9)).expect("the store"), []);
    hand.advance(LONG);
    world.audit();
}

#[test]
fn m02_a_second_charge_of_one_who_has_no_more_is_told_apart_from_a_doubt() {
    let mut setting = Setting { charged_at: ChargingMoment::Submission, ..Setting::default() };
    setting.simulator.charging = Charging { at: ChargingMoment::Submission };
    let world = World::new(setting);
    world.simulator.set_subscriber(msisdn(ANNA), crate::simulator::Subscriber::with_balance(100)).expect("room");
    let refused = world.bought(ANNA, "1234", "k");
    assert!(refused.state.is_not_taken());
    assert!(is_conflict(&resolve(&world, &refused, true)), "it is not in doubt");
    let waited =
        world.run(world.gateway().wait(refused.reference, PATIENCE)).expect("the store").expect("the charge").charge;
    assert_eq!(waited, refused);
    assert!(refund(&world, refused.reference, None, "k").is_err(), "nothing was taken");
}

#[test]
fn m13_who_was_given_everything_back_buys_again_in_the_same_vehicle_and_gets_no_revoked_ticket() {
    let world = World::new(Setting { sqlite: true, ..Setting::default() });
    world.sms(ANNA, "1234");
    let first = world.until_state(ANNA, "charged");
    let sent = world.until_texts(ANNA, 1);
    refund(&world, first.reference, None, "all").expect("asked for");
    world.sms(ANNA, "1234");
    let second = world.until("a second charge", |world| {
        let charges = world.charges(ANNA);
        charges.into_iter().find(|charge| charge.reference != first.reference && charge.state == State::Charged)
    });
    world.sms(ANNA, "1234");
    let ticket = world.run(world.gateway().store().ticket(second.reference)).expect("the store").expect("a ticket");
    let old = world.run(world.gateway().store().ticket(first.reference)).expect("the store").expect("a ticket");
    assert!(sent.iter().any(|text| text.contains(&old.short_code)));
    let again = |texts: &[String]| texts.iter().filter(|text| text.contains(&ticket.short_code)).count();
    world.until("the ticket again", |world| (again(&world.texts(ANNA)) == 2).then_some(()));
    let texts = world.texts(ANNA);
    assert_eq!(texts.iter().filter(|text| text.contains(&old.short_code)).count(), 1, "{texts:?}");
    assert_eq!(world.charges(ANNA).len(), 2);
    world.audit();
}
