//! Takes a PDU apart, field by field.

use super::{
    dissection::{Direction, Dissection, Field, Value},
    layout::{self, Kind, TlvKind},
    mask,
    text::Reading,
};
use crate::smpp::{
    CommandStatus,
    framing::PDU_BYTES_MIN,
    pdu::command,
    text::DefaultAlphabet,
    tlv::{Tlvs, latin1},
};

/// The highest sequence number (SMPP 3.4, 3.2).
const SEQUENCE_MAX: u32 = 0x7FFF_FFFF;

/// Takes one PDU apart, whatever its bytes are. `default` is what `data_coding` 0 means at this carrier.
pub fn dissect(direction: Direction, pdu: &[u8], default: DefaultAlphabet) -> Dissection {
    let mut dissection = Dissection {
        direction,
        command: "unknown".into(),
        command_id: 0,
        length: pdu.len(),
        sequence: 0,
        status: 0,
        status_name: None,
        fields: Vec::new(),
        problems: Vec::new(),
    };
    let Some(([length, command_id, status, sequence], body)) = header(pdu) else {
        dissection.problems.push(format!("{} octets are no PDU: a header has {PDU_BYTES_MIN}", pdu.len()).into());
        return dissection;
    };
    dissection.command_id = command_id;
    dissection.command = layout::command_name(command_id).into();
    (dissection.status, dissection.sequence) = (status, sequence);
    dissection.status_name = CommandStatus(status).name().map(Into::into);
    if usize::try_from(length) != Ok(pdu.len()) {
        dissection.problems.push(format!("command_length says {length}, {} octets are here", pdu.len()).into());
    }
    if !(1..=SEQUENCE_MAX).contains(&sequence) && command_id != command::GENERIC_NACK {
        dissection.problems.push("the sequence number is not within 1 to 0x7FFFFFFF".into());
    }
    let is_message = matches!(command_id, command::DELIVER_SM | command::DATA_SM);
    let reading =
        Reading { esm_class: 0, data_coding: 0, default, shown: is_message && direction == Direction::Received };
    Body { rest: body, reading, dissection: &mut dissection }.read();
    dissection
}

/// `command_length`, `command_id`, `command_status`, `sequence_number`, and the body.
fn header(pdu: &[u8]) -> Option<([u32; 4], &[u8])> {
    let (header, body) = pdu.split_at_checked(PDU_BYTES_MIN)?;
    let mut words = header.chunks_exact(4).filter_map(|word| Some(u32::from_be_bytes(word.try_into().ok()?)));
    Some(([words.next()?, words.next()?, words.next()?, words.next()?], body))
}

/// What is left of a body, and where its fields go.
struct Body<'a> {
    rest: &'a [u8],
    reading: Reading,
    dissection: &'a mut Dissection,
}

impl<'a> Body<'a> {
    fn read(&mut self) {
        let Some(layout) = layout::layout(self.dissection.command_id) else { return self.read_unknown() };
        // An error response may come without its body. A request has one, whatever its status says.
        let is_response = self.dissection.command_id & command::RESPONSE != 0;
        if self.rest.is_empty() && self.dissection.status != 0 && is_response {
            return;
        }
        let secret = layout.fields.iter().any(|(_, kind)| matches!(kind, Kind::Secret));
        for (name, kind) in layout.fields {
            if self.rest.is_empty() {
                return self.problem(format!("it ends before its field {name}"));
            }
            let field = self.field(name, *kind);
            let flawed = field.problem.is_some();
            self.dissection.fields.push(field);
            // Where one field ends in the wrong place, a password may stand in any other.
            if flawed && secret {
                return self.hide_rest();
            }
        }
        if layout.tlvs {
            self.tlvs();
        }
        if secret && !self.rest.is_empty() {
            self.hide_rest();
        } else {
            self.trailing();
        }
    }

    /// A command whose body is not known here; it may hold any text.
    fn read_unknown(&mut self) {
        if self.rest.is_empty() {
            return;
        }
        let value = match self.dissection.direction {
            Direction::Sent => Value::Hidden(self.rest.len()),
            Direction::Received => Value::Hex(mask::hex(self.rest)),
        };
        self.dissection.fields.push(Field::new("body", value));
    }

    fn field(&mut self, name: &'static str, kind: Kind) -> Field {
        match kind {
            Kind::Octet(meaning) => {
                let octet = self.take(1).first().copied().unwrap_or_default();
                match name {
                    "esm_class" => self.reading.esm_class = octet,
                    "data_coding" => self.reading.data_coding = octet,
                    _ => {}
                }
                Field { meaning: meaning(octet.into()), ..Field::new(name, Value::Number(octet.into())) }
            }
            Kind::CString(max) => self.c_string(name, max, |text| Value::Text(mask::numbers(text))),
            Kind::Time => self.c_string(name, 17, |text| Value::Text(mask::time(text))),
            Kind::Id => self.c_string(name, 65, |text| Value::Text(mask::message_id(text))),
            Kind::Secret => self.c_string(name, 9, |text| Value::Hidden(text.chars().count())),
            Kind::Message => self.short_message(name),
        }
    }

