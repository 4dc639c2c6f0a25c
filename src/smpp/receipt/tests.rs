use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const RECEIPT: u8 = 0x04;
const INTERMEDIATE: u8 = 0x20;
const NO_TLVS: ReceiptTlvs<'static> = ReceiptTlvs {
    receipted_message_id: None,
    message_state: None,
    network_error_code: None,
    user_message_reference: None,
};
const AS_IS: MessageIdForm =
    MessageIdForm { response: IdBase::AsIs, receipt_text: IdBase::AsIs, receipt_tlv: IdBase::AsIs };
const USUAL: &str =
    "id:0123456789 sub:001 dlvrd:001 submit date:2603010729 done date:2603010730 stat:DELIVRD err:000 text:Thank you";

fn read(text: &str) -> Receipt {
    Receipt::read(RECEIPT, text, &NO_TLVS, &AS_IS).unwrap_or_else(|| panic!("no receipt: {text:?}"))
}

fn tlvs(id: &'static str, state: u8) -> ReceiptTlvs<'static> {
    ReceiptTlvs { receipted_message_id: Some(id), message_state: Some(state), ..NO_TLVS }
}

#[test]
fn the_usual_text_is_read_whole() {
    let receipt = read(USUAL);
    assert_eq!(receipt.message_id.as_deref(), Some("123456789"));
    assert_eq!((receipt.state, receipt.delivery()), (MessageState::Delivered, Delivery::Delivered));
    assert_eq!(receipt.stat_as_written.as_deref(), Some("DELIVRD"));
    assert_eq!(receipt.err.as_deref(), Some("000"));
    assert_eq!(receipt.text_prefix.as_deref(), Some("Thank you"));
    let submitted = receipt.submit_date.expect("it is there");
    assert_eq!(submitted.as_written, "2603010729");
    assert_eq!(submitted.civil, Some(date(2026, 3, 1).at(7, 29, 0, 0)));
    assert!(!submitted.to_the_second);
    assert_eq!(receipt.done_date.and_then(|done| done.civil), Some(date(2026, 3, 1).at(7, 30, 0, 0)));
    assert!(!receipt.disagreement && !receipt.intermediate);
}

// Field cases 1, 4, 6 and 7 are about when and where a receipt comes. What they need of the reader: the receipt names its
// message by itself, in the very form that the response's id is stored in.

#[test]
fn case_01_and_04_a_receipt_before_its_response_names_the_same_message() {
    let form = MessageIdForm { response: IdBase::Hex, receipt_text: IdBase::Decimal, receipt_tlv: IdBase::Hex };
    let receipt = Receipt::read(RECEIPT, "id:3735928559 stat:DELIVRD", &NO_TLVS, &form).expect("a receipt");
    assert_eq!(receipt.message_id, form.response.normalise("DEADBEEF"));
}

#[test]
fn case_02_the_same_receipt_twice_has_one_evidence_key() {
    assert_eq!(read(USUAL).evidence_key(), "DELIVRD|000|2026-03-01T07:30:00");
    let again = "ID:123456789 done date:260301073000 STAT:Delivrd ERR:000";
    assert_eq!(read(again).evidence_key(), read(USUAL).evidence_key());
}

#[test]
fn case_03_receipts_that_disagree_have_different_evidence_keys() {
    let key = |stat: &str, err: &str, done: &str| {
        read(&format!("id:1 stat:{stat} err:{err} done date:{done}")).evidence_key()
    };
    let keys = [
        key("ENROUTE", "000", "2603010730"),
        key("DELIVRD", "000", "2603010730"),
        key("UNDELIV", "000", "2603010730"),
        key("DELIVRD", "001", "2603010730"),
        key("DELIVRD", "000", "2603010731"),
        key("FAILED", "000", "2603010730"),
        Receipt::read(INTERMEDIATE, "id:1 stat:DELIVRD err:000 done date:2603010730", &NO_TLVS, &AS_IS)
            .expect("a notification")
            .evidence_key(),
        Receipt::read(RECEIPT, "id:1 stat:UNDELIV err:000 done date:2603010730", &tlvs("1", 2), &AS_IS)
            .expect("a receipt")
            .evidence_key(),
    ];
    for (at, key) in keys.iter().enumerate() {
        assert!(!keys[..at].contains(key), "{key}");
    }
}

#[test]
fn case_05_hex_in_one_and_decimal_in_the_other() {
    let same = Some("439041101".to_owned());
    for (base, raw) in [
        (IdBase::Hex, "1A2B3C4D"),
        (IdBase::Hex, "1a2b3c4d"),
        (IdBase::Hex, "0x1A2B3C4D"),
        (IdBase::Hex, "000000001a2b3c4d"),
        (IdBase::Decimal, "439041101"),
        (IdBase::Decimal, "0439041101"),
        (IdBase::AsIs, "0439041101"),
        (IdBase::AsIs, " 439041101\0"),
    ] {
        assert_eq!(base.normalise(raw), same, "{base:?} {raw:?}");
    }
    assert_eq!(IdBase::Decimal.normalise("0000"), Some("0".into()));
}

#[test]
fn case_05_what_is_no_number_is_kept_but_for_case() {
    let uuid = "0189F7C4-89D2-7B11-9E3F-0A1B2C3D4E5F";
    for base in [IdBase::AsIs, IdBase::Hex, IdBase::Decimal] {
        assert_eq!(base.normalise(uuid), Some(uuid.to_lowercase()));
        assert_eq!(base.normalise("00Zx-1"), Some("00zx-1".into()));
        assert_eq!(base.normalise("+5"), Some("+5".into()));
        assert_eq!(base.normalise(&"9".repeat(100)).map(|id| id.len()), Some(MESSAGE_ID_LENGTH_MAX));
    }
    assert_eq!(IdBase::AsIs.normalise("00aF"), Some("00af".into()));
}

#[test]
fn case_14_an_empty_id_is_no_id() {
    for base in [IdBase::AsIs, IdBase::Hex, IdBase::Decimal] {
        for raw in ["", " ", "\0", " \0\t"] {
            assert_eq!(base.normalise(raw), None);
        }
    }
    let receipt = Receipt::read(RECEIPT, "id: sub:001 stat:DELIVRD", &tlvs("", 2), &AS_IS).expect("it names a state");
    assert_eq!((receipt.message_id, receipt.state), (None, MessageState::Delivered));
}

#[test]
fn case_08_only_tlvs() {
    let tlvs =
        ReceiptTlvs { network_error_code: Some([3, 0, 17]), user_message_reference: Some(4_711), ..tlvs("ABC", 5) };
    for text in ["", "Delivered soon"] {
        let receipt = Receipt::read(RECEIPT, text, &tlvs, &AS_IS).expect("a receipt");
        assert_eq!(receipt.message_id.as_deref(), Some("abc"));
        assert_eq!((receipt.state, receipt.delivery()), (MessageState::Undeliverable, Delivery::Failed));
        assert_eq!(receipt.err.as_deref(), Some("017"));
        assert_eq!(receipt.network_error, Some(NetworkError { network: 3, code: 17 }));
        assert_eq!(receipt.user_message_reference, Some(4_711));
        assert!(!receipt.disagreement && receipt.done_date.is_none());
    }
}

#[test]
fn case_08_tlvs_and_text_that_agree() {
    let form = MessageIdForm { receipt_text: IdBase::Decimal, receipt_tlv: IdBase::Hex, ..AS_IS };
    let receipt = Receipt::read(RECEIPT, "id:255 stat:DELIVRD err:0B1", &tlvs("ff", 2), &form).expect("a receipt");
    assert_eq!((receipt.message_id.as_deref(), receipt.err.as_deref()), (Some("255"), Some("0B1")));
    assert!(!receipt.disagreement);
}

#[test]
fn case_08_tlvs_and_text_that_disagree() {
    let state = |tlv: u8, stat: &str| {
        let receipt = Receipt::read(RECEIPT, &format!("id:1 stat:{stat}"), &tlvs("1", tlv), &AS_IS).expect("a receipt");
        assert_eq!(receipt.disagreement, !stat.starts_with('X'));
        receipt.state
    };
    // Delivered and failed at once prove neither.
    assert_eq!(state(2, "UNDELIV"), MessageState::Unknown);
    assert_eq!(state(3, "DELIVRD"), MessageState::Unknown);
    // What is final beats what is not.
    assert_eq!(state(1, "DELIVRD"), MessageState::Delivered);
    assert_eq!(state(2, "ACCEPTD"), MessageState::Delivered);
    assert_eq!(state(7, "REJECTD"), MessageState::Rejected);
    // Of two that mean the same, the TLV is right.
    assert_eq!(state(3, "UNDELIV"), MessageState::Expired);
    assert_eq!(state(6, "ENROUTE"), MessageState::Accepted);
    // A word or number that nobody knows contradicts nothing.
    assert_eq!(state(2, "XYZ"), MessageState::Delivered);
}

#[test]
fn case_08_two_ids_are_a_disagreement_and_the_tlv_is_right() {
    let receipt = Receipt::read(RECEIPT, "id:2 stat:DELIVRD", &tlvs("1", 2), &AS_IS).expect("a receipt");
    assert_eq!((receipt.message_id.as_deref(), receipt.disagreement), (Some("1"), true));
}

#[test]
fn a_text_that_contradicts_itself_proves_nothing() {
    let receipt = read("id:1 stat:DELIVRD stat:EXPIRED");
    assert_eq!((receipt.state, receipt.disagreement), (MessageState::Unknown, true));
}

#[test]
fn a_contradiction_is_none_the_less_for_being_repeated() {
    for text in ["stat:DELIVRD stat:EXPIRED stat:DELIVRD", "stat:UNDELIV stat:DELIVRD stat:ENROUTE stat:EXPIRED"] {
        let receipt = read(&format!("id:1 {text}"));
        assert_eq!((receipt.state, receipt.disagreement), (MessageState::Unknown, true), "{text}");
    }
    let receipt = Receipt::read(RECEIPT, "id:1 stat:UNDELIV stat:EXPIRED", &tlvs("1", 2), &AS_IS).expect("a receipt");
    assert_eq!((receipt.state, receipt.delivery()), (MessageState::Unknown, Delivery::NothingNew));
}

#[test]
fn case_09_another_order_case_spacing_and_extra_fields() {
    for text in [
        "stat:delivrd id:77",
        "ID: 77 STAT: DELIVRD",
        "Id : 77, Stat : Delivrd",
        "id:77;stat:DELIVRD;smsc:kz-01;operator:x",
        "id:77\r\nstat:DELIVRD\r\n",
        "msg id:77 status:DELIVERED",
        "message_id:77|stat:DELIVRD",
        "delivery receipt id:77 stat:DELIVRD note:",
    ] {
        let receipt = read(text);
        assert_eq!(receipt.message_id.as_deref(), Some("77"), "{text:?}");
        assert_eq!(receipt.state, MessageState::Delivered, "{text:?}");
    }
}

#[test]
fn case_09_missing_fields_and_alphanumeric_errors() {
    let receipt = read("id:77 stat:UNDELIV err:0x1F");
    assert_eq!(receipt.err.as_deref(), Some("0x1F"));
    assert_eq!((receipt.submit_date, receipt.done_date, receipt.text_prefix), (None, None, None));
    assert_eq!(read("id:77 stat:UNDELIV err: text:").err, None);
    assert_eq!(read("id:77 sub:001 dlvrd:000").state, MessageState::Unknown);
    let receipt = read("stat:EXPIRED");
    assert_eq!((receipt.message_id, receipt.state), (None, MessageState::Expired));
}

#[test]
fn case_09_every_stat_and_one_that_nobody_knows() {
    for (tlv, stat, delivery) in [
        (1, "ENROUTE", Delivery::NothingNew),
        (2, "DELIVRD", Delivery::Delivered),
        (3, "EXPIRED", Delivery::Failed),
        (4, "DELETED", Delivery::Failed),
        (5, "UNDELIV", Delivery::Failed),
        (6, "ACCEPTD", Delivery::NothingNew),
        (7, "UNKNOWN", Delivery::NothingNew),
        (8, "REJECTD", Delivery::Failed),
        (9, "SKIPPED", Delivery::NothingNew),
    ] {
        let receipt = read(&format!("id:1 stat:{}", stat.to_lowercase()));
        assert_eq!((receipt.state, receipt.delivery()), (MessageState::from_tlv(tlv), delivery));
        assert_eq!(receipt.state.to_string(), stat);
    }
    let receipt = read("id:1 stat:Seen err:000");
    assert_eq!((receipt.state, receipt.delivery()), (MessageState::Unrecognised, Delivery::NothingNew));
    assert_eq!(receipt.stat_as_written.as_deref(), Some("Seen"));
    assert_eq!(receipt.evidence_key(), "SEEN|000|");
    assert_eq!(MessageState::from_tlv(200), MessageState::Unrecognised);
}

#[test]
fn case_09_what_the_quoted_text_says_is_not_the_carriers_word() {
    let receipt = read("id:1 stat:UNDELIV err:004 text:stat:DELIVRD id:2 err:000");
    assert_eq!((receipt.message_id.as_deref(), receipt.state), (Some("1"), MessageState::Undeliverable));
    assert_eq!(receipt.err.as_deref(), Some("004"));
    assert_eq!(receipt.text_prefix.as_deref(), Some("stat:DELIVRD id:2 err:000"));
    assert!(!receipt.disagreement);
    assert_eq!(read("id:1 err:004 Text: stat:DELIVRD").state, MessageState::Unknown);
}

#[test]
fn case_09_a_word_that_sticks_to_a_colon_is_a_value() {
    assert_eq!(read("id:ab:stat:cd stat:DELIVRD").message_id.as_deref(), Some("ab:stat:cd"));
}

#[test]
fn case_10_a_receipt_without_esm_class_is_still_a_receipt() {
    let voucher = |text: &str, tlvs: &ReceiptTlvs<'_>| {
        assert_eq!(looks_like_receipt(0, text, tlvs), Receipt::read(0, text, tlvs, &AS_IS).is_some());
        Receipt::read(0, text, tlvs, &AS_IS).map(|receipt| receipt.voucher)
    };
    assert_eq!(voucher(USUAL, &NO_TLVS), Some(Voucher::TextOnly));
    assert_eq!(voucher("id:1 stat:DELIVRD", &NO_TLVS), Some(Voucher::TextOnly));
    assert_eq!(voucher("", &tlvs("1", 2)), Some(Voucher::Tlvs));
    let id_alone = ReceiptTlvs { receipted_message_id: Some("1"), ..NO_TLVS };
    assert_eq!(voucher("stat:DELIVRD err:000", &id_alone), Some(Voucher::Tlvs));
    assert_eq!(read(USUAL).voucher, Voucher::EsmClass);
}

