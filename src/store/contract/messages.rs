use super::fixture::*;
use crate::{
    passenger::Language,
    store::{
        IncomingSms, KeptMo, MessageProgress, MessageState, MoAnswer, Opening, Outcome, OutgoingSms, Owner, QueuedSms,
        Store, StoreError, Write,
    },
};

fn answer(mo: u8, messages: Vec<OutgoingSms>) -> MoAnswer {
    MoAnswer { mo: reference(mo), at: at(5), messages, asks_again: false }
}

fn progress(message: &OutgoingSms, to: MessageState) -> MessageProgress {
    MessageProgress { id: message.id, to, tries: 1, due_at: at(100), carrier_id: None }
}

/// Puts messages into the outbox as answers to a message from a passenger.
async fn queue(store: &Store, mo_number: u8, messages: Vec<OutgoingSms>) {
    let kept = commit(store, Write::KeepMo(mo(mo_number, &format!("1234 {mo_number}"), 0))).await;
    assert_eq!(kept, Outcome::MoKept);
    assert_eq!(commit(store, Write::AnswerMo(answer(mo_number, messages))).await, Outcome::Done);
}

pub(super) async fn an_mo_is_kept_once_within_the_window(store: Store) {
    let first = mo(1, "1234", 0);
    assert_eq!(commit(&store, Write::KeepMo(first.clone())).await, Outcome::MoKept);
    assert_eq!(
        commit(&store, Write::KeepMo(mo(2, "1234", 30))).await,
        Outcome::MoKept,
        "received at the edge is not after it"
    );
    assert_eq!(commit(&store, Write::KeepMo(mo(3, "1234", 40))).await, Outcome::MoKnown { id: reference(2) });
    assert_eq!(commit(&store, Write::KeepMo(mo(4, "1234", 60))).await, Outcome::MoKept);
    assert_eq!(commit(&store, Write::KeepMo(mo(5, "1235", 60))).await, Outcome::MoKept);
    let waiting: Vec<_> = store.unanswered_mos(9).await.unwrap().into_iter().map(|mo| mo.id).collect();
    assert_eq!(waiting, [1, 2, 4, 5].map(reference));
    assert_eq!(store.unanswered_mos(1).await.unwrap(), [first]);
    // A clock that goes back by less than the window knows it; by more, and somebody writes anew.
    assert_eq!(commit(&store, Write::KeepMo(mo(6, "1235", 31))).await, Outcome::MoKnown { id: reference(5) });
    assert_eq!(commit(&store, Write::KeepMo(mo(6, "1235", 29))).await, Outcome::MoKept);
}

pub(super) async fn an_answer_and_its_messages_are_written_once(store: Store) {
    commit(&store, Write::KeepMo(mo(1, "1234", 0))).await;
    let write = Write::AnswerMo(answer(1, vec![sms(1, 1, 5)]));
    assert_eq!(commit(&store, write.clone()).await, Outcome::Done);
    assert_eq!(store.unanswered_mos(9).await.unwrap(), []);
    let pending = QueuedSms { message: sms(1, 1, 5), state: MessageState::Pending, tries: 0, due_at: at(5) };
    assert_eq!(store.message(sms(1, 1, 5).id).await.unwrap(), Some(pending));
    let known = Outcome::MoKnown { id: reference(1) };
    assert_eq!(commit(&store, write).await, known);
    assert_eq!(commit(&store, Write::AnswerMo(answer(1, vec![sms(2, 1, 6)]))).await, known);
    assert_eq!(store.message(sms(2, 1, 6).id).await.unwrap(), None);
}

pub(super) async fn an_opening_answers_its_mo(store: Store) {
    commit(&store, Write::KeepMo(mo(1, "1234", 0))).await;
    commit(&store, Write::KeepMo(mo(2, "1234 2", 1))).await;
    let charge = charge_at(3, 1);
    open(&store, Opening { mo: Some(reference(1)), ..opening(&charge) }).await;
    assert_eq!(store.unanswered_mos(9).await.unwrap(), [mo(2, "1234 2", 1)]);
    let repeat = Write::RecordRepeat {
        guard: key("again"),
        reference: charge.reference,
        at: at(5),
        mo: Some(answer(2, vec![sms(2, 1, 5)])),
    };
    assert_eq!(commit(&store, repeat).await, Outcome::Done);
    assert_eq!(store.unanswered_mos(9).await.unwrap(), []);
    assert!(store.message(sms(2, 1, 5).id).await.unwrap().is_some());
}

