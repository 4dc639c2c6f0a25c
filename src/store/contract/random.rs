//! Random batches on the model and on SQLite: the same answers, and the same to be read afterwards.

use std::time::Duration;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{
    fixture::*,
    known::{home, stored_fact},
    sqlite_in,
};
use crate::{
    charge::{Charge, Event, HomeSource, Reason, Reference},
    eligibility::{FactName, FactValue},
    passenger::{Language, MoPart},
    store::{
        ChargeFilter, Forgetting, IncomingSms, JoinedParts, KeyGuard, Memory, MessageProgress, MessageState, MoAnswer,
        MoKind, Named, NewCarrierId, Opening, OutgoingSms, RefundFilter, Sales, Settlement, Slot, SlotChange,
        SlotClaim, Store, TicketFilter, Write, overlap,
    },
};

/// Few names, so that they meet.
const CHARGES: u8 = 8;
const SUBSCRIBERS: u8 = 3;
const BUSES: u8 = 2;

/// A write in terms of small numbers. What it becomes depends on what is kept when its turn comes.
#[derive(Clone, Debug)]
enum Plan {
    Open {
        charge: u8,
        subscriber: u8,
        bus: u8,
        key: u8,
        body: u8,
        slot: Option<(Option<u8>, u64)>,
        mo: Option<u8>,
        sms: u8,
    },
    Settle {
        charge: u8,
        event: u8,
        piece: u8,
        stale: bool,
        id: Option<u8>,
        slot: u8,
        sms: Option<u8>,
    },
    Repeat {
        key: u8,
        charge: u8,
        mo: Option<u8>,
        sms: u8,
    },
    KeepMo {
        id: u8,
        text: u8,
    },
    KeepPart {
        id: u8,
        text: u8,
        number: u8,
    },
    Join {
        id: u8,
        parts: (u8, u8),
    },
    Watch {
        carrier: u8,
    },
    HandOver {
        mo: u8,
    },
    Answer {
        mo: u8,
        sms: u8,
        asks_again: bool,
    },
    Park {
        id: u8,
        carrier_id: Option<u8>,
    },
    ReportUnowned {
        id: u8,
    },
    Unpark {
        id: u8,
    },
    Move {
        sms: u8,
        to: u8,
        id: Option<u8>,
    },
    Lease {
        bus: u8,
        count: u32,
    },
    Language {
        subscriber: u8,
        english: bool,
    },
    Fact {
        subscriber: u8,
        name: u8,
        age: u64,
        holds: bool,
    },
    Home {
        subscriber: u8,
        carrier: u8,
        age: u64,
    },
    Forget {
        age: u64,
        oldest: u32,
    },
}

fn plan() -> impl Strategy<Value = Plan> {
    let some = proptest::option::of::<std::ops::Range<u8>>;
    let slot = proptest::option::of((some(0..CHARGES), 0..200_u64));
    prop_oneof![
        6 => (0..CHARGES, 0..SUBSCRIBERS, 0..BUSES, 0..6_u8, 0..2_u8, slot, some(0..4), 0..9_u8).prop_map(
            |(charge, subscriber, bus, key, body, slot, mo, sms)| Plan::Open {
                charge, subscriber, bus, key, body, slot, mo, sms
            }
        ),
        9 => (0..CHARGES, 0..8_u8, 0..6_u8, prop::bool::weighted(0.1), some(0..4), 0..4_u8, some(0..9)).prop_map(
            |(charge, event, piece, stale, id, slot, sms)| Plan::Settle { charge, event, piece, stale, id, slot, sms }
        ),
        2 => (0..6_u8, 0..CHARGES, some(0..4), 0..9_u8)
            .prop_map(|(key, charge, mo, sms)| Plan::Repeat { key, charge, mo, sms }),
        2 => (0..4_u8, 0..2_u8).prop_map(|(id, text)| Plan::KeepMo { id, text }),
        4 => (0..9_u8, 0..2_u8, 1..3_u8).prop_map(|(id, text, number)| Plan::KeepPart { id, text, number }),
        2 => (9..14_u8, (0..9_u8, 0..9_u8)).prop_map(|(id, parts)| Plan::Join { id, parts }),
        1 => (0..2_u8).prop_map(|carrier| Plan::Watch { carrier }),
        2 => (0..14_u8).prop_map(|mo| Plan::HandOver { mo }),
        2 => (0..14_u8, 0..9_u8, any::<bool>()).prop_map(|(mo, sms, asks_again)| Plan::Answer { mo, sms, asks_again }),
        3 => (0..4_u8, some(0..4)).prop_map(|(id, carrier_id)| Plan::Park { id, carrier_id }),
        1 => (0..4_u8).prop_map(|id| Plan::Unpark { id }),
        1 => (0..4_u8).prop_map(|id| Plan::ReportUnowned { id }),
        2 => (0..9_u8, 0..5_u8, some(0..4)).prop_map(|(sms, to, id)| Plan::Move { sms, to, id }),
        1 => (0..BUSES, 0..u32::MAX / 2).prop_map(|(bus, count)| Plan::Lease { bus, count }),
        1 => (0..SUBSCRIBERS, any::<bool>()).prop_map(|(subscriber, english)| Plan::Language { subscriber, english }),
        2 => (0..SUBSCRIBERS, 0..5_u8, 0..20_u64, any::<bool>())
            .prop_map(|(subscriber, name, age, holds)| Plan::Fact { subscriber, name, age, holds }),
        2 => (0..SUBSCRIBERS, 0..3_u8, 0..20_u64)
            .prop_map(|(subscriber, carrier, age)| Plan::Home { subscriber, carrier, age }),
        1 => (0..30_u64, 0..3_u32).prop_map(|(age, oldest)| Plan::Forget { age, oldest }),
    ]
}

