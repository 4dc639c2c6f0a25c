//! PDUs as structs of our own: what an ESME receives, and the requests that it sends.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::smpp::{
    CommandStatus,
    tlv::{self, Tlv, Tlvs},
};

/// Command ids (SMPP 3.4, 5.1.2.1). A response has the request's id with the top bit set.
pub mod command {
    /// `generic_nack`
    pub const GENERIC_NACK: u32 = 0x8000_0000;
    /// `bind_receiver`
    pub const BIND_RECEIVER: u32 = 0x01;
    /// `bind_transmitter`
    pub const BIND_TRANSMITTER: u32 = 0x02;
    /// `query_sm`
    pub const QUERY_SM: u32 = 0x03;
    /// `submit_sm`
    pub const SUBMIT_SM: u32 = 0x04;
    /// `deliver_sm`
    pub const DELIVER_SM: u32 = 0x05;
    /// `unbind`
    pub const UNBIND: u32 = 0x06;
    /// `bind_transceiver`
    pub const BIND_TRANSCEIVER: u32 = 0x09;
    /// `outbind`
    pub const OUTBIND: u32 = 0x0B;
    /// `enquire_link`
    pub const ENQUIRE_LINK: u32 = 0x15;
    /// `alert_notification`
    pub const ALERT_NOTIFICATION: u32 = 0x102;
    /// `data_sm`
    pub const DATA_SM: u32 = 0x103;
    /// The bit that makes a response of a request's id.
    pub const RESPONSE: u32 = 0x8000_0000;

    /// The specification's name of `id`, or "unknown".
    pub fn name(id: u32) -> &'static str {
        match id {
            GENERIC_NACK => "generic_nack",
            BIND_RECEIVER => "bind_receiver",
            0x8000_0001 => "bind_receiver_resp",
            BIND_TRANSMITTER => "bind_transmitter",
            0x8000_0002 => "bind_transmitter_resp",
            QUERY_SM => "query_sm",
            0x8000_0003 => "query_sm_resp",
            SUBMIT_SM => "submit_sm",
            0x8000_0004 => "submit_sm_resp",
            DELIVER_SM => "deliver_sm",
            0x8000_0005 => "deliver_sm_resp",
            UNBIND => "unbind",
            0x8000_0006 => "unbind_resp",
            BIND_TRANSCEIVER => "bind_transceiver",
            0x8000_0009 => "bind_transceiver_resp",
            OUTBIND => "outbind",
            ENQUIRE_LINK => "enquire_link",
            0x8000_0015 => "enquire_link_resp",
            ALERT_NOTIFICATION => "alert_notification",
            DATA_SM => "data_sm",
            0x8000_0103 => "data_sm_resp",
            _ => "unknown",
        }
    }
}

/// The sixteen bytes that begin every PDU, without `command_length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// See [`command`].
    pub command_id: u32,
    /// Meaningful in responses only.
    pub status: CommandStatus,
    /// Ties a response to its request.
    pub sequence: u32,
}

impl Header {
    /// Whether this is a response; a response is never answered.
    pub fn is_response(&self) -> bool {
        self.command_id & command::RESPONSE != 0
    }
}

/// The body of a PDU that an ESME may receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// `bind_*_resp`.
    BindResp(BindResp),
    /// `submit_sm_resp`; the id is absent where the body is missing or the id empty.
    SubmitSmResp {
        /// The SMSC's id of the message, as it wrote it.
        message_id: Option<String>,
        /// Optional parameters (SMPP 5.0, and the field's).
        tlvs: Tlvs,
    },
    /// `query_sm_resp`; absent where the status is an error and no body came.
    QuerySmResp(Option<QueryState>),
    /// `deliver_sm`, or `data_sm` in the SMSC's direction.
    DeliverSm(Box<DeliverSm>),
    /// `enquire_link`.
    EnquireLink,
    /// `enquire_link_resp`.
    EnquireLinkResp,
    /// `unbind`.
    Unbind,
    /// `unbind_resp`.
    UnbindResp,
    /// `generic_nack`.
    GenericNack,
    /// `alert_notification`; it has no response.
    AlertNotification,
    /// `outbind`; it has no response.
    Outbind,
    /// Any other command id.
    Unknown,
}

