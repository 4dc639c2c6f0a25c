use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    charge::{
        Break, Charge, Contract, Doubt, Effect, Evidence, EvidenceSource, Finding, LateSuccess, Reason, Reference,
        RefundState, Retry, Terms, samples::order, step,
    },
    clock::Timestamp,
    ledger::{self, Account},
    money::{Money, Percentage},
    store::{EventPlace, JournalEntry, SettledEntry, StoredTicket, Told, ToldSeller},
};

const T0: Timestamp = Timestamp::from_unix_seconds(1_772_350_200);

fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

/// A charge on its way, with the journal that a gateway writes of it.
struct Story {
    charge: Charge,
    journal: Vec<SettledEntry>,
}

impl Story {
    fn begin() -> Story {
        let terms = Terms { fare_vat: vat(), ..Terms::new(at(60), LateSuccess::Refund) };
        let order = crate::charge::Order { passengers: 2, amount: Money::kzt(16_000), ..order(T0) };
        let charge = Charge::new(Reference::new(T0, [7; 10]), order, terms);
        let mut story = Story { charge, journal: Vec::new() };
        story.write(None, None, Told::default());
        story
    }

    fn write(&mut self, before: Option<&Charge>, event: Option<crate::charge::Event>, told: Told) {
        let charge = &self.charge;
        let entry = JournalEntry {
            reference: charge.reference,
            version: charge.version,
            at: charge.updated_at,
            event,
            from: before.map(|before| before.state),
            to: charge.state,
            verbatim: None,
            told,
        };
        let place = u64::try_from(self.journal.len()).expect("a short story") + 1;
        self.journal.push(SettledEntry { place, entry, order: charge.order.clone() });
    }

    /// Whether the event is legal and changes something.
    fn goes_on(&mut self, event: crate::charge::Event, second: u64) -> bool {
        let before = self.charge.clone();
        let Ok(done) = step(&before, event.clone(), at(second)) else { return false };
        if done.next.version == before.version {
            return false;
        }
        let ticket = done.effects.contains(&Effect::IssueTicket).then(|| ticket(&done.next));
        let mut told = Told::of(&before, &done.next, &done.effects, ticket.as_ref());
        told.seller = told.wants_seller().then(seller);
        self.charge = done.next;
        self.write(Some(&before), Some(event), told);
        true
    }

    fn events(&self) -> Vec<Event> {
        self.journal.iter().flat_map(events_of).collect()
    }

    fn kinds(&self) -> Vec<&'static str> {
        self.events().iter().map(|event| event.kind.code()).collect()
    }

    /// The last event of this kind, as it is sent.
    fn last(&self, kind: EventType) -> Value {
        let event = self.events().into_iter().rfind(|event| event.kind == kind).expect("told");
        serde_json::to_value(event).expect("JSON")
    }
}

fn ticket(charge: &Charge) -> StoredTicket {
    StoredTicket {
        reference: charge.reference,
        msisdn: charge.order.msisdn,
        vehicle: charge.order.vehicle,
        short_code: "7K3M9QXA".into(),
        cwt: vec![1; 150],
        issued_at: charge.updated_at,
        expires_at: charge.updated_at.plus(Duration::from_secs(5_400)),
        revoked_at: None,
    }
}

fn seller() -> ToldSeller {
    let (tax_id, time_zone) = (Some("010140000123".into()), Some("Asia/Almaty".into()));
    ToldSeller { name: "Green Bus".into(), tax_id, time_zone, fare_vat: vat() }
}

fn vat() -> Percentage {
    "16".parse().expect("a rate")
}

fn attempt(can_refund: bool) -> crate::charge::Event {
    let contract = Contract {
        in_flight_delay_ms: 1_000,
        queries: None,
        queries_by_carrier_id: false,
        queries_refunds: true,
        can_refund,
        refund_message: None,
        replays_keys: false,
        reservation_ms: None,
        fee: None,
    };
    crate::charge::Event::OpenAttempt {
        carrier: "beeline".parse().expect("a name"),
        wire_reference: "7".into(),
        contract,
        carrier_time: None,
    }
}

fn evidence(attempt: u16, id: &str, finding: Finding) -> crate::charge::Event {
    crate::charge::Event::Evidence(Evidence { id: id.into(), attempt, source: EvidenceSource::Response, finding })
}

fn paid(id: &str) -> crate::charge::Event {
    evidence(1, id, Finding::Charged { carrier_id: Some("b-77".into()), amount: None })
}

