//! Which fields a command has, and how a TLV is written: the tables of SMPP 3.4, sections 4 and 5.3, and SMPP 5.0, section
//! 4.8.4, for what is newer.

use super::meaning::{self, Meaning};
use crate::smpp::{pdu::command, tlv};

/// How a mandatory field is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// One octet.
    Octet(Meaning),
    /// A C-octet string of at most so many octets, its NUL included.
    CString(usize),
    /// A time in the specification's format (SMPP 3.4, 7.1.1): empty, or 16 characters and a NUL.
    Time,
    /// A message id: a C-octet string of at most 65 octets; no phone number stands in it.
    Id,
    /// A C-octet string that nobody may see.
    Secret,
    /// `sm_length`, and so many octets of `short_message`.
    Message,
}

/// The mandatory fields of a command, and whether TLVs may follow.
pub(super) struct Layout {
    pub(super) fields: &'static [(&'static str, Kind)],
    pub(super) tlvs: bool,
}

pub(super) const REPLACE_SM: u32 = 0x07;
pub(super) const CANCEL_SM: u32 = 0x08;
pub(super) const SUBMIT_MULTI: u32 = 0x21;

/// The specification's name, also of commands that we never use.
pub(super) fn command_name(id: u32) -> &'static str {
    const REPLACE_SM_RESP: u32 = command::RESPONSE | REPLACE_SM;
    const CANCEL_SM_RESP: u32 = command::RESPONSE | CANCEL_SM;
    const SUBMIT_MULTI_RESP: u32 = command::RESPONSE | SUBMIT_MULTI;
    match id {
        REPLACE_SM => "replace_sm",
        REPLACE_SM_RESP => "replace_sm_resp",
        CANCEL_SM => "cancel_sm",
        CANCEL_SM_RESP => "cancel_sm_resp",
        SUBMIT_MULTI => "submit_multi",
        SUBMIT_MULTI_RESP => "submit_multi_resp",
        id => command::name(id),
    }
}

/// The number of the command with this name in the specification.
pub fn command_named(name: &str) -> Option<u32> {
    const LAST: u32 = command::DATA_SM;
    let named = |id: &u32| name != "unknown" && command_name(*id) == name;
    (0..=LAST).flat_map(|id| [id, id | command::RESPONSE]).find(named)
}

/// The tag of the TLV with this name in the specification.
pub fn tag_named(name: &str) -> Option<u16> {
    const VENDOR_FIRST: u16 = 0x1400;
    (0..VENDOR_FIRST).find(|tag| name != "unknown" && tlv(*tag).0 == name)
}

/// The command that answers this one; `None` of a response.
pub fn response_to(command_id: u32) -> Option<u32> {
    (command_id & command::RESPONSE == 0).then_some(command_id | command::RESPONSE)
}

/// `None` if the body's layout is not known here.
pub(super) fn layout(command_id: u32) -> Option<Layout> {
    const RESP: u32 = command::RESPONSE;
    const BIND_RECEIVER_RESP: u32 = RESP | command::BIND_RECEIVER;
    const BIND_TRANSMITTER_RESP: u32 = RESP | command::BIND_TRANSMITTER;
    const BIND_TRANSCEIVER_RESP: u32 = RESP | command::BIND_TRANSCEIVER;
    const SUBMIT_SM_RESP: u32 = RESP | command::SUBMIT_SM;
    const DELIVER_SM_RESP: u32 = RESP | command::DELIVER_SM;
    const DATA_SM_RESP: u32 = RESP | command::DATA_SM;
    const QUERY_SM_RESP: u32 = RESP | command::QUERY_SM;
    const REPLACE_SM_RESP: u32 = RESP | REPLACE_SM;
    const CANCEL_SM_RESP: u32 = RESP | CANCEL_SM;
    const ENQUIRE_LINK_RESP: u32 = RESP | command::ENQUIRE_LINK;
    const UNBIND_RESP: u32 = RESP | command::UNBIND;
    let (fields, tlvs) = match command_id {
        command::BIND_RECEIVER | command::BIND_TRANSMITTER | command::BIND_TRANSCEIVER => (BIND, false),
        BIND_RECEIVER_RESP | BIND_TRANSMITTER_RESP | BIND_TRANSCEIVER_RESP => (BIND_RESP, true),
        command::OUTBIND => (OUTBIND, false),
        command::SUBMIT_SM | command::DELIVER_SM => (MESSAGE, true),
        command::DATA_SM => (DATA_SM, true),
        SUBMIT_SM_RESP | DELIVER_SM_RESP | DATA_SM_RESP => (MESSAGE_RESP, true),
        command::QUERY_SM => (QUERY_SM, false),
        QUERY_SM_RESP => (QUERY_SM_RESP_FIELDS, false),
        REPLACE_SM => (REPLACE, false),
        CANCEL_SM => (CANCEL, false),
        command::ALERT_NOTIFICATION => (ALERT_NOTIFICATION, true),
        command::ENQUIRE_LINK | ENQUIRE_LINK_RESP | command::UNBIND | UNBIND_RESP => (NOTHING, false),
        command::GENERIC_NACK | REPLACE_SM_RESP | CANCEL_SM_RESP => (NOTHING, false),
        _ => return None,
    };
    Some(Layout { fields, tlvs })
}

