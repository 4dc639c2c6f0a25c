//! PDUs in which a phone number, a password or a ticket was planted: whatever stands around it and wherever the PDU is cut off,
//! nothing of it may be shown.

use bytes::{BufMut, BytesMut};
use smsbusd::smpp::{
    Address, Bind, QuerySm, SubmitSm,
    dissect::{Direction, dissect},
    encode,
    pdu::command,
    text::{Alphabet, DefaultAlphabet, encode as encode_text},
    tlv,
};

const MSISDN: &str = "77011234567";
const PASSWORD: &str = "pa55wOrd";
const TICKET: &str = "4F7K-92QX";

/// `place` says where the secrets are; the first three octets say how the PDU is cut off and coded, and the others are what stands
/// around the secrets.
pub fn check(octets: &[u8], place: u8, default: DefaultAlphabet) {
    let Some(([cut, esm_class, coding], around)) = octets.split_first_chunk::<3>() else { return };
    let Some((before, after)) = surroundings(around) else { return };
    let scene = Scene { esm_class: *esm_class, coding: *coding, default, before, after };
    let Some((direction, mut pdu)) = scene.planted(place) else { return };
    pdu.truncate(pdu.len().saturating_sub(usize::from(*cut)));
    let dissection = dissect(direction, &pdu, default);
    let shown = dissection.to_string().to_lowercase();
    let json = serde_json::to_string(&dissection).expect("it can be written").to_lowercase();
    for secret in [MSISDN, PASSWORD, TICKET] {
        for secret in [secret.to_lowercase(), hexadecimal(secret)] {
            assert!(!shown.contains(&secret), "{secret} in {shown}");
            assert!(!json.contains(&secret), "{secret} in {json}");
        }
    }
}

/// What stands around a secret. It holds none itself, and no digit sticks to the secret: a longer number is another number.
fn surroundings(octets: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(octets);
    let (before, after) = text.split_once('\0').unwrap_or((&text, ""));
    let sticks = before.ends_with(char::is_numeric) || after.starts_with(char::is_numeric);
    let text = text.to_lowercase();
    // A control character is shown as `\u0014`, and with what follows it that can read like a secret.
    let escaped = serde_json::to_string(&text).expect("it can be written");
    let holds = |secret: &str| {
        [&text, &escaped].iter().any(|text| text.contains(&secret.to_lowercase()) || text.contains(&hexadecimal(secret)))
    };
    let holds_one = [MSISDN, PASSWORD, TICKET].into_iter().any(holds);
    (!sticks && !holds_one && octets.len() < 300).then(|| (before.into(), after.into()))
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|octet| format!("{octet:02x}")).collect()
}

/// What stands around the secret, and how the message says that it is coded.
struct Scene {
    esm_class: u8,
    coding: u8,
    default: DefaultAlphabet,
    before: String,
    after: String,
}

impl Scene {
    fn planted(&self, place: u8) -> Option<(Direction, Vec<u8>)> {
        Some(match place % 10 {
            0 => (Direction::Sent, self.bind()?),
            1 => (Direction::Sent, self.submission()?),
            2 => (Direction::Received, self.message(self.esm_class, &self.around(MSISDN), &[])?),
            3 => (Direction::Received, self.message(self.esm_class, "", &self.tlv_octets())?),
            4 => (Direction::Received, self.receipt()?),
            5 => (Direction::Received, pdu(command::OUTBIND, format!("smsc\0{PASSWORD}\0{}", self.after).as_bytes())),
            6 => (Direction::Received, pdu(0x0999, self.around(MSISDN).as_bytes())),
            7 => (Direction::Sent, pdu(0x0999, self.around(TICKET).as_bytes())),
            8 => (Direction::Received, pdu(0x8000_0009, format!("{}\0", self.around(MSISDN)).as_bytes())),
            _ => (Direction::Sent, self.query()?),
        })
    }

    fn around(&self, secret: &str) -> String {
        format!("{}{secret}{}", self.before, self.after)
    }

    fn bind(&self) -> Option<Vec<u8>> {
        let bind = Bind {
            system_id: self.before.clone(),
            system_type: self.after.clone(),
            password: PASSWORD.into(),
            ..Bind::default()
        };
        written(|out| encode::bind(bind, 1, out).ok())
    }

