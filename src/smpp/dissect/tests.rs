use bytes::BytesMut;
use proptest::prelude::*;

use super::{Direction, Dissection, Value, dissect};
use crate::smpp::{
    encode,
    pdu::{Address, Bind, QuerySm, SubmitSm, command},
    text::{Alphabet, DefaultAlphabet, encode as encode_text},
    tlv,
    wire::{accepted, deliver, deliver_body, pdu, resp, tlv as wire_tlv},
};

const MSISDN: &str = "77011234567";
const PASSWORD: &str = "pa55wOrd";

fn sent(encode: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode(&mut out);
    out.to_vec()
}

fn bind() -> Vec<u8> {
    let bind = Bind { system_id: "smsbus".into(), password: PASSWORD.into(), ..Bind::default() };
    sent(|out| encode::bind(bind, 1, out).unwrap())
}

/// A ticket SMS, in Cyrillic, with a tariff and our number.
fn ticket() -> Vec<u8> {
    let mut sm = SubmitSm::new(Address::short_code("2505"), Address::international(MSISDN));
    sm.service_type = "BUS".into();
    sm.data_coding = 8;
    sm.registered_delivery = 1;
    sm.validity_period = "000000000200000R".into();
    sm.short_message = encode_text("Билет 4F7K-92QX", Alphabet::Ucs2).unwrap().into();
    let sm = sm
        .with_user_message_reference(4711)
        .with_tlv(0x1401, b"BUS_80\0".to_vec())
        .with_tlv(0x1402, 8_000_u32.to_be_bytes().to_vec());
    sent(|out| encode::submit_sm(sm, 2, out).unwrap())
}

fn on(direction: Direction, pdu: &[u8]) -> Dissection {
    dissect(direction, pdu, DefaultAlphabet::default())
}

fn received(pdu: &[u8]) -> Dissection {
    on(Direction::Received, pdu)
}