#[test]
fn case_10_an_mo_is_no_receipt_even_if_esm_class_says_so() {
    for text in ["1234", "1234*2", "БИЛЕТ", "", "id:1234", "bus: 1234", "status: 1234", "text:stat:DELIVRD"] {
        for esm_class in [0, RECEIPT, INTERMEDIATE, 0x44, 0x08, 0xFF] {
            assert!(!looks_like_receipt(esm_class, text, &NO_TLVS), "{text:?} {esm_class:#x}");
        }
    }
    // An echoed reference alone says nothing of a message.
    let echoed = ReceiptTlvs { user_message_reference: Some(1), ..NO_TLVS };
    assert!(!looks_like_receipt(RECEIPT, "1234", &echoed));
    assert!(!looks_like_receipt(0, "id:1 stat:whatever", &NO_TLVS));
}

#[test]
fn an_intermediate_notification_is_never_final() {
    let receipt = Receipt::read(INTERMEDIATE, USUAL, &NO_TLVS, &AS_IS).expect("a notification");
    assert!(receipt.intermediate);
    assert_eq!((receipt.state, receipt.delivery()), (MessageState::Delivered, Delivery::NothingNew));
}

#[test]
fn dates_are_read_in_every_form_and_never_guessed() {
    let minute = Some(date(2026, 3, 1).at(7, 30, 0, 0));
    let second = Some(date(2026, 3, 1).at(7, 30, 9, 0));
    for (text, civil, to_the_second) in [
        ("2603010730", minute, false),
        ("260301073009", second, true),
        ("202603010730", minute, false),
        ("20260301073009", second, true),
        ("2026-03-01 07:30:09", second, true),
        ("26/03/01 07:30", minute, false),
        ("2026-03-01T07:30:09Z", second, true),
        ("260301073009020+", second, true),
        ("2613010730", None, false),
        ("2602300730", None, false),
        ("0", None, false),
        ("19991231235959", None, true),
        ("yesterday at noon", None, false),
        ("٢٦٠٣٠١٠٧٣٠", None, false),
    ] {
        let parsed = ReceiptDate::parse(text).expect("not empty");
        assert_eq!((parsed.civil, parsed.as_written.as_str()), (civil, text));
        assert!(civil.is_none() || parsed.to_the_second == to_the_second, "{text}");
    }
    assert_eq!(ReceiptDate::parse("  "), None);
    let receipt = read("id:1 submit date:2026-03-01 07:30 done date: stat:DELIVRD");
    assert_eq!(receipt.submit_date.and_then(|submitted| submitted.civil), minute);
    assert_eq!(receipt.done_date, None);
}