fn name(prefix: &str, n: u8) -> String {
    format!("{prefix}{n}")
}

fn guard(n: u8, body: u8) -> KeyGuard {
    KeyGuard { body_sha256: [body; 32], ..key(&name("k", n)) }
}

fn message(n: u8, about: Option<Reference>, second: u64) -> OutgoingSms {
    OutgoingSms { reference: about, ticket: n.is_multiple_of(2), ..sms(n, n % SUBSCRIBERS, second) }
}

/// The write that a plan stands for at this second. `None` if there is nothing that it could be done to.
async fn write(store: &Store, plan: &Plan, second: u64) -> Option<Write> {
    let answer = |mo: u8, sms, asks_again| {
        let messages = vec![message(sms, None, second)];
        MoAnswer { mo: reference(mo), at: at(second), messages, asks_again }
    };
    Some(match *plan {
        Plan::Open { charge, subscriber, bus, key, body, ref slot, mo, sms } => {
            let charge = charge_of(charge, subscriber, bus, second);
            let slot = slot.map(|(replaces, held_for)| SlotClaim {
                replaces: replaces.map(reference),
                held_until: at(second + held_for),
                passengers: 2,
            });
            let messages = vec![message(sms, Some(charge.reference), second)];
            let guard = guard(key, body);
            let mo = mo.map(reference);
            Write::Open(Box::new(Opening { guard, slot, mo, messages, ..opening(&charge) }))
        }
        Plan::Settle { charge, event, piece, stale, id, slot, sms } => {
            let kept = store.charge(reference(charge)).await.unwrap()?;
            let mut settlement = legal_settlement(&kept, &events(event, &name("e", piece), id, piece), second)?;
            settlement.from_version = settlement.from_version.saturating_sub(stale.into());
            let names = if slot < 2 { Named::Refund(reference(piece)) } else { Named::Attempt(1) };
            settlement.carrier_id = id.map(|id| NewCarrierId { carrier: carrier(), id: name("id", id), names });
            settlement.messages = sms.into_iter().map(|sms| message(sms, Some(kept.reference), second)).collect();
            settlement.slot = match slot {
                0 => SlotChange::HoldUntil(at(second + 5)),
                1 => SlotChange::Release(None),
                2 => SlotChange::Release(Some(Slot {
                    reference: reference(piece),
                    passengers: 1,
                    held_until: at(second + 30),
                })),
                _ => SlotChange::Keep,
            };
            Write::Settle(Box::new(settlement))
        }
        Plan::Repeat { key, charge, mo, sms } => Write::RecordRepeat {
            guard: guard(key, 0),
            reference: reference(charge),
            at: at(second),
            mo: mo.map(|mo| answer(mo, sms, false)),
        },
        Plan::KeepMo { id, text } => Write::KeepMo(IncomingSms { ..mo(id, &name("text", text), second) }),
        Plan::KeepPart { id, text, number } => {
            let text = format!("part{number}{text}");
            let part = Some(MoPart { reference_number: 7, wide: false, total: 2, number });
            Write::KeepMo(IncomingSms { msisdn: msisdn(0), part, ..mo(id, &text, second) })
        }
        Plan::Join { id, parts: (a, b) } => {
            let parts = if a == b { vec![a] } else { vec![a, b] };
            let message = IncomingSms { msisdn: msisdn(0), kind: MoKind::Incomplete, ..mo(id, "joined", second) };
            Write::JoinParts(JoinedParts { parts: parts.into_iter().map(reference).collect(), message })
        }
        Plan::Watch { carrier } => {
            let carrier = ["beeline", "kcell"][usize::from(carrier)].parse().unwrap();
            Write::WatchMos { carrier, at: at(second) }
        }
        Plan::HandOver { mo } => Write::HandOverMo { mo: reference(mo), answer_by: at(second + 20) },
        Plan::Answer { mo, sms, asks_again } => Write::AnswerMo(answer(mo, sms, asks_again)),
        Plan::Park { id, carrier_id } => {
            let carrier_id = carrier_id.map(|id| name("id", id));
            Write::Park(receipt(&name("r", id), carrier_id.as_deref(), second))
        }
        Plan::Unpark { id } => Write::Unpark { id: name("r", id) },
        Plan::ReportUnowned { id } => Write::ReportUnowned { id: name("r", id), at: at(second) },
        Plan::Move { sms, to, id } => Write::MoveMessage(MessageProgress {
            id: message(sms, None, second).id,
            to: [
                MessageState::Pending,
                MessageState::Submitted,
                MessageState::Delivered,
                MessageState::Failed,
                MessageState::Expired,
            ][usize::from(to)],
            tries: u32::from(to),
            due_at: at(second + u64::from(to)),
            carrier_id: id.map(|id| (carrier(), name("id", id))),
        }),
        Plan::Lease { bus, count } => Write::LeaseSerials { vehicle: vehicle(bus), day: "2026-03-01".into(), count },
        Plan::Language { subscriber, english } => {
            let language = if english { Language::En } else { Language::Kk };
            Write::SetLanguage { msisdn: msisdn(subscriber), language }
        }
        Plan::Fact { subscriber, name, age, holds } => {
            let value = if holds { FactValue::True } else { FactValue::False };
            let name = FactName::ALL[usize::from(name)];
            Write::KeepFacts(vec![stored_fact(subscriber, name, value, second.saturating_sub(age))])
        }
        Plan::Home { subscriber, carrier, age } => {
            let carrier = [None, Some("beeline"), Some("kcell")][usize::from(carrier)];
            Write::KeepHomes(vec![home(subscriber, carrier, HomeSource::LookUp, second.saturating_sub(age))])
        }
        Plan::Forget { age, oldest } => Write::Forget(Forgetting {
            facts_before: at(second.saturating_sub(age)),
            facts_oldest: oldest,
            homes_before: at(second.saturating_sub(age)),
            homes_oldest: oldest,
        }),
    })
}

