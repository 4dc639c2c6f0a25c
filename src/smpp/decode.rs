//! PDUs from the wire: leniently, because the field is. What is odd but readable is read, and named as a [`Quirk`].

use bytes::Bytes;
use thiserror::Error;

use crate::smpp::{
    pdu::{Address, BindResp, DeliverSm, Header, Inbound, QueryState, command},
    status::CommandStatus,
    tlv::{self, Tlv, Tlvs, latin1},
};

/// A PDU that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The header.
    pub header: Header,
    /// The body.
    pub body: Inbound,
    /// What was odd about it.
    pub quirks: Quirks,
}

/// A PDU whose body cannot be read. Its bounds are known, so the session goes on behind it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} (sequence {}) ends before its field {field}", command::name(header.command_id), header.sequence)]
pub struct DecodeError {
    /// The header, which could be read: it says what to answer.
    pub header: Header,
    /// The mandatory field that is missing.
    pub field: &'static str,
}

/// A departure from the specification that did not keep us from reading the PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Quirk {
    /// A string without its NUL; it was taken to the PDU's end.
    UnterminatedString = 1,
    /// A string longer than the specification allows; it was taken whole.
    OverlongString = 1 << 1,
    /// `sm_length` pointed past the PDU's end; what was there was taken.
    ShortMessageCut = 1 << 2,
    /// `short_message` and `message_payload` were both there; both were kept.
    TwoMessages = 1 << 3,
    /// A TLV's length pointed past the PDU's end; what was there was taken.
    TlvCut = 1 << 4,
    /// The same tag came again; the first was kept, being the originator's: relays append theirs.
    TlvRepeated = 1 << 5,
    /// More than [`Tlvs::MAX`] TLVs; the rest was dropped.
    TooManyTlvs = 1 << 6,
    /// Bytes behind the last field; they were skipped.
    TrailingBytes = 1 << 7,
    /// A body where there should be none; it was skipped.
    UnexpectedBody = 1 << 8,
    /// No body although the status is OK.
    MissingBody = 1 << 9,
}

impl Quirk {
    /// All of them.
    pub const ALL: [Quirk; 10] = [
        Quirk::UnterminatedString,
        Quirk::OverlongString,
        Quirk::ShortMessageCut,
        Quirk::TwoMessages,
        Quirk::TlvCut,
        Quirk::TlvRepeated,
        Quirk::TooManyTlvs,
        Quirk::TrailingBytes,
        Quirk::UnexpectedBody,
        Quirk::MissingBody,
    ];
}

/// A set of [`Quirk`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks(u16);

impl Quirks {
    /// Whether `quirk` is among them.
    pub fn contains(self, quirk: Quirk) -> bool {
        self.0 & quirk as u16 != 0
    }

    /// Whether nothing was odd.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Quirk> {
        Quirk::ALL.into_iter().filter(move |quirk| self.contains(*quirk))
    }

    fn add(&mut self, quirk: Quirk) {
        self.0 |= quirk as u16;
    }
}

/// Reads one PDU as [`crate::smpp::framing`] cut it. `None` if it has not even a header.
pub fn decode(pdu: Bytes) -> Option<Result<Decoded, DecodeError>> {
    let header = header(&pdu)?;
    let mut body = Body { rest: pdu.slice(16..), quirks: Quirks::default() };
    let inbound = read_body(header, &mut body).map_err(|Missing(field)| DecodeError { header, field });
    Some(inbound.map(|inbound| Decoded { header, body: inbound, quirks: body.quirks }))
}

fn header(pdu: &[u8]) -> Option<Header> {
    let (_length, rest) = pdu.split_first_chunk::<4>()?;
    let (command_id, rest) = rest.split_first_chunk::<4>()?;
    let (status, rest) = rest.split_first_chunk::<4>()?;
    let (sequence, _body) = rest.split_first_chunk::<4>()?;
    Some(Header {
        command_id: u32::from_be_bytes(*command_id),
        status: CommandStatus(u32::from_be_bytes(*status)),
        sequence: u32::from_be_bytes(*sequence),
    })
}