fn charged() -> Story {
    let mut story = Story::begin();
    assert!(story.goes_on(attempt(true), 0) && story.goes_on(paid("e1"), 1));
    story
}

fn refund(n: u8, minor: i64) -> crate::charge::Event {
    let refund = Reference::from_bytes([n; 16]);
    crate::charge::Event::RequestRefund { refund, amount: Money::kzt(minor), by: None }
}

fn refund_evidence(n: u8, id: &str, finding: Finding) -> crate::charge::Event {
    let refund = Reference::from_bytes([n; 16]);
    crate::charge::Event::RefundEvidence { refund, id: id.into(), source: EvidenceSource::Response, finding }
}

fn paid_out(n: u8) -> crate::charge::Event {
    let refund = Reference::from_bytes([n; 16]);
    crate::charge::Event::PayOut { refund, by: "aigul".into(), because: "in cash".into() }
}

const WENT_BACK: Finding = Finding::Charged { carrier_id: None, amount: None };

#[test]
fn a_purchase_tells_what_a_fiscal_receipt_needs() {
    let story = charged();
    assert_eq!(story.kinds(), ["charge.processing", "charge.charged", "ticket.issued"]);
    insta::assert_json_snapshot!(story.last(EventType::ChargeCharged), @r#"
    {
      "cursor": "3-0",
      "data": {
        "agency": "green-bus",
        "amount": {
          "currency": "KZT",
          "decimal": "160.00",
          "minor": 16000
        },
        "caller": "ticket-service",
        "carrier": "beeline",
        "carrier_id": "b-77",
        "channel": "api",
        "charged_at": "2026-03-01T07:30:01.000Z",
        "city": "almaty",
        "fare_class": "regular",
        "fiscal": {
          "at": "2026-03-01T12:30:01+05:00",
          "items": [
            {
              "fare_class": "regular",
              "quantity": 2,
              "route": "92",
              "total": {
                "currency": "KZT",
                "decimal": "160.00",
                "minor": 16000
              },
              "unit_price": {
                "currency": "KZT",
                "decimal": "80.00",
                "minor": 8000
              }
            }
          ],
          "means": "mobile_balance",
          "operation": "sale",
          "seller": {
            "agency": "green-bus",
            "name": "Green Bus",
            "tax_id": "010140000123"
          },
          "total": {
            "currency": "KZT",
            "decimal": "160.00",
            "minor": 16000
          },
          "vat": {
            "amount": {
              "currency": "KZT",
              "decimal": "22.07",
              "minor": 2207
            },
            "percent": "16"
          }
        },
        "language": "ru",
        "msisdn": "+77011234567",
        "passengers": 2,
        "previous_state": "processing",
        "received_at": "2026-03-01T07:30:00.000Z",
        "reference": "019ca84d-d8c0-7707-8707-070707070707",
        "route": "92",
        "state": "charged",
        "vehicle": "1234",
        "version": 3
      },
      "id": "019ca84d-d8c0-8d39-b9fa-82bf8f9f79e3",
      "timestamp": "2026-03-01T07:30:01.000Z",
      "type": "charge.charged"
    }
    "#);
    let issued = story.last(EventType::TicketIssued);
    insta::assert_json_snapshot!(issued["data"]["ticket"], @r#"
    {
      "expires_at": "2026-03-01T09:00:01.000Z",
      "issued_at": "2026-03-01T07:30:01.000Z",
      "link": "/v1/tickets/019ca84d-d8c0-7707-8707-070707070707",
      "short_code": "7K3M9QXA"
    }
    "#);
    assert_eq!((&issued["cursor"], &issued["data"]["fiscal"]), (&"3-1".into(), &Value::Null));
}

#[test]
fn a_refund_of_everything_revokes_the_ticket_and_is_a_sale_return_once_it_is_done() {
    let mut story = charged();
    assert!(story.goes_on(refund(9, 16_000), 2));
    assert_eq!(story.kinds()[3..], ["charge.refunding", "ticket.revoked", "refund.processing"]);
    assert_eq!(story.last(EventType::RefundProcessing)["data"]["fiscal"], Value::Null);
    assert!(story.goes_on(refund_evidence(9, "r1", WENT_BACK), 3));
    assert_eq!(story.kinds()[6..], ["charge.refunded", "refund.done"]);
    let done = story.last(EventType::RefundDone);
    assert_eq!((&done["data"]["refund"]["state"], &done["data"]["state"]), (&"done".into(), &"refunded".into()));
    let fiscal = &done["data"]["fiscal"];
    assert_eq!((&fiscal["operation"], &fiscal["total"]["decimal"]), (&"sale_return".into(), &"160.00".into()));
    assert_eq!(fiscal["items"][0]["quantity"], 2);
    assert_eq!(story.last(EventType::ChargeRefunded)["data"]["fiscal"], Value::Null, "once");
}

#[test]
fn parts_that_go_back_are_told_and_leave_the_charge_where_it_is() {
    let mut story = charged();
    assert!(story.goes_on(refund(9, 1_000), 2) && story.goes_on(refund_evidence(9, "r1", WENT_BACK), 3));
    assert_eq!(story.kinds()[3..], ["refund.processing", "refund.done"]);
    let done = story.last(EventType::RefundDone);
    assert_eq!(
        (&done["data"]["state"], &done["data"]["refund"]["amount"]["minor"]),
        (&"charged".into(), &1_000.into())
    );
    assert_eq!(done["data"]["fiscal"]["total"]["decimal"], "10.00");
    assert_eq!(done["data"]["fiscal"]["items"], Value::Null, "of a part only the amount is known");
    // What a carrier answers to the request is its own business until it changes what we say.
    let mut story = charged();
    assert!(story.goes_on(refund(9, 1_000), 2));
    assert!(story.goes_on(refund_evidence(9, "r1", Finding::Accepted { carrier_id: None }), 3));
    assert_eq!(story.kinds()[3..], ["refund.processing"]);
}

#[test]
fn the_tax_of_all_parts_that_went_back_is_the_tax_of_the_sale() {
    let mut story = charged();
    // Each rounded by itself: 736 three times, which is one too many.
    for (n, minor) in [(9, 5_333), (10, 5_333), (11, 5_334)] {
        assert!(
            story.goes_on(refund(n, minor), 2) && story.goes_on(refund_evidence(n, &format!("r{n}"), WENT_BACK), 3)
        );
    }
    let fiscal = story.events().into_iter().filter_map(|event| event.data.fiscal);
    let tax: Vec<i64> = fiscal.filter_map(|fiscal| fiscal.vat).map(|vat| vat.amount.minor).collect();
    assert_eq!(tax, [2_207, 736, 735, 736]);
}

#[test]
fn what_was_paid_out_in_another_way_is_a_sale_return() {
    let mut story = Story::begin();
    assert!(story.goes_on(attempt(false), 0) && story.goes_on(paid("e1"), 1) && story.goes_on(refund(9, 16_000), 2));
    assert_eq!(story.last(EventType::RefundOwed)["data"]["fiscal"], Value::Null);
    assert!(story.goes_on(paid_out(9), 3));
    let out = story.last(EventType::RefundPaidOut);
    assert_eq!((&out["data"]["refund"]["state"], &out["data"]["state"]), (&"paid_out".into(), &"refunded".into()));
    let fiscal = &out["data"]["fiscal"];
    assert_eq!((&fiscal["operation"], &fiscal["vat"]["amount"]["minor"]), (&"sale_return".into(), &2_207.into()));
}

#[test]
fn a_success_that_came_too_late_is_no_sale() {
    let mut story = Story::begin();
    assert!(story.goes_on(attempt(false), 0));
    assert!(story.goes_on(evidence(1, "e1", Finding::Doubtful { cause: Doubt::Timeout }), 10));
    assert!(story.goes_on(paid("e2"), 90));
    assert_eq!(story.kinds(), ["charge.processing", "charge.in_doubt", "charge.refund_owed", "refund.owed"]);
    let owed = story.last(EventType::ChargeRefundOwed);
    assert_eq!(owed["data"]["charged_at"], "2026-03-01T07:31:30.000Z");
    assert!(story.goes_on(
        crate::charge::Event::RefundEvidence {
            refund: story.charge.late_refund(),
            id: "r".into(),
            source: EvidenceSource::Response,
            finding: WENT_BACK,
        },
        99,
    ));
    assert_eq!(story.last(EventType::RefundDone)["data"]["fiscal"], Value::Null);
}

#[test]
fn proof_of_payment_for_a_rejected_charge_is_a_break_and_a_refund_of_its_own() {
    let mut story = Story::begin();
    assert!(story.goes_on(attempt(false), 0));
    let no = Finding::Rejected { reason: Reason::Barred, retry: Retry::Never, detail: "no".into() };
    assert!(story.goes_on(evidence(1, "e1", no), 1) && story.goes_on(paid("e2"), 2));
    assert_eq!(story.kinds(), ["charge.processing", "charge.rejected", "refund.owed", "break.opened"]);
    assert_eq!(story.last(EventType::ChargeRejected)["data"]["reason"], "barred");
    let found = story.last(EventType::BreakOpened);
    assert_eq!(found["data"]["break"]["kind"], Break::ChargedAfterRejection.code());
    assert_eq!((&found["cursor"], &found["data"]["state"]), (&"4-1".into(), &"rejected".into()));
    assert_eq!(story.last(EventType::RefundOwed)["data"]["refund"]["carrier"], "beeline");
}

#[test]
fn a_test_number_pays_nothing_and_needs_no_receipt() {
    let mut story = Story::begin();
    story.charge.order.amount = Money::kzt(0);
    assert!(story.goes_on(attempt(true), 0) && story.goes_on(paid("e1"), 1));
    assert_eq!(story.last(EventType::ChargeCharged)["data"]["fiscal"], Value::Null);
}

#[test]
fn an_entry_that_was_written_before_events_still_tells_where_the_charge_went() {
    let mut settled = charged().journal.remove(2);
    let mut json = serde_json::to_value(&settled.entry).expect("JSON");
    json.as_object_mut().expect("an object").remove("told");
    settled.entry = serde_json::from_value(json).expect("an entry of before");
    let events = events_of(&settled);
    assert_eq!(events.len(), 1);
    let event = serde_json::to_value(&events[0]).expect("JSON");
    assert_eq!((&event["type"], &event["data"]["state"]), (&"charge.charged".into(), &"charged".into()));
    assert_eq!(event["data"]["fiscal"]["seller"], serde_json::json!({ "agency": "green-bus" }));
}

#[test]
fn a_filter_wants_what_it_names_and_everything_if_it_names_nothing() {
    let all = EventFilter::default();
    let some: EventFilter = "charge.charged, refund.*".parse().expect("known");
    for kind in EventType::ALL {
        let named = kind == EventType::ChargeCharged || kind.code().starts_with("refund.");
        assert_eq!((all.wants(kind), some.wants(kind)), (true, named), "{kind}");
    }
    for unknown in ["", "charge", "charge.", "*", ".*", "charge.paid", "refund.*,", "Charge.charged"] {
        assert!(unknown.parse::<EventFilter>().is_err(), "{unknown:?}");
    }
    let codes: BTreeSet<&str> = EventType::ALL.map(EventType::code).into();
    assert_eq!(codes.len(), EventType::ALL.len());
    let page = include_str!("../../../docs/events.md");
    for code in codes {
        assert!(page.contains(&format!("`{code}`")), "docs/events.md says nothing of {code}");
    }
}

const fn went_back(state: RefundState) -> bool {
    matches!(state, RefundState::Done | RefundState::PaidOut)
}

/// Anything that can happen to a charge, more or less likely.
fn anything() -> impl Strategy<Value = crate::charge::Event> {
    let findings = prop_oneof![
        Just(Finding::NotSent),
        Just(Finding::Accepted { carrier_id: Some("b-77".into()) }),
        Just(Finding::Charged { carrier_id: Some("b-77".into()), amount: None }),
        Just(Finding::Doubtful { cause: Doubt::LinkLost }),
        Just(Finding::NotFound { complete: true, asked_at: None }),
        Just(Finding::OtpNeeded { carrier_id: None, validation: None }),
        prop_oneof![Just(Retry::Never), Just(Retry::SameCarrier), Just(Retry::OtherCarrier)]
            .prop_map(|retry| Finding::Rejected { reason: Reason::Barred, retry, detail: String::new() }),
    ];
    let findings = findings.boxed();
    let of_attempt = (1..3_u16, any::<u32>(), findings.clone());
    prop_oneof![
        2 => any::<bool>().prop_map(attempt),
        6 => of_attempt.prop_map(|(number, id, finding)| evidence(number, &id.to_string(), finding)),
        1 => Just(crate::charge::Event::Tick),
        1 => Just(crate::charge::Event::GiveUp),
        1 => Just(crate::charge::Event::Decline { reason: Reason::DailyLimit }),
        1 => Just(crate::charge::Event::Supersede { by: Reference::from_bytes([3; 16]) }),
        2 => (0..3_u8, 1..17_000_i64).prop_map(|(n, minor)| refund(n, minor)),
        1 => (0..3_u8).prop_map(paid_out),
        3 => (0..3_u8, any::<u32>(), findings).prop_map(|(n, id, finding)| refund_evidence(n, &id.to_string(), finding)),
    ]
}

proptest! {
    #[test]
    fn the_events_of_any_charge_end_where_the_charge_and_its_refunds_stand(
        happens in prop::collection::vec((anything(), 0..30_u64), 0..40),
    ) {
        let mut story = Story::begin();
        let mut second = 0;
        for (event, pause) in happens {
            second += pause;
            story.goes_on(event, second);
        }
        let events = story.events();
        // Ids and cursors are unique, cursors and versions never go back, and what is read again is the same bytes.
        let ids: BTreeSet<String> = events.iter().map(|event| event.id.to_string()).collect();
        prop_assert_eq!(ids.len(), events.len());
        prop_assert!(events.windows(2).all(|pair| pair[0].cursor < pair[1].cursor));
        prop_assert!(events.windows(2).all(|pair| pair[0].data.charge.version <= pair[1].data.charge.version));
        let bytes = |events: &[Event]| serde_json::to_vec(events).expect("JSON");
        prop_assert_eq!(bytes(&events), bytes(&story.events()));
        let kept: Vec<SettledEntry> = story
            .journal
            .iter()
            .map(|settled| {
                let entry = serde_json::to_string(&settled.entry).expect("JSON");
                SettledEntry { entry: serde_json::from_str(&entry).expect("an entry"), ..settled.clone() }
            })
            .collect();
        prop_assert_eq!(bytes(&kept.iter().flat_map(events_of).collect::<Vec<_>>()), bytes(&events));

        let last = events.iter().rfind(|event| event.kind.code().starts_with("charge.")).expect("its opening is told");
        prop_assert_eq!(last.data.charge.state, story.charge.state.code());
        prop_assert_eq!(last.kind, EventType::of_state(story.charge.state));
        prop_assert_eq!(last.data.charge.reason, story.charge.state.reason());
        for refund in &story.charge.refunds {
            let told = events.iter().rfind(|event| event.data.refund.as_ref().is_some_and(|r| r.id == refund.reference));
            let told = told.and_then(|event| event.data.refund.as_ref()).expect("told");
            prop_assert_eq!(told.state, refund.state.public_code());
        }
        // A sale is told once, and never given back more than once over.
        let totals = |operation| events.iter().filter_map(|event| event.data.fiscal.as_ref())
            .filter(|fiscal| fiscal.operation == operation).map(|fiscal| fiscal.total.minor).collect::<Vec<_>>();
        let (sold, back) = (totals(FiscalOperation::Sale), totals(FiscalOperation::SaleReturn));
        prop_assert!(sold.len() <= 1);
        prop_assert!(back.iter().sum::<i64>() <= sold.iter().sum::<i64>());
        let done: i64 = story.charge.refunds.iter()
            .filter(|refund| went_back(refund.state) && !sold.is_empty() && refund.attempt.is_none())
            .map(|refund| refund.amount.minor).sum();
        prop_assert_eq!(back.iter().sum::<i64>(), done);
        // The tax on the receipts is that in the books.
        let vat = |operation| events.iter().filter_map(|event| event.data.fiscal.as_ref())
            .filter(|fiscal| fiscal.operation == operation)
            .filter_map(|fiscal| fiscal.vat.as_ref()).map(|vat| vat.amount.minor).sum::<i64>();
        let of_sale = || story.charge.refunds.iter().filter(|refund| refund.attempt.is_none());
        if !sold.is_empty() && of_sale().all(|refund| went_back(refund.state)) {
            let owed = ledger::position(&story.charge).into_iter()
                .filter(|(account, _)| matches!(account, Account::VatOutput(_))).map(|(_, minor)| minor).sum::<i64>();
            prop_assert_eq!(vat(FiscalOperation::SaleReturn) - vat(FiscalOperation::Sale), owed);
        }
        let issued = events.iter().filter(|event| event.kind == EventType::TicketIssued).count();
        prop_assert_eq!(issued, sold.len());
    }

    #[test]
    fn no_text_panics_as_a_cursor_or_a_filter(text in "[0-9a-z.*,-]{0,24}") {
        if let Ok(place) = text.parse::<EventPlace>() {
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }
        let _ = text.parse::<EventFilter>();
    }
}
