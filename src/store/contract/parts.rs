//! Messages in parts, and what is remembered of when messages could be taken.

use super::fixture::*;
use crate::{
    passenger::MoPart,
    store::{IncomingSms, JoinedParts, MoAnswer, MoKind, OPEN_PARTS_MAX, Outcome, Store, StoreError, Write},
};

/// Part `number` of two of message 7 of subscriber 1, kept at `second`. What it says follows from `text`.
fn part(n: u8, number: u8, text: &str, second: u64) -> IncomingSms {
    let part = MoPart { reference_number: 7, wide: false, total: 2, number };
    IncomingSms { msisdn: msisdn(1), part: Some(part), ..mo(n, text, second) }
}

fn joined(n: u8, parts: &[u8], second: u64) -> Write {
    let parts = parts.iter().copied().map(reference).collect();
    Write::JoinParts(JoinedParts { parts, message: IncomingSms { msisdn: msisdn(1), ..mo(n, "1234", second) } })
}

async fn keep(store: &Store, message: IncomingSms) -> Outcome {
    commit(store, Write::KeepMo(message)).await
}

fn kept(parts: &[&IncomingSms]) -> Outcome {
    Outcome::PartKept { parts: parts.iter().copied().cloned().collect() }
}

async fn open_numbers(store: &Store, msisdn_number: u8) -> Vec<u8> {
    let parts = store.open_parts(msisdn(msisdn_number)).await.unwrap();
    parts.iter().filter_map(|part| Some(part.part?.number)).collect()
}

pub(super) async fn case_39_parts_are_kept_until_they_are_joined_once(store: Store) {
    let (second, first) = (part(2, 2, "34", 10), part(1, 1, "12", 11));
    assert_eq!(keep(&store, second.clone()).await, kept(&[&second]));
    assert_eq!(store.numbers_with_open_parts(9).await.unwrap(), [msisdn(1)]);
    assert_eq!(keep(&store, first.clone()).await, kept(&[&second, &first]));
    assert_eq!(store.unanswered_mos(9).await.unwrap(), [], "a part is not answered");
    assert_eq!(store.open_parts(msisdn(1)).await.unwrap(), [second, first]);

    assert_eq!(commit(&store, joined(3, &[1, 2], 12)).await, Outcome::MoKept);
    let waiting: Vec<_> = store.unanswered_mos(9).await.unwrap().into_iter().map(|mo| (mo.id, mo.part)).collect();
    assert_eq!(waiting, [(reference(3), None)]);
    assert_eq!(store.open_parts(msisdn(1)).await.unwrap(), []);
    assert_eq!(store.numbers_with_open_parts(9).await.unwrap(), []);

    for (n, again) in [(4, vec![1, 2]), (5, vec![1]), (6, vec![9])] {
        assert_eq!(commit(&store, joined(n, &again, 13)).await, Outcome::MoKnown { id: reference(n) }, "{again:?}");
    }
    assert_eq!(store.unanswered_mos(9).await.unwrap().len(), 1, "of a joining that comes too late nothing is written");
}

pub(super) async fn case_39_a_part_that_comes_twice_is_kept_once(store: Store) {
    let first = part(1, 1, "12", 10);
    keep(&store, first.clone()).await;
    assert_eq!(keep(&store, part(2, 1, "12", 11)).await, Outcome::MoKnown { id: reference(1) });
    // Kept so long ago that its fingerprint is no longer looked at; closed just now.
    let second = part(3, 2, "34", 39);
    assert_eq!(keep(&store, second.clone()).await, kept(&[&first, &second]));
    commit(&store, joined(4, &[1, 3], 39)).await;
    assert_eq!(keep(&store, part(5, 1, "12", 60)).await, Outcome::MoKnown { id: reference(3) });
    assert_eq!(open_numbers(&store, 1).await, [0; 0]);
}

pub(super) async fn case_39_a_part_of_a_message_that_was_given_up_starts_nothing(store: Store) {
    keep(&store, part(1, 1, "12", 0)).await;
    commit(&store, joined(2, &[1], 40)).await;
    assert_eq!(keep(&store, part(3, 2, "34", 69)).await, Outcome::MoKnown { id: reference(1) });
    assert_eq!(open_numbers(&store, 1).await, [0; 0]);
    let later = part(4, 2, "34", 70);
    assert_eq!(keep(&store, later.clone()).await, kept(&[&later]), "closed at the edge is not after it");
}

pub(super) async fn a_phone_that_numbers_all_its_messages_alike_loses_none(store: Store) {
    keep(&store, part(1, 1, "12", 0)).await;
    keep(&store, part(2, 2, "34", 1)).await;
    commit(&store, joined(3, &[1, 2], 2)).await;
    let (first, second) = (part(4, 1, "56", 3), part(5, 2, "78", 4));
    assert_eq!(keep(&store, first.clone()).await, kept(&[&first]));
    assert_eq!(keep(&store, second.clone()).await, kept(&[&first, &second]));
}