pub(super) async fn an_mo_is_answered_by_a_charge_or_without_one_and_never_by_both(store: Store) {
    for (n, text) in [(1, "first"), (2, "second")] {
        commit(&store, Write::KeepMo(mo(n, text, 0))).await;
    }
    commit(&store, Write::AnswerMo(answer(1, vec![sms(1, 1, 5)]))).await;
    let late = Opening { mo: Some(reference(1)), ..opening_with_slot(&charge_at(3, 6)) };
    let known = Outcome::MoKnown { id: reference(1) };
    assert_eq!(commit(&store, Write::Open(Box::new(late.clone()))).await, known);
    assert_eq!(store.charge(late.charge.reference).await.unwrap(), None);
    assert_eq!(store.key(&late.guard).await.unwrap(), None);
    assert_eq!(store.slot(msisdn(3), &vehicle(3)).await.unwrap(), None);

    let in_time = Opening { mo: Some(reference(2)), ..opening_with_slot(&charge_at(4, 6)) };
    let write = Write::Open(Box::new(in_time.clone()));
    assert_eq!(commit(&store, write.clone()).await, Outcome::Opened { superseded: None });
    let answered = commit(&store, Write::AnswerMo(answer(2, vec![sms(2, 1, 7)]))).await;
    assert_eq!(answered, Outcome::MoKnown { id: reference(2) });
    assert_eq!(store.message(sms(2, 1, 7).id).await.unwrap(), None);
    // The same key again finds its charge, and another key finds the message answered.
    assert!(matches!(commit(&store, write).await, Outcome::KeyKnown { same_body: true, .. }));
    let other = Opening { mo: Some(reference(2)), ..opening_with_slot(&charge_at(5, 6)) };
    assert_eq!(commit(&store, Write::Open(Box::new(other))).await, Outcome::MoKnown { id: reference(2) });
    // Who has no message to answer supersedes nobody.
    let unkept = Opening { mo: Some(reference(9)), ..opening_with_slot(&charge_of(6, 4, 4, 900)) };
    assert_eq!(commit(&store, Write::Open(Box::new(unkept))).await, Outcome::MoKnown { id: reference(9) });
    assert_eq!(store.charge(in_time.charge.reference).await.unwrap(), Some(in_time.charge));
}

