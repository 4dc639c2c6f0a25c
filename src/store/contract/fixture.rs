//! Charges and what goes with them, made by the real [`step`] and the real ledger.

use std::time::Duration;

use crate::{
    charge::{
        CarrierName, Channel, Charge, Contract, Effect, Event, Evidence, EvidenceSource, Finding, LateSuccess, Order,
        QuerySchedule, Reason, Reference, Retry, Terms, step,
    },
    clock::Timestamp,
    ledger,
    money::Money,
    msisdn::Msisdn,
    passenger::Language,
    store::{
        IncomingSms, JournalEntry, KeyGuard, MoKind, Named, NewCarrierId, Opening, Outcome, OutgoingSms, ParkedReceipt,
        Settlement, SlotChange, SlotClaim, Store, StoredTicket, Told, Verbatim, Write,
    },
    transit::VehicleCode,
};

pub(in crate::store) const T0: Timestamp = Timestamp::from_unix_seconds(1_772_350_200);
pub(in crate::store) const FARE: Money = Money::kzt(8_000);
/// From the request to the ticket deadline, in seconds.
pub(in crate::store) const DEADLINE: u64 = 60;

pub(in crate::store) fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

/// A higher number is a later name.
pub(in crate::store) fn reference(n: u8) -> Reference {
    Reference::new(at(0).plus(Duration::from_millis(n.into())), [n; 10])
}

pub(in crate::store) fn msisdn(n: u8) -> Msisdn {
    Msisdn::from_e164(77_010_000_000 + u64::from(n)).unwrap()
}

pub(in crate::store) fn vehicle(n: u8) -> VehicleCode {
    format!("12{n:02}").parse().unwrap()
}

pub(in crate::store) fn carrier() -> CarrierName {
    "beeline".parse().unwrap()
}

/// A charge of subscriber `n` on vehicle `n`, asked for at `second`.
pub(in crate::store) fn charge_at(n: u8, second: u64) -> Charge {
    charge_of(n, n, n, second)
}

/// Charge `n` of the subscriber on the vehicle, asked for at `second`.
pub(in crate::store) fn charge_of(n: u8, subscriber: u8, bus: u8, second: u64) -> Charge {
    let order = Order {
        msisdn: msisdn(subscriber),
        vehicle: vehicle(bus),
        city: "almaty".into(),
        route: "92".into(),
        agency: "green-bus".into(),
        fare_class: "standard".into(),
        passengers: 1,
        amount: FARE,
        zone: None,
        trip: None,
        channel: Channel::Api { caller: "ticket-service".into() },
        language: Language::Ru,
        extends: None,
        received_at: at(second),
    };
    let terms = Terms::new(at(second + DEADLINE), LateSuccess::Refund);
    Charge::new(reference(n), order, terms)
}

pub(in crate::store) fn key(text: &str) -> KeyGuard {
    KeyGuard { caller: "ticket-service".into(), key: text.into(), body_sha256: [7; 32] }
}

pub(in crate::store) fn opening(charge: &Charge) -> Opening {
    let created = JournalEntry {
        reference: charge.reference,
        version: charge.version,
        at: charge.order.received_at,
        event: None,
        from: None,
        to: charge.state,
        verbatim: None,
        told: Told::default(),
    };
    Opening {
        charge: charge.clone(),
        guard: key(&format!("key of {}", charge.reference)),
        slot: None,
        mo: None,
        journal: vec![created],
        messages: Vec::new(),
        bounds: Vec::new(),
    }
}

/// A claim until the ticket deadline of the charge.
pub(in crate::store) fn claim_for(charge: &Charge) -> SlotClaim {
    SlotClaim {
        replaces: None,
        held_until: charge.terms.ticket_deadline.plus(Duration::from_secs(1)),
        passengers: charge.order.passengers,
    }
}

pub(in crate::store) fn opening_with_slot(charge: &Charge) -> Opening {
    Opening { slot: Some(claim_for(charge)), ..opening(charge) }
}

pub(in crate::store) fn open_attempt() -> Event {
    let queries = Some(QuerySchedule { first_after_ms: 10_000, interval_ms_max: 60_000 });
    let contract = Contract {
        in_flight_delay_ms: 30_000,
        queries,
        queries_by_carrier_id: false,
        queries_refunds: true,
        can_refund: false,
        refund_message: None,
        replays_keys: false,
        reservation_ms: None,
        fee: None,
    };
    Event::OpenAttempt { carrier: carrier(), wire_reference: "7".into(), contract, carrier_time: None }
}

pub(in crate::store) fn evidence(id: &str, finding: Finding) -> Event {
    Event::Evidence(Evidence { id: id.into(), attempt: 1, source: EvidenceSource::Response, finding })
}

pub(in crate::store) fn paid(id: &str) -> Event {
    evidence(id, Finding::Charged { carrier_id: None, amount: None })
}

pub(in crate::store) fn accepted(id: &str, carrier_id: &str) -> Event {
    evidence(id, Finding::Accepted { carrier_id: Some(carrier_id.into()) })
}

pub(in crate::store) fn doubtful(id: &str) -> Event {
    evidence(id, Finding::Doubtful { cause: crate::charge::Doubt::Timeout })
}

pub(in crate::store) fn turned_down(id: &str) -> Event {
    let finding =
        Finding::Rejected { reason: Reason::InsufficientBalance, retry: Retry::Never, detail: "0x0450".into() };
    evidence(id, finding)
}

/// A charge after events that are kept nowhere.
pub(in crate::store) fn step_through(charge: Charge, events: impl IntoIterator<Item = (u64, Event)>) -> Charge {
    events.into_iter().fold(charge, |charge, (second, event)| settlement(&charge, event, second).charge)
}