type Fields = &'static [(&'static str, Kind)];

const PLAIN: Kind = Kind::Octet(meaning::none);
const TON: Kind = Kind::Octet(meaning::type_of_number);
const NPI: Kind = Kind::Octet(meaning::numbering_plan);

const NOTHING: Fields = &[];

const BIND: Fields = &[
    ("system_id", Kind::CString(16)),
    ("password", Kind::Secret),
    ("system_type", Kind::CString(13)),
    ("interface_version", Kind::Octet(meaning::version)),
    ("addr_ton", TON),
    ("addr_npi", NPI),
    ("address_range", Kind::CString(41)),
];

const BIND_RESP: Fields = &[("system_id", Kind::CString(16))];

const OUTBIND: Fields = &[("system_id", Kind::CString(16)), ("password", Kind::Secret)];

const MESSAGE: Fields = &[
    ("service_type", Kind::CString(6)),
    ("source_addr_ton", TON),
    ("source_addr_npi", NPI),
    ("source_addr", Kind::CString(21)),
    ("dest_addr_ton", TON),
    ("dest_addr_npi", NPI),
    ("destination_addr", Kind::CString(21)),
    ("esm_class", Kind::Octet(meaning::esm_class)),
    ("protocol_id", PLAIN),
    ("priority_flag", PLAIN),
    ("schedule_delivery_time", Kind::Time),
    ("validity_period", Kind::Time),
    ("registered_delivery", Kind::Octet(meaning::registered_delivery)),
    ("replace_if_present_flag", PLAIN),
    ("data_coding", Kind::Octet(meaning::data_coding)),
    ("sm_default_msg_id", PLAIN),
    ("short_message", Kind::Message),
];

const DATA_SM: Fields = &[
    ("service_type", Kind::CString(6)),
    ("source_addr_ton", TON),
    ("source_addr_npi", NPI),
    ("source_addr", Kind::CString(65)),
    ("dest_addr_ton", TON),
    ("dest_addr_npi", NPI),
    ("destination_addr", Kind::CString(65)),
    ("esm_class", Kind::Octet(meaning::esm_class)),
    ("registered_delivery", Kind::Octet(meaning::registered_delivery)),
    ("data_coding", Kind::Octet(meaning::data_coding)),
];

const MESSAGE_RESP: Fields = &[("message_id", Kind::Id)];

const QUERY_SM: Fields =
    &[("message_id", Kind::Id), ("source_addr_ton", TON), ("source_addr_npi", NPI), ("source_addr", Kind::CString(21))];

const QUERY_SM_RESP_FIELDS: Fields = &[
    ("message_id", Kind::Id),
    ("final_date", Kind::Time),
    ("message_state", Kind::Octet(meaning::message_state)),
    ("error_code", PLAIN),
];

const REPLACE: Fields = &[
    ("message_id", Kind::Id),
    ("source_addr_ton", TON),
    ("source_addr_npi", NPI),
    ("source_addr", Kind::CString(21)),
    ("schedule_delivery_time", Kind::Time),
    ("validity_period", Kind::Time),
    ("registered_delivery", Kind::Octet(meaning::registered_delivery)),
    ("sm_default_msg_id", PLAIN),
    ("short_message", Kind::Message),
];

const CANCEL: Fields = &[
    ("service_type", Kind::CString(6)),
    ("message_id", Kind::Id),
    ("source_addr_ton", TON),
    ("source_addr_npi", NPI),
    ("source_addr", Kind::CString(21)),
    ("dest_addr_ton", TON),
    ("dest_addr_npi", NPI),
    ("destination_addr", Kind::CString(21)),
];

const ALERT_NOTIFICATION: Fields = &[
    ("source_addr_ton", TON),
    ("source_addr_npi", NPI),
    ("source_addr", Kind::CString(65)),
    ("esme_addr_ton", TON),
    ("esme_addr_npi", NPI),
    ("esme_addr", Kind::CString(65)),
];

/// How a TLV's value is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum TlvKind {
    /// A number of so many octets.
    Number(usize, Meaning),
    /// Characters, with or without a NUL.
    Text,
    /// A message id.
    Id,
    /// User data, coded as `data_coding` says.
    Message,
    /// Octets; what they mean.
    Octets(fn(&[u8]) -> Option<String>),
    /// Whatever it looks like.
    Unknown,
}