/// The body of `bind_*_resp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindResp {
    /// The SMSC's name for itself; empty if it gave none.
    pub system_id: String,
    /// The version that the SMSC speaks (0x34 is 3.4), if it told.
    pub sc_interface_version: Option<u8>,
}

/// What `query_sm_resp` says of a message (SMPP 3.4, 4.8.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryState {
    /// The id that was asked for.
    pub message_id: String,
    /// When it became final, in the SMSC's time format; empty if it is not final.
    pub final_date: String,
    /// `message_state` (SMPP 3.4, 5.2.28): 1 ENROUTE, 2 DELIVERED, 3 EXPIRED, 4 DELETED, 5 UNDELIVERABLE, 6 ACCEPTED,
    /// 7 UNKNOWN, 8 REJECTED.
    pub message_state: u8,
    /// The network's error code; 0 if none.
    pub error_code: u8,
}

/// An address with its type of number and numbering plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    /// Type of number: 0 unknown, 1 international, 3 network specific (short codes), 5 alphanumeric.
    pub ton: u8,
    /// Numbering plan: 0 unknown, 1 E.164.
    pub npi: u8,
    /// The digits or letters, as on the wire; at most 20.
    pub addr: String,
}

impl Address {
    /// An E.164 number, international format.
    pub fn international(digits: impl Into<String>) -> Address {
        Address { ton: 1, npi: 1, addr: digits.into() }
    }

    /// A short code, network specific.
    pub fn short_code(code: impl Into<String>) -> Address {
        Address { ton: 3, npi: 0, addr: code.into() }
    }
}

/// A message from the SMSC: an MO, or a delivery receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliverSm {
    /// The service; mostly empty.
    pub service_type: String,
    /// Who sent it.
    pub source: Address,
    /// To whom: our short code.
    pub destination: Address,
    /// Message mode, type and GSM features; 0x04 in it marks a receipt, 0x40 a user data header.
    pub esm_class: u8,
    /// GSM TP-PID.
    pub protocol_id: u8,
    /// Priority.
    pub priority_flag: u8,
    /// The SMSC's time format; mostly empty.
    pub schedule_delivery_time: String,
    /// The SMSC's time format; mostly empty.
    pub validity_period: String,
    /// Which acknowledgements the sender asks for.
    pub registered_delivery: u8,
    /// Unused in this direction.
    pub replace_if_present_flag: u8,
    /// How the user data is coded.
    pub data_coding: u8,
    /// Unused in this direction.
    pub sm_default_msg_id: u8,
    /// The mandatory user data; empty where it travels as `message_payload`.
    pub short_message: Bytes,
    /// `sm_length` claimed more than the PDU held; `short_message` is what there was.
    pub short_message_cut: bool,
    /// Optional parameters.
    pub tlvs: Tlvs,
}

impl DeliverSm {
    /// The user data: `short_message`, or `message_payload` where that is empty.
    pub fn message(&self) -> &Bytes {
        match self.message_payload() {
            Some(payload) if self.short_message.is_empty() => payload,
            _ => &self.short_message,
        }
    }

    /// The `message_payload` parameter. The specification forbids it beside a `short_message`, but some SMSCs send both, and
    /// they need not agree: both are kept, and [`DeliverSm::message`] prefers `short_message`, the mandatory field.
    pub fn message_payload(&self) -> Option<&Bytes> {
        self.tlvs.get(tlv::MESSAGE_PAYLOAD)
    }

    /// Every non-empty user data in it, `short_message` first. A receipt may stand in either.
    pub fn messages(&self) -> impl Iterator<Item = &Bytes> {
        [Some(&self.short_message), self.message_payload()].into_iter().flatten().filter(|data| !data.is_empty())
    }

    /// Whether `esm_class` says that this is a delivery receipt (message type bits, 0x04). Some SMSCs do not set it.
    pub fn says_receipt(&self) -> bool {
        self.esm_class & 0b0011_1100 == 0x04
    }

    /// Whether the user data begins with a user data header.
    pub fn has_udh(&self) -> bool {
        self.esm_class & 0x40 != 0
    }
}