/// Text that the reader may stumble over, denser in colons and keys than chance would make it.
fn hostile_text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "id", ":", "stat", "text", "date", "done", "submit ", " ", "_", "err:", "DELIVRD", "\0", "é", "ID", ",", "26",
        "::", "қ",
    ];
    prop_oneof![
        ".{0,200}",
        prop::collection::vec(prop::sample::select(pieces), 0..60).prop_map(|pieces| pieces.concat())
    ]
}

proptest! {
    #[test]
    fn no_input_panics_and_everything_kept_is_bounded(
        esm_class: u8, text in hostile_text(), id in prop::option::of(".{0,80}"), message_state: Option<u8>,
        network_error_code: Option<[u8; 3]>, base in prop::sample::select(vec![IdBase::AsIs, IdBase::Hex, IdBase::Decimal]),
    ) {
        let tlvs = ReceiptTlvs {
            receipted_message_id: id.as_deref(), message_state, network_error_code, user_message_reference: None,
        };
        let form = MessageIdForm { response: base, receipt_text: base, receipt_tlv: base };
        let receipt = Receipt::read(esm_class, &text, &tlvs, &form);
        prop_assert_eq!(receipt.is_some(), looks_like_receipt(esm_class, &text, &tlvs));
        if let Some(receipt) = receipt {
            prop_assert!(receipt.err.as_ref().is_none_or(|err| err.chars().count() <= 16));
            prop_assert!(receipt.text_prefix.as_ref().is_none_or(|quoted| quoted.chars().count() <= 40));
            prop_assert!(receipt.evidence_key().chars().count() <= 256);
        }
    }

    #[test]
    fn fields_in_any_order_read_alike(
        fields in Just(vec![
            "id:0123456789", "sub:001", "dlvrd:001", "submit date:2603010729", "done date:2603010730", "stat:DELIVRD", "err:0A1", "x:y",
        ]).prop_shuffle(),
        separator in prop::sample::select(vec![" ", "  ", ", ", ";", "\n"]),
        upper: bool,
    ) {
        let text = fields.join(separator);
        let text = if upper { text.to_uppercase() } else { text };
        let shuffled = read(&(text + " text:id:5 stat:EXPIRED"));
        let usual = read("id:0123456789 submit date:2603010729 done date:2603010730 stat:DELIVRD err:0A1 text:id:5 stat:EXPIRED");
        prop_assert_eq!(shuffled, usual);
    }

    #[test]
    fn a_normalised_id_stays_as_it_is(raw in ".{0,80}") {
        let once = IdBase::AsIs.normalise(&raw);
        prop_assert_eq!(once.as_deref().and_then(|id| IdBase::AsIs.normalise(id)), once);
    }

    #[test]
    fn a_number_is_one_id_in_both_bases(number: u128) {
        let decimal = IdBase::Decimal.normalise(&number.to_string());
        prop_assert_eq!(IdBase::Hex.normalise(&format!("{number:X}")), decimal.clone());
        prop_assert_eq!(IdBase::Hex.normalise(&format!("{number:040x}")), decimal);
    }
}