fn events(event: u8, piece: &str, id: Option<u8>, n: u8) -> Event {
    match event {
        0..=1 => open_attempt(),
        2 => accepted(piece, &name("id", id.unwrap_or(0))),
        3 => doubtful(piece),
        4 => turned_down(piece),
        5 => Event::Decline { reason: Reason::DailyLimit },
        6 => Event::RequestRefund { refund: reference(100 + n), amount: FARE, by: None },
        _ => paid(piece),
    }
}

fn legal_settlement(charge: &Charge, event: &Event, second: u64) -> Option<Settlement> {
    crate::charge::step(charge, event.clone(), at(second)).is_ok().then(|| settlement(charge, event.clone(), second))
}

/// Leaves in a store what random batches leave, the same ones each time. Returns the second of the last one.
pub(in crate::store) async fn leave_something(store: &Store, batches: usize) -> u64 {
    let plans = proptest::collection::vec((0..40_u64, proptest::collection::vec(plan(), 1..6)), batches);
    let mut second = 0;
    for (pause, plans) in plans.new_tree(&mut TestRunner::deterministic()).unwrap().current() {
        second += pause;
        let mut batch = Vec::new();
        for plan in &plans {
            batch.extend(write(store, plan, second).await);
        }
        let mut goes = overlap::apart(batch.iter()).into_iter();
        batch.retain(|_| goes.next() == Some(true));
        // What contradicts what is there is refused, and leaves nothing.
        let _ = store.commit(&batch).await;
    }
    second
}