/// The specification's name of a tag, and how its value is written.
pub(super) fn tlv(tag: u16) -> (&'static str, TlvKind) {
    const NUMBER_1: TlvKind = TlvKind::Number(1, meaning::none);
    const NUMBER_2: TlvKind = TlvKind::Number(2, meaning::none);
    const NUMBER_4: TlvKind = TlvKind::Number(4, meaning::none);
    const OCTETS: TlvKind = TlvKind::Octets(meaning::of_no_octets);
    match tag {
        0x0005 => ("dest_addr_subunit", NUMBER_1),
        0x0006 => ("dest_network_type", NUMBER_1),
        0x0007 => ("dest_bearer_type", NUMBER_1),
        0x0008 => ("dest_telematics_id", NUMBER_2),
        0x000D => ("source_addr_subunit", NUMBER_1),
        0x000E => ("source_network_type", NUMBER_1),
        0x000F => ("source_bearer_type", NUMBER_1),
        0x0010 => ("source_telematics_id", NUMBER_1),
        0x0017 => ("qos_time_to_live", NUMBER_4),
        0x0019 => ("payload_type", NUMBER_1),
        tlv::ADDITIONAL_STATUS_INFO_TEXT => ("additional_status_info_text", TlvKind::Text),
        tlv::RECEIPTED_MESSAGE_ID => ("receipted_message_id", TlvKind::Id),
        0x0030 => ("ms_msg_wait_facilities", NUMBER_1),
        0x0201 => ("privacy_indicator", NUMBER_1),
        0x0202 => ("source_subaddress", OCTETS),
        0x0203 => ("dest_subaddress", OCTETS),
        tlv::USER_MESSAGE_REFERENCE => ("user_message_reference", NUMBER_2),
        0x0205 => ("user_response_code", NUMBER_1),
        0x020A => ("source_port", NUMBER_2),
        0x020B => ("destination_port", NUMBER_2),
        tlv::SAR_MSG_REF_NUM => ("sar_msg_ref_num", NUMBER_2),
        0x020D => ("language_indicator", NUMBER_1),
        tlv::SAR_TOTAL_SEGMENTS => ("sar_total_segments", NUMBER_1),
        tlv::SAR_SEGMENT_SEQNUM => ("sar_segment_seqnum", NUMBER_1),
        tlv::SC_INTERFACE_VERSION => ("sc_interface_version", TlvKind::Number(1, meaning::version)),
        0x0302 => ("callback_num_pres_ind", NUMBER_1),
        0x0303 => ("callback_num_atag", OCTETS),
        0x0304 => ("number_of_messages", NUMBER_1),
        0x0381 => ("callback_num", OCTETS),
        0x0420 => ("dpf_result", NUMBER_1),
        0x0421 => ("set_dpf", NUMBER_1),
        0x0422 => ("ms_availability_status", TlvKind::Number(1, meaning::availability)),
        tlv::NETWORK_ERROR_CODE => ("network_error_code", TlvKind::Octets(meaning::network_error)),
        tlv::MESSAGE_PAYLOAD => ("message_payload", TlvKind::Message),
        0x0425 => ("delivery_failure_reason", TlvKind::Number(1, meaning::delivery_failure)),
        0x0426 => ("more_messages_to_send", NUMBER_1),
        tlv::MESSAGE_STATE => ("message_state", TlvKind::Number(1, meaning::message_state)),
        0x0428 => ("congestion_state", TlvKind::Number(1, meaning::congestion)),
        0x0501 => ("ussd_service_op", NUMBER_1),
        0x0600 => ("broadcast_channel_indicator", NUMBER_1),
        0x0601 => ("broadcast_content_type", OCTETS),
        0x0602 => ("broadcast_content_type_info", OCTETS),
        0x0603 => ("broadcast_message_class", NUMBER_1),
        0x0604 => ("broadcast_rep_num", NUMBER_2),
        0x0605 => ("broadcast_frequency_interval", OCTETS),
        0x0606 => ("broadcast_area_identifier", OCTETS),
        0x0607 => ("broadcast_error_status", NUMBER_4),
        0x0608 => ("broadcast_area_success", NUMBER_1),
        0x0609 => ("broadcast_end_time", TlvKind::Text),
        0x060A => ("broadcast_service_group", OCTETS),
        tlv::BILLING_IDENTIFICATION => ("billing_identification", TlvKind::Unknown),
        0x060D => ("source_network_id", TlvKind::Text),
        0x060E => ("dest_network_id", TlvKind::Text),
        0x060F => ("source_node_id", TlvKind::Text),
        0x0610 => ("dest_node_id", TlvKind::Text),
        0x0611 => ("dest_addr_np_resolution", NUMBER_1),
        0x0612 => ("dest_addr_np_information", TlvKind::Text),
        0x0613 => ("dest_addr_np_country", OCTETS),
        0x1201 => ("display_time", NUMBER_1),
        0x1203 => ("sms_signal", NUMBER_2),
        0x1204 => ("ms_validity", OCTETS),
        0x130C => ("alert_on_message_delivery", OCTETS),
        0x1380 => ("its_reply_type", NUMBER_1),
        0x1383 => ("its_session_info", NUMBER_2),
        0x1400..=0x3FFF => ("vendor", TlvKind::Unknown),
        _ => ("unknown", TlvKind::Unknown),
    }
}