    fn query(&self) -> Option<Vec<u8>> {
        let query = QuerySm { message_id: self.before.clone(), source: Address::international(MSISDN) };
        written(|out| encode::query_sm(query, 1, out).ok())
    }

    /// A ticket that we send, in whatever coding.
    fn submission(&self) -> Option<Vec<u8>> {
        let mut sm = SubmitSm::new(Address::short_code("2505"), Address::international(MSISDN));
        (sm.esm_class, sm.data_coding) = (self.esm_class, self.coding);
        let (_, octets) = self.text(&self.around(TICKET))?;
        let sm = if octets.len() > 255 || self.cut_is_odd() {
            sm.with_message_payload(octets)
        } else {
            SubmitSm { short_message: octets.into(), ..sm }
        };
        written(|out| encode::submit_sm(sm, 1, out).ok())
    }

    fn cut_is_odd(&self) -> bool {
        self.after.len() % 2 == 1
    }

    /// A message to us, coded as it says, from a passenger.
    fn message(&self, esm_class: u8, text: &str, tlvs: &[u8]) -> Option<Vec<u8>> {
        let (coding, octets) = self.text(text)?;
        let mut body = BytesMut::from(b"\0\x01\x01".as_slice());
        body.put(MSISDN.as_bytes());
        body.put(b"\0\x03\x002505\0".as_slice());
        body.put_slice(&[esm_class, 0, 0, 0, 0, 0, 0, coding, 0]);
        if let Ok(length) = u8::try_from(octets.len()) {
            body.put_u8(length);
            body.put(octets.as_slice());
        } else {
            body.put_u8(0);
            put_tlv(&mut body, tlv::MESSAGE_PAYLOAD, &octets);
        }
        body.put(tlvs);
        Some(pdu(command::DELIVER_SM, &body))
    }

    /// Two TLVs, and a number in them. An id is no number, unless it is one exactly.
    fn tlv_octets(&self) -> Vec<u8> {
        let mut octets = BytesMut::new();
        let tag = u16::from_be_bytes([self.esm_class, self.coding]);
        if tag != tlv::RECEIPTED_MESSAGE_ID {
            put_tlv(&mut octets, tag, self.around(MSISDN).as_bytes());
        }
        put_tlv(&mut octets, tlv::RECEIPTED_MESSAGE_ID, MSISDN.as_bytes());
        octets.to_vec()
    }

    /// A receipt, which quotes what we sent.
    fn receipt(&self) -> Option<Vec<u8>> {
        let text = format!("id:1 stat:DELIVRD to {MSISDN} {} text:{TICKET}{}", self.before, self.after);
        let flagged = matches!(self.esm_class & 0x3C, 0x04 | 0x20);
        // A header would eat the words that make a receipt of it.
        let esm_class = if flagged { self.esm_class } else { self.esm_class & !0x40 };
        self.message(esm_class, &text, &[])
    }

    /// `text`, and the coding in which it is written: what is coded otherwise than it says is noise to every reader.
    fn text(&self, text: &str) -> Option<(u8, Vec<u8>)> {
        let (coding, alphabet) = match self.coding % 5 {
            0 => (0, self.default.alphabet()),
            1 => (1, Alphabet::Ascii),
            2 => (3, Alphabet::Latin1),
            3 => (6, Alphabet::Cyrillic),
            _ => (8, Alphabet::Ucs2),
        };
        Some((coding, encode_text(text, alphabet).ok()?))
    }
}

fn written(encode: impl FnOnce(&mut BytesMut) -> Option<()>) -> Option<Vec<u8>> {
    let mut out = BytesMut::new();
    encode(&mut out)?;
    Some(out.to_vec())
}

fn pdu(command_id: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).expect("a body is short");
    let header = [length, command_id, 0, 1].map(u32::to_be_bytes);
    [header.as_flattened(), body].concat()
}

fn put_tlv(out: &mut BytesMut, tag: u16, value: &[u8]) {
    out.put_u16(tag);
    out.put_u16(u16::try_from(value.len()).expect("a value is short"));
    out.put(value);
}