pub(super) async fn an_mo_that_is_handed_over_waits_apart_until_it_is_answered(store: Store) {
    for (n, text) in [(1, "first"), (2, "second"), (3, "third")] {
        commit(&store, Write::KeepMo(mo(n, text, n.into()))).await;
    }
    let hand_over = |n, second| Write::HandOverMo { mo: reference(n), answer_by: at(second) };
    assert_eq!(commit(&store, hand_over(1, 40)).await, Outcome::Done);
    assert_eq!(commit(&store, hand_over(2, 30)).await, Outcome::Done);
    assert_eq!(commit(&store, hand_over(1, 90)).await, Outcome::Done, "it keeps its moment");
    assert_eq!(store.unanswered_mos(9).await.unwrap(), [mo(3, "third", 3)]);
    let kept =
        |n, text, second| KeptMo { message: mo(n, text, n.into()), answer_by: Some(at(second)), answered_at: None };
    let (first, second) = (kept(1, "first", 40), kept(2, "second", 30));
    assert_eq!(store.mos_handed_over(9).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(store.mos_handed_over(1).await.unwrap(), [second]);
    assert_eq!(store.mo(reference(1)).await.unwrap(), Some(first.clone()));

    open(&store, Opening { mo: Some(reference(2)), ..opening(&charge_at(4, 5)) }).await;
    assert_eq!(commit(&store, Write::AnswerMo(answer(1, Vec::new()))).await, Outcome::Done);
    assert_eq!(store.mos_handed_over(9).await.unwrap(), []);
    assert_eq!(store.mo(reference(1)).await.unwrap(), Some(KeptMo { answered_at: Some(at(5)), ..first }));
    for answered in [1, 2, 9] {
        let known = Outcome::MoKnown { id: reference(answered) };
        assert_eq!(commit(&store, hand_over(answered, 99)).await, known);
    }
    assert_eq!(store.mo(reference(9)).await.unwrap(), None);
}

pub(super) async fn an_answer_to_an_mo_that_was_never_kept_writes_nothing(store: Store) {
    let known = Outcome::MoKnown { id: reference(1) };
    assert_eq!(commit(&store, Write::AnswerMo(answer(1, vec![sms(1, 1, 5)]))).await, known);
    assert_eq!(store.message(sms(1, 1, 5).id).await.unwrap(), None);
}

pub(super) async fn tickets_are_due_before_other_messages_and_the_longest_due_first(store: Store) {
    let plain = [sms(1, 1, 1), sms(2, 1, 2)];
    let tickets = [3, 4].map(|n| OutgoingSms { ticket: true, ..sms(n, 1, n.into()) });
    let written = [&tickets[1], &plain[1], &tickets[0], &plain[0]].map(Clone::clone);
    queue(&store, 9, written.to_vec()).await;
    let due = async |limit| -> Vec<OutgoingSms> {
        let due = store.due_messages(&carrier(), at(10), limit).await.unwrap();
        due.into_iter().map(|queued| queued.message).collect()
    };
    let expected = [&tickets[0], &tickets[1], &plain[0], &plain[1]].map(Clone::clone);
    assert_eq!(due(9).await, expected);
    assert_eq!(due(3).await, expected[..3]);
}

pub(super) async fn a_message_is_due_at_its_own_carrier_and_not_before_its_time(store: Store) {
    let message = sms(1, 1, 10);
    queue(&store, 9, vec![message.clone()]).await;
    let due = async |name: &str, second| store.due_messages(&name.parse().unwrap(), at(second), 9).await.unwrap().len();
    assert_eq!((due("beeline", 9).await, due("beeline", 10).await, due("kcell", 10).await), (0, 1, 0));
    let later = MessageProgress { due_at: at(50), tries: 3, ..progress(&message, MessageState::Pending) };
    assert_eq!(commit(&store, Write::MoveMessage(later)).await, Outcome::MessageMoved { parked: Vec::new() });
    assert_eq!((due("beeline", 49).await, due("beeline", 50).await), (0, 1));
    assert_eq!(store.message(message.id).await.unwrap().unwrap().tries, 3);
    commit(&store, Write::MoveMessage(progress(&message, MessageState::Submitted))).await;
    assert_eq!(due("beeline", 900).await, 0);
}

pub(super) async fn a_message_in_a_final_state_stays_there(store: Store) {
    for (n, last) in [(1, MessageState::Delivered), (2, MessageState::Failed), (3, MessageState::Expired)] {
        let message = sms(n, 1, 0);
        queue(&store, n, vec![message.clone()]).await;
        commit(&store, Write::MoveMessage(progress(&message, last))).await;
        let kept = store.message(message.id).await.unwrap().unwrap();
        assert_eq!(kept.state, last);
        for to in [MessageState::Pending, MessageState::Submitted, MessageState::Delivered, MessageState::Failed] {
            let moved = MessageProgress { tries: 9, ..progress(&message, to) };
            assert_eq!(commit(&store, Write::MoveMessage(moved)).await, Outcome::MessageMoved { parked: Vec::new() });
        }
        assert_eq!(store.message(message.id).await.unwrap(), Some(kept));
    }
}

pub(super) async fn a_message_learns_its_id_and_its_parked_receipts(store: Store) {
    let message = sms(1, 1, 0);
    queue(&store, 9, vec![message.clone()]).await;
    commit(&store, Write::Park(receipt("r1", Some("id1"), 3))).await;
    let learned = Some((carrier(), "id1".to_owned()));
    let submitted = MessageProgress { carrier_id: learned, ..progress(&message, MessageState::Submitted) };
    let expected = Outcome::MessageMoved { parked: vec![receipt("r1", Some("id1"), 3)] };
    assert_eq!(commit(&store, Write::MoveMessage(submitted)).await, expected);
    assert_eq!(store.owner(&carrier(), "id1").await.unwrap(), Some(Owner::Message(message.id)));
    let owned = commit(&store, Write::Park(receipt("r2", Some("id1"), 4))).await;
    assert_eq!(owned, Outcome::Owned(Owner::Message(message.id)));
}

pub(super) async fn a_message_exists_once(store: Store) {
    queue(&store, 1, vec![sms(1, 1, 0)]).await;
    commit(&store, Write::KeepMo(mo(2, "2", 0))).await;
    let again = Write::AnswerMo(answer(2, vec![sms(2, 1, 0), sms(1, 1, 0)]));
    assert!(matches!(store.commit(&[again]).await, Err(StoreError::Refused(_))));
    assert_eq!(store.message(sms(2, 1, 0).id).await.unwrap(), None);
    assert_eq!(store.unanswered_mos(9).await.unwrap().len(), 1, "the answer was not written either");
}

pub(super) async fn a_receipt_is_parked_once_and_unparked(store: Store) {
    let (first, second) = (receipt("r1", Some("id1"), 3), receipt("r2", None, 2));
    for parked in [&first, &second, &first] {
        assert_eq!(commit(&store, Write::Park(parked.clone())).await, Outcome::Parked);
    }
    assert_eq!(store.parked(&carrier(), msisdn(1), 9).await.unwrap(), [second.clone(), first.clone()]);
    // The newest are given, in the order in which they came.
    assert_eq!(store.parked(&carrier(), msisdn(1), 1).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(store.parked(&carrier(), msisdn(2), 9).await.unwrap(), []);
    for _ in 0..2 {
        assert_eq!(commit(&store, Write::Unpark { id: "r2".into() }).await, Outcome::Done);
        assert_eq!(store.parked(&carrier(), msisdn(1), 9).await.unwrap(), std::slice::from_ref(&first));
    }
    assert_eq!(store.parked_count().await.unwrap(), 1);
}

fn lease(bus: u8, day: &str, count: u32) -> Write {
    Write::LeaseSerials { vehicle: vehicle(bus), day: day.into(), count }
}

pub(super) async fn serials_are_leased_in_blocks_per_vehicle_and_day(store: Store) {
    let leases = [(1, "2026-03-01", 0), (1, "2026-03-01", 10), (2, "2026-03-01", 0), (1, "2026-03-02", 0)];
    for (bus, day, first) in leases {
        assert_eq!(commit(&store, lease(bus, day, 10)).await, Outcome::Leased { first });
    }
    assert_eq!(commit(&store, lease(1, "2026-03-01", 1)).await, Outcome::Leased { first: 20 });
}

pub(super) async fn serials_do_not_wrap(store: Store) {
    assert_eq!(commit(&store, lease(1, "2026-03-01", u32::MAX)).await, Outcome::Leased { first: 0 });
    assert!(matches!(store.commit(&[lease(1, "2026-03-01", 1)]).await, Err(StoreError::Refused(_))));
}

pub(super) async fn a_passenger_changes_the_language(store: Store) {
    for language in [Language::Kk, Language::En] {
        assert_eq!(commit(&store, Write::SetLanguage { msisdn: msisdn(1), language }).await, Outcome::Done);
        assert_eq!(store.language(msisdn(1)).await.unwrap(), Some(language));
    }
    assert_eq!(store.language(msisdn(2)).await.unwrap(), None);
}

pub(super) async fn text_is_kept_to_the_last_character(store: Store) {
    let odd = "қазақша \"1234\" \\ \u{0}\u{1}\u{7f}\u{2028}\u{1f68c} end";
    let message = OutgoingSms { text: odd.into(), ..sms(1, 1, 0) };
    let incoming = IncomingSms { text: odd.into(), destination: odd.into(), ..mo(1, "odd", 0) };
    assert_eq!(commit(&store, Write::KeepMo(incoming.clone())).await, Outcome::MoKept);
    assert_eq!(store.unanswered_mos(9).await.unwrap(), [incoming]);
    commit(&store, Write::AnswerMo(answer(1, vec![message.clone()]))).await;
    assert_eq!(store.message(message.id).await.unwrap().unwrap().message, message);

    let (nul, other) = (receipt("r\u{0}1", Some("id\u{0}1"), 3), receipt("r\u{0}2", Some("id\u{0}2"), 3));
    for parked in [&nul, &other] {
        assert_eq!(commit(&store, Write::Park(parked.clone())).await, Outcome::Parked);
    }
    assert_eq!(store.parked(&carrier(), msisdn(1), 9).await.unwrap(), [nul, other]);
    commit(&store, Write::Unpark { id: "r\u{0}1".into() }).await;
    assert_eq!(store.parked_count().await.unwrap(), 1);
    let charge = run(&store, charge_at(3, 0), [(1, open_attempt()), (2, accepted("e\u{0}1", "id\u{0}3"))]).await;
    assert!(matches!(
        settle(&store, settlement(&charge, accepted("e\u{0}2", "id\u{0}3"), 3)).await,
        Outcome::Settled { .. }
    ));
    assert!(store.owner(&carrier(), "id\u{0}3").await.unwrap().is_some());
    assert_eq!(store.owner(&carrier(), "id").await.unwrap(), None);
}
