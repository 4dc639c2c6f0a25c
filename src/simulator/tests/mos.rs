//! MOs in parts and MOs again; MTs in parts on the phone.

use rusmpp::{
    tlvs::{MessageSubmissionRequestTlvValue as Submitted, TlvTag, TlvValue},
    types::OctetString,
    values::EsmClass,
};

use super::{
    peer::{Peer, free, tlv},
    *,
};
use crate::simulator::text;

fn texting(simulator: &Simulator, text: &str, form: MoForm) -> tokio::task::JoinHandle<MoReport> {
    let (simulator, text) = (simulator.clone(), text.to_owned());
    tokio::spawn(async move { simulator.send_mo_as(number(1), "2505", &text, form).await.expect("a text") })
}

async fn struck_mo(fault: Fault) -> (Simulator, Peer, tokio::task::JoinHandle<MoReport>) {
    let (simulator, peer) = struck_by(quick(), fault).await;
    let report = texting(&simulator, "1234", MoForm::Payload);
    (simulator, peer, report)
}

#[tokio::test]
async fn case_39_a_long_mo_comes_in_parts_with_a_header_or_with_sar_tlvs() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let long = "Ж".repeat(100);
    for form in [MoForm::Udh8, MoForm::Udh16, MoForm::Sar] {
        let report = texting(&simulator, &long, form);
        let mut read = String::new();
        let mut references = Vec::new();
        for number in 1..=2 {
            let mo = peer.receive().await;
            let (octets, part) = text::strip_header(mo.esm_class.into(), mo.short_message().as_ref());
            read.push_str(&text::decode(8, octets));
            match form {
                MoForm::Sar => {
                    assert_eq!(u8::from(mo.esm_class), 0);
                    assert_eq!(tlv(&mo, TlvTag::SarSegmentSeqnum), Some(TlvValue::SarSegmentSeqnum(number)));
                    assert_eq!(tlv(&mo, TlvTag::SarTotalSegments), Some(TlvValue::SarTotalSegments(2)));
                    references.push(format!("{:?}", tlv(&mo, TlvTag::SarMsgRefNum)));
                }
                _ => {
                    let part = part.expect("a header");
                    assert_eq!((part.number, part.total), (number, 2));
                    references.push(part.reference.to_string());
                }
            }
        }
        assert_eq!(read, long);
        assert_eq!(references[0], references[1]);
        let report = report.await.expect("no panic");
        assert_eq!(report, MoReport { outcome: MoOutcome::Acknowledged, tries: 2 });
    }
}

#[tokio::test]
async fn case_39_parts_come_out_of_order_twice_or_not_all() {
    for (fault, numbers) in [
        (Fault::MoPartsOutOfOrder, &[2, 1][..]),
        (Fault::MoPartTwice, &[1, 2, 1]),
        (Fault::MoPartMissing, &[1]),
        (Fault::MoInParts { form: MoForm::Udh16 }, &[1, 2]),
    ] {
        let (_simulator, mut peer, report) = struck_mo(fault).await;
        let mut read = Vec::new();
        for _ in numbers {
            let mo = peer.receive().await;
            let (_, part) = text::strip_header(mo.esm_class.into(), mo.short_message().as_ref());
            read.push(part.expect("a header").number);
        }
        assert_eq!(read, numbers, "{fault:?}");
        assert_eq!(report.await.expect("no panic").outcome, MoOutcome::Acknowledged);
        assert!(peer.is_quiet().await);
    }
}

#[tokio::test]
async fn case_37_an_mo_comes_again_as_its_response_was_lost() {
    let (simulator, mut peer, report) = struck_mo(Fault::MoResponseLost).await;
    let first = peer.receive().await;
    let acknowledged = tokio::time::Instant::now();
    assert_eq!(peer.receive().await, first);
    assert!(acknowledged.elapsed() >= std::time::Duration::from_millis(50), "it was waited for");
    assert_eq!(report.await.expect("no panic").tries, 2);
    assert_eq!((simulator.stats().mos_acknowledged, simulator.stats().redeliveries), (1, 1));
}

#[tokio::test]
async fn case_10_an_mo_has_the_esm_class_of_a_receipt() {
    let (_simulator, mut peer, _report) = struck_mo(Fault::MoAsReceipt).await;
    let mo = peer.receive().await;
    assert_eq!((u8::from(mo.esm_class), mo.short_message().as_ref()), (4, &b"1234"[..]));
}

#[tokio::test]
async fn a_long_text_to_a_phone_is_joined_there() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let mut parts = Vec::new();
    for (number, octets) in [(2, b" END".to_vec()), (1, b"BEGIN".to_vec())] {
        let mut with_header = free(number_one(), "");
        with_header.esm_class = EsmClass::from(0x40);
        let octets = [&[5, 0, 3, 9, 2, number], &octets[..]].concat();
        with_header.set_short_message(OctetString::from_vec(octets).expect("short"));
        parts.push(with_header);
    }
    for (number, text) in [(1, "FIRST"), (2, " SECOND")] {
        let mut sar = free(number_one(), text);
        sar.push_tlv(Submitted::SarMsgRefNum(10));
        sar.push_tlv(Submitted::SarTotalSegments(2));
        sar.push_tlv(Submitted::SarSegmentSeqnum(number));
        parts.push(sar);
    }
    for part in parts {
        assert_eq!(peer.submit(part).await.0, 0);
        peer.receive().await;
    }
    let inbox = simulator.inbox(number_one());
    let texts: Vec<(&str, Option<Part>)> = inbox.iter().map(|message| (message.text.as_str(), message.part)).collect();
    assert_eq!(texts, [("BEGIN END", None), ("FIRST SECOND", None)]);
}

fn number_one() -> Msisdn {
    number(1)
}