fn text_of(dissection: &Dissection, field: &str) -> String {
    match &dissection.field(field).expect("the field").value {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bind_is_shown_without_its_password() {
    insta::assert_snapshot!(on(Direction::Sent, &bind()), @r#"
    → bind_transceiver  sequence 1  37 octets
      system_id                      "smsbus"
      password                       8 octets, not shown
      system_type                    ""
      interface_version              52  (0x34, SMPP 3.4)
      addr_ton                       0  (unknown)
      addr_npi                       0  (unknown)
      address_range                  ""
    "#);
}

#[test]
fn our_own_text_is_shown_by_size_and_coding_only() {
    let dissection = on(Direction::Sent, &ticket());
    insta::assert_snapshot!(dissection, @r#"
    → submit_sm  sequence 2  122 octets
      service_type                   "BUS"
      source_addr_ton                3  (network specific)
      source_addr_npi                0  (unknown)
      source_addr                    "2505"
      dest_addr_ton                  1  (international)
      dest_addr_npi                  1  (ISDN (E.164))
      destination_addr               "+7701***4567"
      esm_class                      0
      protocol_id                    0
      priority_flag                  0
      schedule_delivery_time         ""
      validity_period                "000000000200000R"
      registered_delivery            1  (receipt of the final outcome)
      replace_if_present_flag        0
      data_coding                    8  (UCS-2)
      sm_default_msg_id              0
      sm_length                      30
      short_message                  30 octets, not shown  (UCS-2, 15 characters)
      0x0204 user_message_reference  4711
      0x1401 vendor                  "BUS_80"
      0x1402 vendor                  00001F40  (8000 as a number)
    "#);
    assert!(dissection.is_sound());
    insta::assert_json_snapshot!(dissection.fields.last(), @r#"
    {
      "name": "vendor",
      "tag": 5122,
      "value": {
        "hex": "00001F40"
      },
      "meaning": "8000 as a number"
    }
    "#);
}

#[test]
fn what_a_passenger_writes_is_shown_with_numbers_masked() {
    let text = encode_text("1234*2 за +7 701 123 45 67", Alphabet::Ucs2).unwrap();
    let body = deliver_body(u8::try_from(text.len()).unwrap(), &text);
    insta::assert_snapshot!(received(&pdu(command::DELIVER_SM, 0, 7, &body)), @r#"
    ← deliver_sm  sequence 7  100 octets
      service_type                   ""
      source_addr_ton                1  (international)
      source_addr_npi                1  (ISDN (E.164))
      source_addr                    "+7701***4433"
      dest_addr_ton                  3  (network specific)
      dest_addr_npi                  0  (unknown)
      destination_addr               "2505"
      esm_class                      0
      protocol_id                    0
      priority_flag                  0
      schedule_delivery_time         ""
      validity_period                ""
      registered_delivery            0  (no receipt)
      replace_if_present_flag        0
      data_coding                    8  (UCS-2)
      sm_default_msg_id              0
      sm_length                      52
      short_message                  "1234*2 за +7701***4567"  (UCS-2, 26 characters)
    "#);
}

#[test]
fn a_receipt_is_shown_with_its_id_and_dates_and_without_the_text_that_it_quotes() {
    let text =
        b"id:1234567890 sub:001 dlvrd:001 submit date:2601011200 done date:2601011201 stat:DELIVRD err:000 text:4F7K";
    let mut body = deliver_body(u8::try_from(text.len()).unwrap(), text);
    // Its esm_class and data_coding.
    (body[22], body[29]) = (0x04, 0x00);
    let tlvs = [wire_tlv(tlv::RECEIPTED_MESSAGE_ID, b"499602D2\0"), wire_tlv(tlv::MESSAGE_STATE, &[2])].concat();
    let tlvs = [tlvs, wire_tlv(tlv::NETWORK_ERROR_CODE, &[3, 0, 33])].concat();
    let dissection = received(&pdu(command::DELIVER_SM, 0, 7, &[body, tlvs].concat()));
    insta::assert_snapshot!(dissection, @r#"
    ← deliver_sm  sequence 7  179 octets
      service_type                   ""
      source_addr_ton                1  (international)
      source_addr_npi                1  (ISDN (E.164))
      source_addr                    "+7701***4433"
      dest_addr_ton                  3  (network specific)
      dest_addr_npi                  0  (unknown)
      destination_addr               "2505"
      esm_class                      4  (delivery receipt)
      protocol_id                    0
      priority_flag                  0
      schedule_delivery_time         ""
      validity_period                ""
      registered_delivery            0  (no receipt)
      replace_if_present_flag        0
      data_coding                    0  (SMSC default alphabet)
      sm_default_msg_id              0
      sm_length                      106
      short_message                  "id:1234567890 sub:001 dlvrd:001 submit date:2601011200 done date:2601011201 stat:DELIVRD err:000 text:(4 characters, not shown)"  (GSM 03.38, 106 characters)
      0x001E receipted_message_id    "499602D2"
      0x0427 message_state           2  (DELIVRD)
      0x0423 network_error_code      030021  (GSM error 33)
    "#);
}

#[test]
fn a_receipt_whose_quotation_cannot_be_found_is_shown_by_size_only() {
    let text =
        b"id:1234567890 sub:001 dlvrd:001 submit date:2601011200 done date:2601011201 stat:DELIVRD err:000 text:4F7K";
    // A header is announced, and there is none; or the coding says that it is no text.
    for (esm_class, data_coding) in [(0x44, 0x00), (0x60, 0x08), (0x04, 0x04)] {
        let mut body = deliver_body(u8::try_from(text.len()).unwrap(), text);
        (body[22], body[29]) = (esm_class, data_coding);
        let dissection = received(&pdu(command::DELIVER_SM, 0, 7, &body));
        assert_eq!(dissection.field("short_message").map(|field| &field.value), Some(&Value::Hidden(text.len())));
    }
}

#[test]
fn a_status_is_named_and_an_error_may_lack_its_body() {
    let throttled = received(&resp(command::SUBMIT_SM, 0x58, 9, b""));
    assert_eq!(throttled.to_string(), "← submit_sm_resp  sequence 9  ESME_RTHROTTLED (0x58)  16 octets");
    let vendor = received(&resp(command::SUBMIT_SM, 0x401, 9, b""));
    assert_eq!(vendor.to_string(), "← submit_sm_resp  sequence 9  0x401  16 octets");
    assert_eq!(text_of(&received(&accepted(9, "1234567890123")), "message_id"), "1234567890123");
}

#[test]
fn what_is_malformed_is_said_where_it_is() {
    let problems = |pdu: &[u8]| -> Vec<String> {
        let dissection = received(pdu);
        let fields = dissection.fields.iter();
        let of_fields = fields.filter_map(|field| Some(format!("{}: {}", field.name, field.problem.as_ref()?)));
        of_fields.chain(dissection.problems.iter().map(ToString::to_string)).collect()
    };
    assert_eq!(problems(&accepted(1, "x")), [""; 0]);
    assert_eq!(problems(b"\0\0\0"), ["3 octets are no PDU: a header has 16"]);
    assert_eq!(
        problems(&accepted(1, "x")[..17]),
        ["message_id: it has no NUL, and runs to the end of the PDU", "command_length says 18, 17 octets are here"]
    );
    assert_eq!(problems(&resp(command::SUBMIT_SM, 0, 1, b"")), ["it ends before its field message_id"]);
    assert_eq!(problems(&pdu(command::DATA_SM, 8, 1, b"")), ["it ends before its field service_type"]);
    assert_eq!(problems(&accepted(0, "x")), ["the sequence number is not within 1 to 0x7FFFFFFF"]);
    let long = [b"x".repeat(70).as_slice(), b"\0"].concat();
    assert_eq!(problems(&resp(command::SUBMIT_SM, 0, 1, &long)), ["message_id: 70 characters, at most 64 are allowed"]);
    let cut = pdu(command::DELIVER_SM, 0, 1, &deliver_body(200, b"twelve bytes"));
    assert_eq!(problems(&cut), ["short_message: sm_length says 200, 12 octets are left"]);
    let tlvs = [wire_tlv(0x0427, &[2]), wire_tlv(0x0427, &[2, 0]), b"\x04\x24\x00\x09ab".to_vec()].concat();
    let odd = pdu(command::DELIVER_SM, 0, 1, &deliver_body(0, &tlvs));
    assert_eq!(
        problems(&odd),
        [
            "message_state: this tag comes again; the first counts",
            "message_payload: its length says 9, 2 octets are left"
        ]
    );
    assert_eq!(problems(&resp(command::UNBIND, 0, 1, b"xy")), ["trailing: behind the last field"]);
    let flood = wire_tlv(0x1400, b"").repeat(70);
    let flood = problems(&pdu(command::DELIVER_SM, 0, 1, &deliver_body(0, &flood)));
    assert_eq!(flood.last().map(String::as_str), Some("more than 64 TLVs; 24 octets are left out"));
}

#[test]
fn tlvs_are_read_by_name_and_unknown_ones_as_what_they_look_like() {
    let tlvs = [
        wire_tlv(tlv::SC_INTERFACE_VERSION, &[0x34]),
        wire_tlv(0x0428, &[85]),
        wire_tlv(0x1500, b"BUS_80"),
        wire_tlv(0x1501, &8_000_u32.to_be_bytes()),
        wire_tlv(0x1502, b"\x01\x0277011234567"),
        wire_tlv(0x4001, b""),
    ];
    let body = [b"smsc\0".to_vec(), tlvs.concat()].concat();
    insta::assert_snapshot!(received(&resp(command::BIND_TRANSCEIVER, 0, 1, &body)), @r#"
    ← bind_transceiver_resp  sequence 1  ESME_ROK (0x00)  70 octets
      system_id                      "smsc"
      0x0210 sc_interface_version    52  (0x34, SMPP 3.4)
      0x0428 congestion_state        85  (optimum load)
      0x1500 vendor                  "BUS_80"
      0x1501 vendor                  00001F40  (8000 as a number)
      0x1502 vendor                  0102**********************
      0x4001 unknown
    "#);
}

#[test]
fn a_command_that_is_not_known_is_shown_by_number_and_octets() {
    insta::assert_snapshot!(received(&pdu(0x0123, 0, 5, b"\x01hello")), @r"
    ← unknown 0x00000123  sequence 5  22 octets
      body                           0168656C6C6F
    ");
    assert_eq!(received(&pdu(0x21, 0, 5, b"\0")).command, "submit_multi");
}

/// Every PDU of ours and of an SMSC's, with the number and the password in it.
fn with_secrets() -> Vec<(Direction, Vec<u8>)> {
    let query = QuerySm { message_id: "A1".into(), source: Address::international(MSISDN) };
    let text = format!("from {MSISDN} to 2505");
    let flagged = format!("id:1 stat:DELIVRD text:{MSISDN}");
    let tlvs = [0x1401, 0x0202, 0x0381, tlv::MESSAGE_PAYLOAD, tlv::ADDITIONAL_STATUS_INFO_TEXT, 0x4242]
        .map(|tag| wire_tlv(tag, format!("\u{1}{MSISDN}").as_bytes()));
    let outbind = [b"smsc\0".as_slice(), PASSWORD.as_bytes(), b"\0"].concat();
    vec![
        (Direction::Sent, bind()),
        (Direction::Sent, ticket()),
        (Direction::Sent, sent(|out| encode::query_sm(query, 3, out).unwrap())),
        (Direction::Received, deliver(4, text.as_bytes())),
        (Direction::Received, deliver(4, flagged.as_bytes())),
        (Direction::Received, pdu(command::DELIVER_SM, 0, 4, &deliver_body(0, &tlvs.concat()))),
        (Direction::Received, pdu(command::OUTBIND, 0, 4, &outbind)),
        (Direction::Received, pdu(0x0999, 0, 4, text.as_bytes())),
        (Direction::Received, resp(command::BIND_TRANSCEIVER, 0, 4, format!("{MSISDN}\0").as_bytes())),
    ]
}

/// What anybody may get to see of it.
fn outputs(dissection: &Dissection) -> [String; 3] {
    let hexadecimal = dissection.to_string().to_lowercase();
    [dissection.to_string(), serde_json::to_string(dissection).expect("JSON"), hexadecimal]
}

fn hex_of(text: &str) -> String {
    text.bytes().map(|octet| format!("{octet:02x}")).collect()
}

proptest! {
    #[test]
    fn any_bytes_give_something(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        id in prop::sample::select(vec![1_u32, 2, 3, 4, 5, 7, 8, 9, 0xB, 0x15, 0x102, 0x103, 0x8000_0004, 0x8000_0009]),
        is_sent in any::<bool>(),
        coding in prop::sample::select(vec![DefaultAlphabet::GsmPacked, DefaultAlphabet::Ascii]),
    ) {
        let direction = if is_sent { Direction::Sent } else { Direction::Received };
        for bytes in [bytes.clone(), pdu(id, 0, 1, &bytes)] {
            let dissection = dissect(direction, &bytes, coding);
            prop_assert_eq!(dissection.length, bytes.len());
            prop_assert!(!dissection.to_string().is_empty());
            let json = serde_json::to_string(&dissection).unwrap();
            prop_assert_eq!(serde_json::from_str::<Dissection>(&json).unwrap(), dissection);
        }
    }

    #[test]
    fn neither_number_nor_password_nor_ticket_is_ever_shown(
        which in 0_usize..9,
        cut in 0_usize..300,
        (at, octet) in (0_usize..16, any::<u8>()),
        spoil in any::<bool>(),
    ) {
        let (direction, mut pdu) = with_secrets().swap_remove(which);
        pdu.truncate(cut.max(16));
        // Everything of the header but the command may be wrong.
        if spoil && !(4..8).contains(&at) {
            pdu[at] = octet;
        }
        let dissection = dissect(direction, &pdu, DefaultAlphabet::default());
        for output in outputs(&dissection) {
            for secret in [MSISDN, PASSWORD, &hex_of(MSISDN), &hex_of(PASSWORD), "4F7K", "Билет"] {
                prop_assert!(!output.contains(secret), "{}: {}", secret, output);
            }
        }
    }
}
