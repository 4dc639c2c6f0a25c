use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Which way a PDU went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From us to the SMSC.
    Sent,
    /// From the SMSC to us.
    Received,
}

/// A PDU taken apart. `Display` writes it for a person, a line for each field; serde for a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dissection {
    /// Which way it went.
    pub direction: Direction,
    /// The command's name in the specification, or `unknown`.
    pub command: Cow<'static, str>,
    /// The command's number.
    pub command_id: u32,
    /// `command_length` as written, in bytes.
    pub length: u32,
    /// Ties a response to its request.
    pub sequence: u32,
    /// `command_status`; 0 in requests.
    pub status: u32,
    /// The status's name in the specification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_name: Option<Cow<'static, str>>,
    /// Mandatory fields and TLVs, in the order of the wire.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// What is wrong with the PDU as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Cow<'static, str>>,
}

/// A mandatory field, or a TLV.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The specification's name; of an unknown tag `vendor` or `reserved`.
    pub name: Cow<'static, str>,
    /// Of a TLV: its tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u16>,
    /// What it holds.
    pub value: Value,
    /// What the value means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Cow<'static, str>>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Cow<'static, str>>,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A number.
    Number(u32),
    /// Characters, with numbers masked.
    Text(String),
    /// Octets that are no text, in hexadecimal, cut after some.
    Hex(String),
    /// Not to be seen; so many octets.
    Hidden(usize),
}

impl Dissection {
    pub(super) fn of_header(direction: Direction, pdu: &[u8]) -> Dissection {
        let _ = pdu;
        Dissection {
            direction,
            command: "unknown".into(),
            command_id: 0,
            length: 0,
            sequence: 0,
            status: 0,
            status_name: None,
            fields: Vec::new(),
            problems: Vec::new(),
        }
    }
}