pub(super) async fn parts_of_other_messages_are_kept_apart(store: Store) {
    let first = part(1, 1, "12", 0);
    keep(&store, first.clone()).await;
    let of = |n: u8, change: fn(IncomingSms) -> IncomingSms| change(part(n, 2, &format!("{n}"), 1));
    let place = |change: fn(MoPart) -> MoPart| move |mo: IncomingSms| IncomingSms { part: mo.part.map(change), ..mo };
    let others = [
        of(2, |mo| IncomingSms { msisdn: msisdn(2), ..mo }),
        of(3, |mo| IncomingSms { destination: "2506".into(), ..mo }),
        of(4, |mo| IncomingSms { carrier: "kcell".parse().unwrap(), ..mo }),
        place(|part| MoPart { reference_number: 8, ..part })(part(5, 2, "5", 1)),
        place(|part| MoPart { wide: true, ..part })(part(6, 2, "6", 1)),
        place(|part| MoPart { total: 3, ..part })(part(7, 2, "7", 1)),
    ];
    for other in others {
        assert_eq!(keep(&store, other.clone()).await, kept(&[&other]), "{other:?}");
    }
    assert_eq!(store.numbers_with_open_parts(9).await.unwrap(), [1, 2].map(msisdn), "the longest open first");
    assert_eq!(store.numbers_with_open_parts(1).await.unwrap(), [msisdn(1)]);
}

pub(super) async fn the_open_parts_of_a_number_are_bounded(store: Store) {
    let numbered = |n: u8| {
        let place = MoPart { reference_number: n.into(), wide: true, total: 2, number: 1 };
        IncomingSms { part: Some(place), ..part(n, 1, &format!("{n}"), 0) }
    };
    let most = u8::try_from(OPEN_PARTS_MAX).unwrap();
    for n in 0..most {
        assert!(matches!(keep(&store, numbered(n)).await, Outcome::PartKept { .. }));
    }
    assert_eq!(keep(&store, numbered(most)).await, Outcome::TooManyParts);
    assert_eq!(keep(&store, numbered(0)).await, Outcome::MoKnown { id: reference(0) }, "a repeat is still known");
    let other = IncomingSms { msisdn: msisdn(2), ..numbered(most + 1) };
    assert!(matches!(keep(&store, other).await, Outcome::PartKept { .. }));
    commit(&store, joined(most + 2, &[0], 1)).await;
    assert!(matches!(keep(&store, numbered(most)).await, Outcome::PartKept { .. }));
}

pub(super) async fn a_message_is_not_made_of_nothing_nor_is_it_a_part(store: Store) {
    keep(&store, part(1, 1, "12", 0)).await;
    let of_a_part = JoinedParts { parts: vec![reference(1)], message: part(2, 2, "34", 1) };
    for write in [joined(3, &[], 1), Write::JoinParts(of_a_part)] {
        assert!(matches!(store.commit(&[write]).await, Err(StoreError::Refused(_))));
    }
    assert_eq!(open_numbers(&store, 1).await, [1]);
}

pub(super) async fn what_a_message_is_taken_for_is_kept(store: Store) {
    let kinds = [MoKind::Prompt, MoKind::Late, MoKind::Incomplete, MoKind::TooLong];
    let messages: Vec<IncomingSms> = (1_u8..)
        .zip(kinds)
        .map(|(n, kind)| IncomingSms { kind, kept_at: at(50), ..mo(n, &format!("{n}"), n.into()) })
        .collect();
    for message in &messages {
        keep(&store, message.clone()).await;
    }
    assert_eq!(store.unanswered_mos(9).await.unwrap(), messages);
}

pub(super) async fn a_second_delivery_is_known_by_when_the_first_was_kept(store: Store) {
    let put_off = IncomingSms { kept_at: at(100), same_since: at(70), ..mo(1, "1234", 0) };
    assert_eq!(keep(&store, put_off).await, Outcome::MoKept);
    assert_eq!(keep(&store, mo(2, "1234", 120)).await, Outcome::MoKnown { id: reference(1) });
}

pub(super) async fn a_message_that_is_to_be_sent_again_is_a_new_one_once_it_is_answered(store: Store) {
    keep(&store, mo(1, "1234", 0)).await;
    assert_eq!(keep(&store, mo(2, "1234", 1)).await, Outcome::MoKnown { id: reference(1) });
    let answer = MoAnswer { mo: reference(1), at: at(2), messages: vec![sms(1, 1, 2)], asks_again: true };
    assert_eq!(commit(&store, Write::AnswerMo(answer.clone())).await, Outcome::Done);
    assert_eq!(keep(&store, mo(3, "1234", 3)).await, Outcome::MoKept);
    assert_eq!(keep(&store, mo(4, "1234", 4)).await, Outcome::MoKnown { id: reference(3) });
    // What was answered before is answered once; the message after it stays known.
    assert_eq!(commit(&store, Write::AnswerMo(answer)).await, Outcome::MoKnown { id: reference(1) });
    assert_eq!(keep(&store, mo(5, "1234", 5)).await, Outcome::MoKnown { id: reference(3) });
}

pub(super) async fn the_last_moment_at_which_messages_could_be_taken_is_kept_by_carrier(store: Store) {
    assert_eq!(store.mos_watched().await.unwrap(), []);
    let names = ["beeline", "kcell"].map(|name| name.parse().unwrap());
    for (name, second) in [(0, 5), (1, 6), (0, 7)] {
        let write = Write::WatchMos { carrier: Clone::clone(&names[name]), at: at(second) };
        assert_eq!(commit(&store, write).await, Outcome::Done);
    }
    let [beeline, kcell] = names;
    assert_eq!(store.mos_watched().await.unwrap(), [(beeline, at(7)), (kcell, at(6))]);
}