    /// A string up to its NUL, or up to the end; `max` counts the NUL.
    fn c_string(&mut self, name: &'static str, max: usize, value: impl FnOnce(&str) -> Value) -> Field {
        let end = self.rest.iter().position(|octet| *octet == 0);
        let text = self.take(end.unwrap_or(self.rest.len()));
        let problem = if end.is_none() {
            Some("it has no NUL, and runs to the end of the PDU".into())
        } else {
            (text.len() >= max).then(|| format!("{} characters, at most {} are allowed", text.len(), max - 1).into())
        };
        self.take(1);
        Field { problem, ..Field::new(name, value(&latin1(text))) }
    }

    fn short_message(&mut self, name: &'static str) -> Field {
        let length = self.take(1).first().copied().unwrap_or_default();
        self.dissection.fields.push(Field::new("sm_length", Value::Number(length.into())));
        let octets = self.take(length.into());
        let mut field = self.reading.field(name, octets);
        if octets.len() < usize::from(length) {
            field.problem = Some(format!("sm_length says {length}, {} octets are left", octets.len()).into());
        }
        field
    }

    fn tlvs(&mut self) {
        let mut count = 0;
        while let [tag_high, tag_low, length_high, length_low, ..] = *self.rest {
            count += 1;
            if count > Tlvs::MAX {
                let octets = self.take(self.rest.len()).len();
                return self.problem(format!("more than {} TLVs; {octets} octets are left out", Tlvs::MAX));
            }
            self.take(4);
            let tag = u16::from_be_bytes([tag_high, tag_low]);
            let length = usize::from(u16::from_be_bytes([length_high, length_low]));
            let value = self.take(length);
            let mut field = self.tlv(tag, value);
            if value.len() < length {
                field.problem = Some(format!("its length says {length}, {} octets are left", value.len()).into());
            } else if self.dissection.fields.iter().any(|other| other.tag == Some(tag)) {
                field.problem = Some("this tag comes again; the first counts".into());
            }
            self.dissection.fields.push(field);
        }
    }

    fn tlv(&self, tag: u16, value: &[u8]) -> Field {
        let (name, kind) = layout::tlv(tag);
        let text = |octets: &[u8]| latin1(octets.strip_suffix(&[0]).unwrap_or(octets));
        let octets = || Value::Hex(mask::hex(value));
        let field = match (kind, number(value)) {
            (TlvKind::Number(width, meaning), Some(number)) => Field {
                meaning: meaning(number),
                problem: (value.len() != width)
                    .then(|| format!("{} octets, {width} are specified", value.len()).into()),
                ..Field::new(name, Value::Number(number))
            },
            (TlvKind::Number(width, _), None) => Field {
                problem: Some(format!("{} octets, a number of {width} is specified", value.len()).into()),
                ..Field::new(name, octets())
            },
            (TlvKind::Text, _) => Field::new(name, Value::Text(mask::numbers(&text(value)))),
            (TlvKind::Id, _) => Field::new(name, Value::Text(mask::message_id(&text(value)))),
            (TlvKind::Message, _) => self.reading.field(name, value),
            (TlvKind::Octets(meaning), _) => {
                Field { meaning: meaning(value).map(Into::into), ..Field::new(name, octets()) }
            }
            (TlvKind::Unknown, _) if is_printable(value) => Field::new(name, Value::Text(mask::numbers(&text(value)))),
            (TlvKind::Unknown, number) => Field {
                meaning: number.map(|number| format!("{number} as a number").into()),
                ..Field::new(name, octets())
            },
        };
        Field { tag: Some(tag), ..field }
    }

    /// Bytes behind the last field.
    fn trailing(&mut self) {
        let octets = self.take(self.rest.len());
        if !octets.is_empty() {
            let field = Field::new("trailing", Value::Hex(mask::hex(octets)));
            self.dissection.fields.push(Field { problem: Some("behind the last field".into()), ..field });
        }
    }

    fn hide_rest(&mut self) {
        let octets = self.take(self.rest.len()).len();
        if octets > 0 {
            let field = Field::new("rest", Value::Hidden(octets));
            self.dissection.fields.push(Field { problem: Some("it cannot be followed".into()), ..field });
        }
    }

    fn problem(&mut self, what: String) {
        self.dissection.problems.push(what.into());
    }

    /// At most `length` octets.
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// One to four octets as a number.
fn number(octets: &[u8]) -> Option<u32> {
    (1..=4).contains(&octets.len()).then(|| octets.iter().fold(0, |sum, octet| (sum << 8) | u32::from(*octet)))
}

/// Visible ASCII, with a NUL behind it or not.
fn is_printable(value: &[u8]) -> bool {
    let text = value.strip_suffix(&[0]).unwrap_or(value);
    !text.is_empty() && text.iter().all(|octet| octet.is_ascii_graphic() || *octet == b' ')
}
