//! A receipt: any text, TLVs and forms of ids.
//!
//! Four octets say `esm_class`, which TLVs there are, the message state, and the forms of ids; the TLV's id follows up to a NUL,
//! and the rest is the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use smsbusd::smpp::receipt::{
    Delivery, IdBase, MESSAGE_ID_LENGTH_MAX, MessageIdForm, MessageState, Receipt, ReceiptDate, ReceiptTlvs,
    looks_like_receipt,
};

/// With so few colons no text has more fields than are read.
const FIELDS_SURELY_READ: usize = 20;
/// `~`, the states of 25 fields, an error and a date, all bounded.
const KEY_OCTETS_MAX: usize = 1 + 25 * 8 + 4 * (16 + 16 + 32) + 2;

fuzz_target!(|data: &[u8]| {
    let Some(([esm_class, flags, state, bases], rest)) = data.split_first_chunk::<4>() else { return };
    let rest = String::from_utf8_lossy(rest);
    let (id, text) = rest.split_once('\0').unwrap_or(("", &rest));
    let has = |bit: u8| flags & 1 << bit != 0;
    let tlvs = ReceiptTlvs {
        receipted_message_id: has(0).then_some(id),
        message_state: has(1).then_some(*state),
        network_error_code: has(2).then_some([*bases, *state, *flags]),
        user_message_reference: has(3).then_some(u16::from_be_bytes([*state, *bases])),
    };
    let form = MessageIdForm { response: base(*bases), receipt_text: base(bases >> 2), receipt_tlv: base(bases >> 4) };
    check(*esm_class, text, &tlvs, &form);
    check_id(text);
    check_id(id);
    check_date(text);
});

fn base(bits: u8) -> IdBase {
    match bits & 3 {
        0 => IdBase::AsIs,
        1 => IdBase::Hex,
        _ => IdBase::Decimal,
    }
}

fn check(esm_class: u8, text: &str, tlvs: &ReceiptTlvs<'_>, form: &MessageIdForm) {
    let receipt = Receipt::read(esm_class, text, tlvs, form);
    assert_eq!(receipt.is_some(), looks_like_receipt(esm_class, text, tlvs));
    let again = Receipt::read(esm_class, text, tlvs, form);
    assert_eq!(receipt, again, "read twice");
    let Some(receipt) = receipt else { return };
    assert_eq!(Some(receipt.evidence_key()), again.map(|again| again.evidence_key()), "the key changes");
    check_bounds(&receipt);
    check_state(&receipt, text, tlvs);
    check_case(&receipt, esm_class, text, tlvs, form);
    check_quotation(&receipt, esm_class, text, tlvs, form);
}

/// Whatever a carrier writes, what is stored of it is short.
fn check_bounds(receipt: &Receipt) {
    let longest = |text: &Option<String>| text.as_deref().map_or(0, |text| text.chars().count());
    assert!(longest(&receipt.message_id) <= MESSAGE_ID_LENGTH_MAX);
    assert!(receipt.message_id.as_deref() != Some(""));
    assert!(longest(&receipt.stat_as_written) <= 16 && longest(&receipt.err) <= 16);
    assert!(longest(&receipt.text_prefix) <= 40);
    assert!(receipt.evidence_key().len() <= KEY_OCTETS_MAX, "{}", receipt.evidence_key());
}

/// Money hangs on it: *delivered* is said only where the carrier says it, and nothing says otherwise.
fn check_state(receipt: &Receipt, text: &str, tlvs: &ReceiptTlvs<'_>) {
    let text = text.to_ascii_uppercase();
    let tlv = tlvs.message_state.map(MessageState::from_tlv);
    let is_said = |states: &[MessageState], words: &[&str]| {
        tlv.is_some_and(|state| states.contains(&state)) || words.iter().any(|word| text.contains(word))
    };
    match receipt.delivery() {
        Delivery::Delivered => {
            assert!(is_said(&[MessageState::Delivered], &["DELIVRD", "DELIVERED"]), "nobody says delivered");
            let tlv = tlv.map_or(Delivery::NothingNew, MessageState::delivery);
            assert!(tlv != Delivery::Failed, "the TLV says that it failed");
        }
        Delivery::Failed => {
            use MessageState::{Deleted, Expired, Rejected, Undeliverable};
            let words = ["EXPIRED", "DELETED", "UNDELIV", "REJECT"];
            assert!(is_said(&[Expired, Deleted, Undeliverable, Rejected], &words), "nobody says that it failed");
            assert!(tlv != Some(MessageState::Delivered), "the TLV says that it was delivered");
        }
        Delivery::NothingNew => {}
    }
    if receipt.intermediate {
        assert_eq!(receipt.delivery(), Delivery::NothingNew, "an intermediate notification is never final");
        assert!(receipt.evidence_key().starts_with('~'));
    }
}

/// Upper and lower case are the same to a carrier.
fn check_case(receipt: &Receipt, esm_class: u8, text: &str, tlvs: &ReceiptTlvs<'_>, form: &MessageIdForm) {
    for text in [text.to_ascii_uppercase(), text.to_ascii_lowercase()] {
        let other = Receipt::read(esm_class, &text, tlvs, form).expect("a receipt in any case");
        assert_eq!((&other.message_id, other.state), (&receipt.message_id, receipt.state));
        assert_eq!((other.voucher, other.disagreement), (receipt.voucher, receipt.disagreement));
    }
}

/// What the quotation says is a passenger's word, or ours, and changes nothing.
fn check_quotation(receipt: &Receipt, esm_class: u8, text: &str, tlvs: &ReceiptTlvs<'_>, form: &MessageIdForm) {
    if text.matches(':').count() > FIELDS_SURELY_READ {
        return;
    }
    for quotation in ["stat:DELIVRD id:9", "stat:UNDELIV err:1", " id:9 message state:2 done date:2601010000"] {
        let quoting = format!("{text} text:{quotation}");
        let other = Receipt::read(esm_class, &quoting, tlvs, form).expect("a receipt with a quotation");
        assert_eq!(other.evidence_key(), receipt.evidence_key(), "{quoting:?}");
        assert_eq!((&other.message_id, other.state), (&receipt.message_id, receipt.state), "{quoting:?}");
        assert_eq!((other.voucher, other.disagreement), (receipt.voucher, receipt.disagreement), "{quoting:?}");
    }
}

/// The form in which an id is stored is its only one.
fn check_id(id: &str) {
    for base in [IdBase::AsIs, IdBase::Hex, IdBase::Decimal] {
        let normal = base.normalise(id);
        assert_eq!(base.normalise(&id.to_ascii_uppercase()), normal, "{base:?}: another case");
        assert_eq!(base.normalise(&format!("\0 {id}")), normal, "{base:?}: blanks before it");
        let Some(normal) = normal else { continue };
        assert!((1..=MESSAGE_ID_LENGTH_MAX).contains(&normal.chars().count()));
        if base != IdBase::Hex {
            assert_eq!(base.normalise(&normal), Some(normal.clone()), "{base:?}: stored");
        }
    }
}

fn check_date(text: &str) {
    let Some(date) = ReceiptDate::parse(text) else {
        assert_eq!(text.trim(), "");
        return;
    };
    assert!(date.as_written.chars().count() <= 32);
    assert!(date.civil.is_none_or(|civil| (2000..2100).contains(&civil.year())));
}