/// The settlement that a gateway would make of `event` at `second`.
pub(in crate::store) fn settlement(charge: &Charge, event: Event, second: u64) -> Settlement {
    let done = step(charge, event.clone(), at(second)).unwrap_or_else(|illegal| panic!("{event:?}: {illegal}"));
    let next = done.next;
    let carrier_id = match &event {
        Event::Evidence(Evidence {
            finding: Finding::Accepted { carrier_id: Some(id) } | Finding::Charged { carrier_id: Some(id), .. },
            attempt,
            ..
        }) => Some(NewCarrierId { carrier: carrier(), id: id.clone(), names: Named::Attempt(*attempt) }),
        Event::RefundEvidence {
            finding: Finding::Accepted { carrier_id: Some(id) } | Finding::Charged { carrier_id: Some(id), .. },
            refund,
            ..
        } => Some(NewCarrierId { carrier: carrier(), id: id.clone(), names: Named::Refund(*refund) }),
        _ => None,
    };
    let breaks = done.effects.iter().filter_map(|effect| match effect {
        Effect::RaiseBreak(found) => Some(*found),
        _ => None,
    });
    let ticket = done.effects.contains(&Effect::IssueTicket).then(|| ticket(&next, second));
    Settlement {
        from_version: charge.version,
        journal: JournalEntry {
            reference: next.reference,
            version: next.version,
            at: at(second),
            event: Some(event),
            from: Some(charge.state),
            to: next.state,
            verbatim: None,
            told: Told::of(charge, &next, &done.effects, ticket.as_ref()),
        },
        verbatim: None,
        carrier_id,
        entries: ledger::entries(Some(charge), &next),
        ticket,
        revoke_ticket: done.effects.contains(&Effect::RevokeTicket),
        messages: Vec::new(),
        slot: if done.effects.contains(&Effect::ReleaseSlot) { SlotChange::Release(None) } else { SlotChange::Keep },
        breaks: breaks.collect(),
        charge: next,
    }
}

pub(in crate::store) fn with_words(mut settlement: Settlement, words: &str) -> Settlement {
    let verbatim = Verbatim::new(words, [3; 16]);
    settlement.journal.verbatim = Some(verbatim.digest());
    settlement.verbatim = Some(verbatim);
    settlement
}

pub(in crate::store) fn ticket(charge: &Charge, second: u64) -> StoredTicket {
    StoredTicket {
        reference: charge.reference,
        msisdn: charge.order.msisdn,
        vehicle: charge.order.vehicle,
        short_code: "7K3M9QXA".into(),
        cwt: vec![0xd2, 0x84, 0x00, 0xff],
        issued_at: at(second),
        expires_at: at(second + 3_600),
        revoked_at: None,
    }
}

pub(in crate::store) fn sms(n: u8, subscriber: u8, second: u64) -> OutgoingSms {
    OutgoingSms {
        id: reference(n).derive("message", 0),
        reference: None,
        carrier: carrier(),
        msisdn: msisdn(subscriber),
        text: "Билет 1234, 80 тенге".into(),
        ticket: false,
        created_at: at(second),
        expires_at: at(second + 600),
    }
}

pub(in crate::store) fn mo(n: u8, text: &str, second: u64) -> IncomingSms {
    let mut fingerprint = [0; 32];
    fingerprint[..text.len()].copy_from_slice(text.as_bytes());
    IncomingSms {
        id: reference(n),
        carrier: carrier(),
        msisdn: msisdn(n),
        destination: "2505".into(),
        text: text.into(),
        part: None,
        kind: MoKind::Prompt,
        fingerprint,
        received_at: at(second),
        kept_at: at(second),
        same_since: at(second).minus(Duration::from_secs(30)),
    }
}

pub(in crate::store) fn receipt(id: &str, carrier_id: Option<&str>, second: u64) -> ParkedReceipt {
    ParkedReceipt {
        id: id.into(),
        carrier: carrier(),
        carrier_id: carrier_id.map(Into::into),
        msisdn: Some(msisdn(1)),
        body: serde_json::json!({ "stat": "DELIVRD", "err": "000" }),
        received_at: at(second),
    }
}

/// Commits one write.
pub(in crate::store) async fn commit(store: &Store, write: Write) -> Outcome {
    store.commit(&[write]).await.unwrap().remove(0)
}

pub(in crate::store) async fn open(store: &Store, opening: Opening) -> Outcome {
    commit(store, Write::Open(Box::new(opening))).await
}

pub(in crate::store) async fn settle(store: &Store, settlement: Settlement) -> Outcome {
    commit(store, Write::Settle(Box::new(settlement))).await
}

/// Opens the charge and takes it through the events, each of which must be written. Returns it as it is kept.
pub(in crate::store) async fn run(
    store: &Store,
    charge: Charge,
    events: impl IntoIterator<Item = (u64, Event)>,
) -> Charge {
    assert_eq!(open(store, opening(&charge)).await, Outcome::Opened { superseded: None });
    advance(store, charge, events).await
}

/// Takes a kept charge through more events.
pub(in crate::store) async fn advance(
    store: &Store,
    mut charge: Charge,
    events: impl IntoIterator<Item = (u64, Event)>,
) -> Charge {
    for (second, event) in events {
        let next = settlement(&charge, event, second);
        charge = next.charge.clone();
        assert!(matches!(settle(store, next).await, Outcome::Settled { .. }));
    }
    assert_eq!(store.charge(charge.reference).await.unwrap().as_ref(), Some(&charge));
    charge
}