fn read_body(header: Header, body: &mut Body) -> Result<Inbound, Missing> {
    const RESP: u32 = command::RESPONSE;
    const BIND_RECEIVER_RESP: u32 = RESP | command::BIND_RECEIVER;
    const BIND_TRANSMITTER_RESP: u32 = RESP | command::BIND_TRANSMITTER;
    const BIND_TRANSCEIVER_RESP: u32 = RESP | command::BIND_TRANSCEIVER;
    const SUBMIT_SM_RESP: u32 = RESP | command::SUBMIT_SM;
    const QUERY_SM_RESP: u32 = RESP | command::QUERY_SM;
    const ENQUIRE_LINK_RESP: u32 = RESP | command::ENQUIRE_LINK;
    const UNBIND_RESP: u32 = RESP | command::UNBIND;
    Ok(match header.command_id {
        BIND_RECEIVER_RESP | BIND_TRANSMITTER_RESP | BIND_TRANSCEIVER_RESP => {
            Inbound::BindResp(bind_resp(header.status, body))
        }
        SUBMIT_SM_RESP => submit_sm_resp(header.status, body),
        QUERY_SM_RESP => Inbound::QuerySmResp(query_sm_resp(header.status, body)?),
        command::DELIVER_SM => Inbound::DeliverSm(Box::new(deliver_sm(body)?)),
        command::DATA_SM => Inbound::DeliverSm(Box::new(data_sm(body)?)),
        command::ENQUIRE_LINK => body.skip(Inbound::EnquireLink),
        ENQUIRE_LINK_RESP => body.skip(Inbound::EnquireLinkResp),
        command::UNBIND => body.skip(Inbound::Unbind),
        UNBIND_RESP => body.skip(Inbound::UnbindResp),
        command::GENERIC_NACK => body.skip(Inbound::GenericNack),
        command::ALERT_NOTIFICATION => Inbound::AlertNotification,
        command::OUTBIND => Inbound::Outbind,
        _ => Inbound::Unknown,
    })
}

fn bind_resp(status: CommandStatus, body: &mut Body) -> BindResp {
    if body.is_missing(status) {
        return BindResp::default();
    }
    let system_id = body.c_string(16);
    let tlvs = body.tlvs();
    let version = tlvs.integer(tlv::SC_INTERFACE_VERSION).and_then(|version| u8::try_from(version).ok());
    BindResp { system_id, sc_interface_version: version }
}

fn submit_sm_resp(status: CommandStatus, body: &mut Body) -> Inbound {
    if body.is_missing(status) {
        return Inbound::SubmitSmResp { message_id: None, tlvs: Tlvs::default() };
    }
    let message_id = Some(body.c_string(65)).filter(|id| !id.is_empty());
    Inbound::SubmitSmResp { message_id, tlvs: body.tlvs() }
}

fn query_sm_resp(status: CommandStatus, body: &mut Body) -> Result<Option<QueryState>, Missing> {
    if body.is_missing(status) && !status.is_ok() {
        return Ok(None);
    }
    let state = QueryState {
        message_id: body.c_string(65),
        final_date: body.c_string(17),
        message_state: match body.u8("message_state") {
            Ok(state) => state,
            // An error may come with half a body; its status says enough.
            Err(_) if !status.is_ok() => return Ok(None),
            Err(missing) => return Err(missing),
        },
        // The last field; some SMSCs leave it out.
        error_code: body.u8("error_code").unwrap_or(0),
    };
    body.no_more();
    Ok(Some(state))
}

fn deliver_sm(body: &mut Body) -> Result<DeliverSm, Missing> {
    let mut sm = DeliverSm {
        service_type: body.c_string(6),
        source: body.address("source_addr_ton", "source_addr_npi", 21)?,
        destination: body.address("dest_addr_ton", "dest_addr_npi", 21)?,
        esm_class: body.u8("esm_class")?,
        protocol_id: body.u8("protocol_id")?,
        priority_flag: body.u8("priority_flag")?,
        schedule_delivery_time: body.c_string(17),
        validity_period: body.c_string(17),
        registered_delivery: body.u8("registered_delivery")?,
        replace_if_present_flag: body.u8("replace_if_present_flag")?,
        data_coding: body.u8("data_coding")?,
        sm_default_msg_id: body.u8("sm_default_msg_id")?,
        ..DeliverSm::default()
    };
    let sm_length = usize::from(body.u8("sm_length")?);
    sm.short_message = body.take(sm_length);
    sm.short_message_cut = sm.short_message.len() < sm_length;
    if sm.short_message_cut {
        body.quirks.add(Quirk::ShortMessageCut);
    }
    sm.tlvs = body.tlvs();
    if !sm.short_message.is_empty() && sm.message_payload().is_some() {
        body.quirks.add(Quirk::TwoMessages);
    }
    Ok(sm)
}

