//! Charges to write, made before the clock starts.

use std::time::Duration;

use smsbusd::{
    charge::{
        Channel, Charge, Contract, Doubt, Event, Evidence, EvidenceSource, Finding, LateSuccess, Order, QuerySchedule,
        Reference, Terms, step,
    },
    clock::Timestamp,
    ledger,
    money::Money,
    msisdn::Msisdn,
    passenger::Language,
    store::{
        JournalEntry, KeyGuard, Named, NewCarrierId, Opening, OutgoingSms, Settlement, SlotChange, SlotClaim,
        StoredTicket, Told, ToldSeller, Verbatim, Write,
    },
};

/// An answer over HTTP of the usual length.
const WORDS: &str = "charge: HTTP 201\n{\"paymentId\":\"5e0d3f2a-7b1c-4f7e-9a67-3f2b8c1d9e4a\",\"paymentStatus\":\"succeeded\",\"paymentDate\":\"2026-03-01T07:30:00Z\",\"amountTransaction\":{\"paymentAmount\":{\"chargingInformation\":{\"amount\":80,\"currency\":\"KZT\"}}}}";

const T0: Timestamp = Timestamp::from_unix_seconds(1_772_350_200);

/// `count` charges, each as its opening and its settlement. Names, numbers and keys are spread as they would be.
pub(crate) fn make(count: usize) -> Vec<[Write; 2]> {
    (0..u64::try_from(count).unwrap()).map(writes).collect()
}

fn writes(n: u64) -> [Write; 2] {
    let asked_at = T0.plus(Duration::from_millis(n / 8));
    let msisdn = Msisdn::from_e164(77_000_000_000 + scattered(n) % 999_999_999).unwrap();
    let (opening, sent) = opening(n, msisdn, format!("{:016x}{n:016x}", scattered(n)), asked_at);
    [Write::Open(Box::new(opening)), Write::Settle(Box::new(settlement(&sent, n)))]
}

/// A charge whose carrier has said nothing in time: its opening and its doubt. Each `n` is another number's, and everything is in order, so
/// that a million of them are written soon.
pub(crate) fn in_doubt(n: u64, first_at: Timestamp) -> [Write; 2] {
    let asked_at = first_at.plus(Duration::from_millis(n / 8));
    let msisdn = Msisdn::from_e164(77_050_000_000 + n).unwrap();
    let (opening, sent) = opening(n, msisdn, format!("{n:032x}"), asked_at);
    let finding = Finding::Doubtful { cause: Doubt::Timeout };
    let evidence = Evidence { id: "timeout:1".into(), attempt: 1, source: EvidenceSource::Response, finding };
    let doubt = Event::Evidence(evidence);
    let next = step(&sent, doubt.clone(), asked_at.plus(Duration::from_secs(10))).unwrap().next;
    let settlement = Settlement {
        from_version: sent.version,
        journal: journal(Some(&sent), &next, Some(doubt), Told::of(&sent, &next, &[], None)),
        verbatim: None,
        carrier_id: None,
        entries: ledger::entries(Some(&sent), &next),
        ticket: None,
        revoke_ticket: false,
        messages: Vec::new(),
        slot: SlotChange::Keep,
        breaks: Vec::new(),
        charge: next,
    };
    [Write::Open(Box::new(opening)), Write::Settle(Box::new(settlement))]
}

/// An opening with its first attempt, and the charge as it is then.
fn opening(n: u64, msisdn: Msisdn, key: String, asked_at: Timestamp) -> (Opening, Charge) {
    let charge = Charge::new(
        reference(n, asked_at),
        order(n, msisdn, asked_at),
        Terms::new(asked_at.plus(Duration::from_secs(60)), LateSuccess::Refund),
    );
    let contract = Contract {
        in_flight_delay_ms: 30_000,
        queries: Some(QuerySchedule { first_after_ms: 10_000, interval_ms_max: 60_000 }),
        can_refund: true,
        refund_message: None,
        replays_keys: false,
        reservation_ms: None,
        fee: None,
        queries_by_carrier_id: true,
        queries_refunds: false,
    };
    let attempt = Event::OpenAttempt {
        carrier: "beeline".parse().unwrap(),
        wire_reference: format!("{:08x}", scattered(n) >> 32),
        contract,
        carrier_time: None,
    };
    let sent = step(&charge, attempt.clone(), asked_at).unwrap().next;
    let opening = Opening {
        guard: KeyGuard { caller: "ticket-service".into(), key, body_sha256: [u8::try_from(n % 251).unwrap(); 32] },
        slot: Some(SlotClaim { replaces: None, held_until: sent.terms.ticket_deadline, passengers: 1 }),
        mo: None,
        journal: vec![
            journal(None, &charge, None, Told::default()),
            journal(Some(&charge), &sent, Some(attempt), Told::default()),
        ],
        messages: Vec::new(),
        bounds: Vec::new(),
        charge: sent.clone(),
    };
    (opening, sent)
}