/// Everything that can be asked, as text.
pub(in crate::store) async fn everything(store: &Store, second: u64) -> Vec<String> {
    let mut all = vec![
        format!("{:?}", store.charges(&ChargeFilter::default(), 99).await.unwrap()),
        format!("{:?}", store.due_charges(at(second + 40), 99).await.unwrap()),
        format!("{:?}", store.under_way().await.unwrap()),
        format!("{:?}", store.in_doubt().await.unwrap()),
        format!("{:?}", store.unanswered_mos(99).await.unwrap()),
        format!("{:?}", store.mos_handed_over(99).await.unwrap()),
        format!("{:?}", store.numbers_with_open_parts(99).await.unwrap()),
        format!("{:?}", store.open_parts(msisdn(0)).await.unwrap()),
        format!("{:?}", store.mos_watched().await.unwrap()),
        format!("{:?}", store.due_messages(&carrier(), at(second + 3), 99).await.unwrap()),
        format!("{:?}", store.balances().await.unwrap()),
        format!("{:?}", breaks(store).await),
        format!("{:?}", store.refunds(&RefundFilter::default(), 99).await.unwrap()),
        format!("{:?}", store.outstanding().await.unwrap()),
        format!("{:?}", store.unowned(None, 99).await.unwrap()),
        format!("{:?}", store.parked(&carrier(), msisdn(1), 99).await.unwrap()),
        format!("{:?}", sold_by_all(store).await),
        format!("{:?}", store.overdue_sales(&carrier(), at(3), at(second)).await.unwrap()),
        format!("{:?}", store.newest_facts(99).await.unwrap()),
        format!("{:?}", store.known_counts().await.unwrap()),
    ];
    for n in 0..CHARGES {
        all.push(format!("{:?}", store.mo(reference(n)).await.unwrap()));
        all.push(format!("{:?}", store.journal(reference(n)).await.unwrap()));
        all.push(format!("{:?}", store.ticket(reference(n)).await.unwrap()));
        all.push(format!("{:?}", store.messages_of(reference(n)).await.unwrap()));
        all.push(format!("{:?}", store.key(&guard(n, 0)).await.unwrap()));
        all.push(format!("{:?}", store.owner(&carrier(), &name("id", n)).await.unwrap()));
        all.push(format!("{:?}", store.message(message(n, None, 0).id).await.unwrap()));
    }
    for n in 0..SUBSCRIBERS {
        all.push(format!("{:?}", store.spent(msisdn(n), at(3), at(second)).await.unwrap()));
        all.push(format!("{:?}", store.open_charges_of(msisdn(n), 99).await.unwrap()));
        all.push(format!("{:?}", store.language(msisdn(n)).await.unwrap()));
        all.push(format!("{:?}", store.facts(msisdn(n), &carrier()).await.unwrap()));
        all.push(format!("{:?}", store.home(msisdn(n)).await.unwrap()));
        all.push(format!("{:?}", store.messages_since(msisdn(n), at(3)).await.unwrap()));
        for filter in [TicketFilter::Active, TicketFilter::Past] {
            all.push(format!("{:?}", store.tickets(msisdn(n), filter, at(second), 99).await.unwrap()));
        }
        for bus in 0..BUSES {
            all.push(format!("{:?}", store.slot(msisdn(n), &vehicle(bus)).await.unwrap()));
        }
    }
    all
}

/// Breaks in an order of their own: those of one commit are kept in none.
async fn breaks(store: &Store) -> Vec<String> {
    let mut breaks: Vec<String> = store.breaks(99).await.unwrap().iter().map(|found| format!("{found:?}")).collect();
    breaks.sort();
    breaks
}

/// Each element is a batch, at the second at which it is committed.
async fn compare(batches: Vec<(u64, Vec<Plan>)>) {
    let folder = tempfile::tempdir().unwrap();
    let (model, sqlite) = (Store::Memory(Memory::default()), sqlite_in(&folder).await);
    let mut second = 0;
    for (pause, plans) in batches {
        second += pause;
        let mut batch = Vec::new();
        for plan in &plans {
            batch.extend(write(&model, plan, second).await);
        }
        let mut goes = overlap::apart(batch.iter()).into_iter();
        batch.retain(|_| goes.next() == Some(true));
        let (expected, found) = (model.commit(&batch).await, sqlite.commit(&batch).await);
        match (expected, found) {
            (Ok(expected), Ok(found)) => assert_eq!(expected, found, "{batch:#?}"),
            (Err(_), Err(_)) => {}
            (expected, found) => panic!("the model: {expected:?}\nsqlite: {found:?}\n{batch:#?}"),
        }
    }
    assert_eq!(everything(&model, second).await, everything(&sqlite, second).await);
    let sum: i64 = sqlite.balances().await.unwrap().iter().map(|balance| balance.minor).sum();
    assert_eq!(sum, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_model_does(
        batches in proptest::collection::vec((0..40_u64, proptest::collection::vec(plan(), 1..6)), 1..30)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(batches));
    }
}

/// What was sold, through whichever daemon.
async fn sold_by_all(store: &Store) -> Vec<Sales> {
    let since = T0.minus(Duration::from_secs(900));
    let mut sales = store.sales(since).await.unwrap();
    sales.extend(store.sales_of_others(since).await.unwrap());
    sales
}
