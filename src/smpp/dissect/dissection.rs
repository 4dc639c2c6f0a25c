//! What is known of a PDU once it is taken apart.

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
    /// How many octets it has.
    pub length: usize,
    /// Ties a response to its request.
    pub sequence: u32,
    /// `command_status`; 0 in requests.
    pub status: u32,
    /// The status's name (SMPP 3.4, 5.1.3), where it has one.
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
    /// The specification's name; of a tag that has none: `vendor` (0x1400–0x3FFF) or `unknown`.
    pub name: Cow<'static, str>,
    /// The tag, of a TLV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u16>,
    /// What it holds.
    pub value: Value,
    /// What that means.
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
    /// Characters, with phone numbers masked; a long text is cut.
    Text(String),
    /// Octets that are no text, in hexadecimal, with phone numbers masked; many octets are cut.
    Hex(String),
    /// Not to be seen; so many octets.
    Hidden(usize),
}

impl Dissection {
    /// The mandatory field or TLV of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether nothing is wrong with it.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.fields.iter().all(|field| field.problem.is_none())
    }
}

impl Field {
    pub(super) fn new(name: &'static str, value: Value) -> Field {
        Field { name: name.into(), tag: None, value, meaning: None, problem: None }
    }
}