fn data_sm(body: &mut Body) -> Result<DeliverSm, Missing> {
    Ok(DeliverSm {
        service_type: body.c_string(6),
        source: body.address("source_addr_ton", "source_addr_npi", 65)?,
        destination: body.address("dest_addr_ton", "dest_addr_npi", 65)?,
        esm_class: body.u8("esm_class")?,
        registered_delivery: body.u8("registered_delivery")?,
        data_coding: body.u8("data_coding")?,
        tlvs: body.tlvs(),
        ..DeliverSm::default()
    })
}

/// The PDU ends before this mandatory field.
struct Missing(&'static str);

/// What is left of a body, and what was odd about what is gone.
struct Body {
    rest: Bytes,
    quirks: Quirks,
}

impl Body {
    /// Whether there is no body at all. That is right in an error response and odd in any other.
    fn is_missing(&mut self, status: CommandStatus) -> bool {
        if self.rest.is_empty() && status.is_ok() {
            self.quirks.add(Quirk::MissingBody);
        }
        self.rest.is_empty()
    }

    /// The PDU should have no body.
    fn skip(&mut self, inbound: Inbound) -> Inbound {
        if !self.rest.is_empty() {
            self.quirks.add(Quirk::UnexpectedBody);
        }
        inbound
    }

    /// The PDU should end here.
    fn no_more(&mut self) {
        if !self.rest.is_empty() {
            self.quirks.add(Quirk::TrailingBytes);
        }
    }

    /// At most `length` bytes.
    fn take(&mut self, length: usize) -> Bytes {
        self.rest.split_to(length.min(self.rest.len()))
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, Missing> {
        self.take(1).first().copied().ok_or(Missing(field))
    }

    /// A string up to its NUL, or up to the end; `max` is the specification's length with the NUL. At the very end of
    /// the PDU it is empty: many SMSCs cut trailing empty strings.
    fn c_string(&mut self, max: usize) -> String {
        let end = self.rest.iter().position(|byte| *byte == 0);
        let text = self.take(end.unwrap_or(self.rest.len()));
        match end {
            Some(_) => drop(self.take(1)),
            None => self.quirks.add(Quirk::UnterminatedString),
        }
        if text.len() >= max {
            self.quirks.add(Quirk::OverlongString);
        }
        latin1(&text)
    }

    fn address(&mut self, ton: &'static str, npi: &'static str, max: usize) -> Result<Address, Missing> {
        Ok(Address { ton: self.u8(ton)?, npi: self.u8(npi)?, addr: self.c_string(max) })
    }

    /// All that is left, as TLVs.
    fn tlvs(&mut self) -> Tlvs {
        let mut tlvs = Tlvs::default();
        while let Some((tag, length)) = self.tlv_head() {
            let value = self.take(usize::from(length));
            if value.len() < usize::from(length) {
                self.quirks.add(Quirk::TlvCut);
            }
            let full = tlvs.len() >= Tlvs::MAX;
            if !tlvs.add(Tlv { tag, value }) {
                self.quirks.add(if full { Quirk::TooManyTlvs } else { Quirk::TlvRepeated });
            }
        }
        self.no_more();
        tlvs
    }

    fn tlv_head(&mut self) -> Option<(u16, u16)> {
        let [tag_high, tag_low, length_high, length_low] = *self.rest.first_chunk::<4>()?;
        drop(self.take(4));
        Some((u16::from_be_bytes([tag_high, tag_low]), u16::from_be_bytes([length_high, length_low])))
    }
}

#[cfg(test)]
mod tests;