/// A message to send: `submit_sm` with every field. [`SubmitSm::default`] is all zero and empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmitSm {
    /// The service, at most 5 characters; some carriers read the tariff from it.
    pub service_type: String,
    /// Who sends: a short code or a name.
    pub source: Address,
    /// The subscriber.
    pub destination: Address,
    /// Message mode and GSM features; 0x40 announces a user data header.
    pub esm_class: u8,
    /// GSM TP-PID.
    pub protocol_id: u8,
    /// Priority, 0 … 3.
    pub priority_flag: u8,
    /// When to deliver: empty for now, or 16 characters in SMPP's time format.
    pub schedule_delivery_time: String,
    /// Until when to try: empty for the SMSC's default, or 16 characters in SMPP's time format.
    pub validity_period: String,
    /// 0x01 asks for a receipt of the final outcome.
    pub registered_delivery: u8,
    /// 1 replaces an earlier message with the same addresses and service.
    pub replace_if_present_flag: u8,
    /// How the user data is coded.
    pub data_coding: u8,
    /// A canned message of the SMSC; 0 for none.
    pub sm_default_msg_id: u8,
    /// User data, at most 255 bytes (254 in SMPP 3.4); longer data goes into [`tlv::MESSAGE_PAYLOAD`].
    pub short_message: Bytes,
    /// Optional parameters, written in this order.
    pub tlvs: Vec<Tlv>,
}

impl SubmitSm {
    /// A message from `source` to `destination`, everything else zero.
    pub fn new(source: Address, destination: Address) -> SubmitSm {
        SubmitSm { source, destination, ..SubmitSm::default() }
    }

    /// With the optional parameter `tag`, whatever it is: vendor tags (0x1400–0x3FFF) included.
    #[must_use]
    pub fn with_tlv(mut self, tag: u16, value: impl Into<Bytes>) -> SubmitSm {
        self.tlvs.push(Tlv { tag, value: value.into() });
        self
    }

    /// With our own number, which some carriers echo in receipts.
    #[must_use]
    pub fn with_user_message_reference(self, reference: u16) -> SubmitSm {
        self.with_tlv(tlv::USER_MESSAGE_REFERENCE, reference.to_be_bytes().to_vec())
    }

    /// With the user data as `message_payload`.
    #[must_use]
    pub fn with_message_payload(self, data: impl Into<Bytes>) -> SubmitSm {
        self.with_tlv(tlv::MESSAGE_PAYLOAD, data)
    }

    /// As segment `number` (from 1) of `total` of the long message `reference`.
    #[must_use]
    pub fn with_sar(self, reference: u16, total: u8, number: u8) -> SubmitSm {
        self.with_tlv(tlv::SAR_MSG_REF_NUM, reference.to_be_bytes().to_vec())
            .with_tlv(tlv::SAR_TOTAL_SEGMENTS, vec![total])
            .with_tlv(tlv::SAR_SEGMENT_SEQNUM, vec![number])
    }
}

/// A question about a message sent earlier: `query_sm`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuerySm {
    /// The SMSC's id, as it wrote it in `submit_sm_resp`.
    pub message_id: String,
    /// The source address of that message: it must be the same.
    pub source: Address,
}

/// In which directions messages flow on a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindMode {
    /// Both ways.
    #[default]
    Transceiver,
    /// We send only.
    Transmitter,
    /// We receive only.
    Receiver,
}

impl BindMode {
    /// Whether requests may be submitted on this bind.
    pub fn sends(self) -> bool {
        self != BindMode::Receiver
    }
}

/// Who we are at the SMSC: the fields of `bind_*`.
#[derive(Clone, PartialEq, Eq)]
pub struct Bind {
    /// Which of the three binds.
    pub mode: BindMode,
    /// Our account; at most 15 characters.
    pub system_id: String,
    /// At most 8 characters; never shown.
    pub password: String,
    /// At most 12 characters; mostly empty.
    pub system_type: String,
    /// 0x34 for SMPP 3.4.
    pub interface_version: u8,
    /// Which of our addresses this bind serves; mostly empty (`addr` at most 40 characters).
    pub address_range: Address,
}

impl Default for Bind {
    fn default() -> Bind {
        Bind {
            mode: BindMode::Transceiver,
            system_id: String::new(),
            password: String::new(),
            system_type: String::new(),
            interface_version: 0x34,
            address_range: Address::default(),
        }
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bind")
            .field("mode", &self.mode)
            .field("system_id", &self.system_id)
            .field("system_type", &self.system_type)
            .field("interface_version", &self.interface_version)
            .field("address_range", &self.address_range)
            .finish_non_exhaustive()
    }
}
