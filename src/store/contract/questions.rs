use std::time::Duration;

use super::{fixture::*, known::home};
use crate::{
    charge::{Charge, Event, HomeSource, Reason, Reference},
    passenger::Language,
    store::{
        ChargeFilter, InDoubtSummary, KeyGuard, Opening, Outcome, Prior, PriorQuestion, Spent, Store, TicketFilter,
        Write,
    },
};

fn names(charges: Vec<Charge>) -> Vec<Reference> {
    charges.into_iter().map(|charge| charge.reference).collect()
}

pub(super) async fn due_charges_come_longest_due_first_and_only_when_due(store: Store) {
    run(&store, charge_at(1, 5), []).await;
    run(&store, charge_at(2, 0), []).await;
    run(&store, charge_at(3, 0), [(1, open_attempt()), (11, doubtful("e1"))]).await;
    run(&store, charge_at(4, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    let due = async |second, limit| names(store.due_charges(at(second), limit).await.unwrap());
    assert_eq!(due(20, 9).await, []);
    assert_eq!(due(21, 9).await, [reference(3)], "the first query, ten seconds after the doubt");
    assert_eq!(due(DEADLINE + 5, 9).await, [3, 2, 1].map(reference));
    assert_eq!(due(DEADLINE + 5, 2).await, [3, 2].map(reference));
}

pub(super) async fn what_is_under_way_is_neither_decided_nor_in_doubt(store: Store) {
    for n in [4, 2, 5] {
        run(&store, charge_at(n, 0), []).await;
    }
    run(&store, charge_at(1, 0), [(1, open_attempt())]).await;
    let decline = Event::Decline { reason: Reason::DailyLimit };
    run(&store, charge_at(3, 0), [(1, decline)]).await;
    run(&store, charge_at(7, 0), [(1, open_attempt()), (2, doubtful("e7"))]).await;
    assert_eq!(store.under_way().await.unwrap(), [1, 2, 4, 5].map(reference));
    assert_eq!(names(store.open_charges(9).await.unwrap()), [1, 2, 4, 5, 7].map(reference));
    let named = async |wanted: &[u8]| {
        let wanted: Vec<_> = wanted.iter().copied().map(reference).collect();
        names(store.charges_by_reference(&wanted).await.unwrap())
    };
    assert_eq!(named(&[7, 9, 3, 4, 3]).await, [3, 4, 7].map(reference));
    assert_eq!(named(&[]).await, []);
}

pub(super) async fn the_open_charges_of_a_subscriber_are_found(store: Store) {
    run(&store, charge_at(2, 0), []).await;
    run(&store, charge_of(6, 2, 9, 0), [(1, open_attempt()), (2, doubtful("e1"))]).await;
    assert_eq!(names(store.open_charges_of(msisdn(2), 9).await.unwrap()), [2, 6].map(reference));
    assert_eq!(names(store.open_charges_of(msisdn(2), 1).await.unwrap()), [reference(2)]);
    assert_eq!(names(store.open_charges_of(msisdn(3), 9).await.unwrap()), []);
}

pub(super) async fn m16_what_is_in_doubt_is_counted_aged_and_summed(store: Store) {
    assert_eq!(store.in_doubt().await.unwrap(), InDoubtSummary::default());
    let first = run(&store, charge_at(1, 0), [(1, open_attempt()), (12, doubtful("e1"))]).await;
    run(&store, charge_at(2, 0), [(1, open_attempt()), (11, doubtful("e1"))]).await;
    run(&store, charge_at(3, 0), []).await;
    let expected = InDoubtSummary { count: 2, oldest_since: Some(at(11)), minor: 16_000 };
    assert_eq!(store.in_doubt().await.unwrap(), expected);
    advance(&store, first, [(20, paid("e2"))]).await;
    let expected = InDoubtSummary { count: 1, oldest_since: Some(at(11)), minor: 8_000 };
    assert_eq!(store.in_doubt().await.unwrap(), expected);
}

pub(super) async fn m14_limits_count_what_is_taken_open_or_in_doubt_until_its_lag(store: Store) {
    let open = charge_of(1, 1, 1, 100);
    let in_doubt = charge_of(2, 1, 2, 100);
    let taken = charge_of(3, 1, 3, 100);
    let refunded = charge_of(4, 1, 4, 100);
    let rejected = charge_of(5, 1, 5, 100);
    let other = charge_of(6, 2, 6, 100);
    run(&store, open, []).await;
    run(&store, in_doubt, [(101, open_attempt()), (111, doubtful("e1"))]).await;
    run(&store, taken, [(101, open_attempt()), (102, paid("e1"))]).await;
    let refund = Event::RequestRefund { refund: reference(9), amount: FARE, by: None };
    run(&store, refunded, [(101, open_attempt()), (102, paid("e1")), (103, refund)]).await;
    run(&store, rejected, [(101, open_attempt()), (102, turned_down("e1"))]).await;
    run(&store, other, []).await;
    let spent = async |since, doubt_since| store.spent(msisdn(1), at(since), at(doubt_since)).await.unwrap();
    assert_eq!(spent(100, 100 + DEADLINE).await, Spent { minor: 32_000, purchases: 4 });
    assert_eq!(spent(100, 100 + DEADLINE + 1).await, Spent { minor: 24_000, purchases: 3 });
    assert_eq!(spent(101, 0).await, Spent::default());
}

pub(super) async fn charges_are_listed_newest_first_by_every_filter_and_paged(store: Store) {
    let charges = [charge_of(1, 1, 1, 10), charge_of(2, 2, 1, 20), charge_of(3, 1, 2, 30), charge_of(4, 1, 1, 40)];
    for charge in &charges {
        run(&store, charge.clone(), [(50, open_attempt())]).await;
    }
    let charge = store.charge(reference(4)).await.unwrap().unwrap();
    advance(&store, charge, [(51, paid("e1"))]).await;
    let list = async |filter: ChargeFilter, limit| names(store.charges(&filter, limit).await.unwrap());
    let all = ChargeFilter::default();
    assert_eq!(list(all.clone(), 9).await, [4, 3, 2, 1].map(reference));
    assert_eq!(list(all.clone(), 2).await, [4, 3].map(reference));
    assert_eq!(list(ChargeFilter { before: Some(reference(3)), ..all.clone() }, 9).await, [2, 1].map(reference));
    let of_one = ChargeFilter { msisdn: Some(msisdn(1)), ..all.clone() };
    assert_eq!(list(of_one.clone(), 9).await, [4, 3, 1].map(reference));
    assert_eq!(list(ChargeFilter { before: Some(reference(4)), ..of_one.clone() }, 1).await, [reference(3)]);
    let on_bus = ChargeFilter { vehicle: Some(vehicle(1)), ..all.clone() };
    assert_eq!(list(on_bus, 9).await, [4, 2, 1].map(reference));
    assert_eq!(list(ChargeFilter { vehicle: Some(vehicle(2)), ..of_one.clone() }, 9).await, [reference(3)]);
    let charged = ChargeFilter { state: Some("charged".into()), ..all.clone() };
    assert_eq!(list(charged.clone(), 9).await, [reference(4)]);
    assert_eq!(list(ChargeFilter { msisdn: Some(msisdn(2)), ..charged }, 9).await, []);
    let open = ChargeFilter { state: Some("processing".into()), ..all.clone() };
    assert_eq!(list(open.clone(), 2).await, [3, 2].map(reference));
    assert_eq!(list(ChargeFilter { vehicle: Some(vehicle(1)), ..open.clone() }, 9).await, [2, 1].map(reference));
    assert_eq!(list(ChargeFilter { msisdn: Some(msisdn(1)), ..open }, 9).await, [3, 1].map(reference));
    let between = ChargeFilter { from: Some(at(20)), until: Some(at(40)), ..all };
    assert_eq!(list(between.clone(), 9).await, [3, 2].map(reference));
    assert_eq!(list(ChargeFilter { msisdn: Some(msisdn(1)), ..between }, 9).await, [reference(3)]);
}

pub(super) async fn tickets_are_listed_newest_first(store: Store) {
    for (n, second) in [(1, 10), (2, 30), (3, 20)] {
        run(&store, charge_of(n, 1, n, 0), [(1, open_attempt()), (second, paid("e1"))]).await;
    }
    run(&store, charge_of(4, 2, 4, 0), [(1, open_attempt()), (2, paid("e1"))]).await;
    let list = async |filter, second, limit| -> Vec<Reference> {
        let tickets = store.tickets(msisdn(1), filter, at(second), limit).await.unwrap();
        tickets.into_iter().map(|ticket| ticket.reference).collect()
    };
    assert_eq!(list(TicketFilter::Active, 40, 9).await, [2, 3, 1].map(reference));
    assert_eq!(list(TicketFilter::Active, 40, 1).await, [reference(2)]);
    assert_eq!(list(TicketFilter::Active, 3_620, 9).await, [reference(2)]);
    assert_eq!(list(TicketFilter::Past, 3_620, 9).await, [3, 1].map(reference));
}

pub(super) async fn messages_of_a_passenger_are_counted_since_a_moment(store: Store) {
    let about = |n, second| crate::store::OutgoingSms { reference: Some(reference(1)), ..sms(n, 1, second) };
    let messages = vec![about(3, 9), about(1, 5), sms(2, 1, 7), sms(4, 2, 9)];
    open(&store, Opening { messages, ..opening(&charge_at(1, 0)) }).await;
    assert_eq!(store.messages_since(msisdn(1), at(7)).await.unwrap(), 2);
    assert_eq!(store.messages_since(msisdn(1), at(0)).await.unwrap(), 3);
    assert_eq!(store.messages_since(msisdn(1), at(10)).await.unwrap(), 0);
    let to = async |since, limit| {
        let found = store.messages_to(msisdn(1), at(since), limit).await.unwrap();
        found.into_iter().map(|kept| kept.message).collect::<Vec<_>>()
    };
    assert_eq!(to(7, 9).await, [about(3, 9), sms(2, 1, 7)]);
    assert_eq!(to(0, 1).await, [about(3, 9)]);
    let about_it: Vec<_> =
        store.messages_of(reference(1)).await.unwrap().into_iter().map(|kept| kept.message).collect();
    assert_eq!(about_it, [about(1, 5), about(3, 9)]);
}

pub(super) async fn what_is_not_kept_is_not_found(store: Store) {
    assert_eq!(store.charge(reference(1)).await.unwrap(), None);
    assert_eq!(store.key(&key("k")).await.unwrap(), None);
    assert_eq!(store.slot(msisdn(1), &vehicle(1)).await.unwrap(), None);
    assert_eq!(store.ticket(reference(1)).await.unwrap(), None);
    assert_eq!(store.message(reference(1)).await.unwrap(), None);
    assert_eq!(store.owner(&carrier(), "id").await.unwrap(), None);
    assert_eq!(store.journal(reference(1)).await.unwrap(), []);
    assert_eq!(store.charges(&ChargeFilter::default(), 0).await.unwrap(), []);
    assert_eq!(store.spent(msisdn(1), T0, T0.minus(Duration::from_secs(1))).await.unwrap(), Spent::default());
}

pub(super) async fn the_store_beats(store: Store) {
    store.ping().await.unwrap();
    assert_eq!(open(&store, opening(&charge_at(1, 0))).await, Outcome::Opened { superseded: None });
    store.ping().await.unwrap();
    store.close().await;
    assert!(store.ping().await.is_err());
}

pub(super) async fn what_is_kept_before_purchases_is_what_each_look_alone_finds(store: Store) {
    let bought = charge_of(1, 1, 1, 0);
    assert_eq!(open(&store, opening_with_slot(&bought)).await, Outcome::Opened { superseded: None });
    commit(&store, Write::SetLanguage { msisdn: msisdn(1), language: Language::En }).await;
    let moved = home(2, Some("kcell"), HomeSource::Message, 10);
    commit(&store, Write::KeepHomes(vec![moved])).await;
    commit(&store, Write::KeepMo(mo(7, "1234", 1))).await;
    commit(&store, Write::KeepMo(mo(8, "1235", 2))).await;
    commit(&store, Write::HandOverMo { mo: reference(7), answer_by: at(40) }).await;
    let used = opening(&bought).guard;
    let question = |subscriber, bus, guard: &KeyGuard, mo| PriorQuestion {
        msisdn: msisdn(subscriber),
        vehicle: vehicle(bus),
        guard: guard.clone(),
        mo,
    };
    let others = KeyGuard { body_sha256: [8; 32], ..used.clone() };
    let questions = [
        question(1, 1, &used, None),
        question(1, 2, &others, Some(reference(7))),
        question(2, 1, &key("another"), Some(reference(8))),
        question(3, 3, &KeyGuard { caller: "somebody else".into(), ..used }, Some(reference(9))),
        // Nobody's text is too strange to be asked for.
        question(1, 1, &key("\u{1f68c} \" \\ '"), Some(reference(7))),
    ];
    let priors = store.priors(&questions).await.unwrap();
    assert_eq!(priors.len(), questions.len());
    for (PriorQuestion { msisdn, vehicle, guard, mo }, prior) in questions.iter().zip(&priors) {
        let alone = Prior {
            key: store.key(guard).await.unwrap(),
            home: store.home(*msisdn).await.unwrap(),
            language: store.language(*msisdn).await.unwrap(),
            slot: store.slot(*msisdn, vehicle).await.unwrap(),
            is_handed_over: match mo {
                Some(mo) => store.mo(*mo).await.unwrap().is_some_and(|mo| mo.answer_by.is_some()),
                None => false,
            },
        };
        assert_eq!(*prior, alone);
    }
    let found = priors
        .iter()
        .map(|prior| (prior.key, prior.home.is_some(), prior.language, prior.slot.is_some(), prior.is_handed_over));
    let english = Some(Language::En);
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            (Some((reference(1), true, false)), false, english, true, false),
            (Some((reference(1), false, false)), false, english, false, true),
            (None, true, None, false, false),
            (None, false, None, false, false),
            (None, false, english, true, true),
        ]
    );
    assert_eq!(store.priors(&[]).await.unwrap(), []);
}