fn settlement(sent: &Charge, n: u64) -> Settlement {
    let id = format!("{:016x}", scattered(n));
    let finding = Finding::Charged { carrier_id: Some(id.clone()), amount: None };
    let evidence = Evidence { id: format!("response {id}"), attempt: 1, source: EvidenceSource::Response, finding };
    let paid = Event::Evidence(evidence);
    let at = sent.order.received_at.plus(Duration::from_millis(400));
    let next = step(sent, paid.clone(), at).unwrap().next;
    let expires_at = at.plus(Duration::from_secs(5_400));
    let verbatim = Verbatim::new(WORDS, [7; 16]);
    let ticket = StoredTicket {
        reference: next.reference,
        msisdn: next.order.msisdn,
        vehicle: next.order.vehicle,
        short_code: "7K3M9QXA".into(),
        cwt: vec![0xa5; 153],
        issued_at: at,
        expires_at,
        revoked_at: None,
    };
    let seller = ToldSeller {
        name: "№ 1 Алматы автобус паркі".into(),
        tax_id: Some("010140000123".into()),
        time_zone: Some("Asia/Almaty".into()),
        fare_vat: "16".parse().unwrap(),
    };
    let told = Told { seller: Some(seller), ..Told::of(sent, &next, &[], Some(&ticket)) };
    Settlement {
        from_version: sent.version,
        journal: JournalEntry { verbatim: Some(verbatim.digest()), ..journal(Some(sent), &next, Some(paid), told) },
        verbatim: Some(verbatim),
        carrier_id: Some(NewCarrierId { carrier: "beeline".parse().unwrap(), id, names: Named::Attempt(1) }),
        entries: ledger::entries(Some(sent), &next),
        ticket: Some(ticket),
        revoke_ticket: false,
        messages: vec![OutgoingSms {
            id: next.reference.derive("ticket", 0),
            reference: Some(next.reference),
            carrier: "beeline".parse().unwrap(),
            msisdn: next.order.msisdn,
            text: "Билет 92, автобус 1234, 80 тг, до 09:00. Код 7K3M9QXA".into(),
            ticket: true,
            created_at: at,
            expires_at,
        }],
        slot: SlotChange::HoldUntil(expires_at),
        breaks: Vec::new(),
        charge: next,
    }
}

fn order(n: u64, msisdn: Msisdn, received_at: Timestamp) -> Order {
    Order {
        msisdn,
        vehicle: format!("{}", 1_000 + n % 3_000).parse().unwrap(),
        city: "almaty".into(),
        route: "92".into(),
        agency: "green-bus".into(),
        fare_class: "standard".into(),
        passengers: 1,
        amount: Money::kzt(8_000),
        zone: None,
        trip: None,
        channel: Channel::Api { caller: "ticket-service".into() },
        language: Language::Ru,
        extends: None,
        received_at,
    }
}

fn journal(before: Option<&Charge>, after: &Charge, event: Option<Event>, told: Told) -> JournalEntry {
    JournalEntry {
        reference: after.reference,
        version: after.version,
        at: after.updated_at,
        event,
        from: before.map(|charge| charge.state),
        to: after.state,
        verbatim: None,
        told,
    }
}

fn reference(n: u64, at: Timestamp) -> Reference {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&scattered(n).to_be_bytes());
    Reference::new(at, random)
}

/// A number for `n` that no other has, far from those of its neighbours (the finaliser of SplitMix64).
fn scattered(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
