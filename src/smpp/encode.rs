//! PDUs onto the wire: strictly to the specification, with `rusmpp`'s types.

use bytes::{BufMut, BytesMut};
use rusmpp::{
    Command, Pdu,
    encode::{Length, owned::Encode},
    pdus,
    tlvs::{MessageSubmissionRequestTlvValue, TlvTag},
    types::{AnyOctetString, COctetString, EmptyOrFullCOctetString, OctetString},
    values::{InterfaceVersion, ServiceType},
};
use thiserror::Error;

use crate::smpp::{
    framing::PDU_BYTES_MAX,
    pdu::{Bind, BindMode, QuerySm, SubmitSm, command},
    status::CommandStatus,
    tlv::Tlv,
};

/// A request that cannot be written to the specification. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A field is too long, or has a byte that it may not have.
    #[error("{command}: field {field} cannot be written: {why}")]
    Field {
        /// The PDU.
        command: &'static str,
        /// The specification's name of the field.
        field: &'static str,
        /// What is wrong with it. It never repeats the value, which may be a password.
        why: String,
    },
    /// A TLV's value does not fit its two bytes of length.
    #[error("{command}: the TLV 0x{tag:04X} has {length} bytes, at most 65535 fit")]
    TlvTooLong {
        /// The PDU.
        command: &'static str,
        /// The TLV's tag.
        tag: u16,
        /// Its value's length in bytes.
        length: usize,
    },
    /// The whole PDU is longer than [`PDU_BYTES_MAX`].
    #[error("{command}: the PDU would have {length} bytes, at most {PDU_BYTES_MAX} are allowed")]
    PduTooLong {
        /// The PDU.
        command: &'static str,
        /// Its length in bytes.
        length: usize,
    },
}

/// Appends `submit_sm`.
pub fn submit_sm(sm: SubmitSm, sequence: u32, out: &mut BytesMut) -> Result<(), EncodeError> {
    const COMMAND: &str = "submit_sm";
    let field = Field(COMMAND);
    let tlvs = sm.tlvs.into_iter().map(|tlv| tlv_value(COMMAND, tlv)).collect::<Result<Vec<_>, _>>()?;
    let pdu = pdus::SubmitSm::new(
        ServiceType::new(field.c_string("service_type", sm.service_type)?),
        sm.source.ton.into(),
        sm.source.npi.into(),
        field.c_string("source_addr", sm.source.addr)?,
        sm.destination.ton.into(),
        sm.destination.npi.into(),
        field.c_string("destination_addr", sm.destination.addr)?,
        sm.esm_class.into(),
        sm.protocol_id,
        sm.priority_flag.into(),
        field.time("schedule_delivery_time", sm.schedule_delivery_time)?,
        field.time("validity_period", sm.validity_period)?,
        sm.registered_delivery.into(),
        sm.replace_if_present_flag.into(),
        sm.data_coding.into(),
        sm.sm_default_msg_id,
        OctetString::from_bytes(sm.short_message).map_err(|why| field.error("short_message", why))?,
        tlvs,
    );
    write(COMMAND, CommandStatus::OK, sequence, pdu.into(), out)
}

/// Appends `query_sm`.
pub fn query_sm(query: QuerySm, sequence: u32, out: &mut BytesMut) -> Result<(), EncodeError> {
    let field = Field("query_sm");
    let pdu = pdus::QuerySm::new(
        field.c_string("message_id", query.message_id)?,
        query.source.ton.into(),
        query.source.npi.into(),
        field.c_string("source_addr", query.source.addr)?,
    );
    write("query_sm", CommandStatus::OK, sequence, pdu.into(), out)
}

/// Appends `bind_transceiver`, `bind_transmitter` or `bind_receiver`.
pub fn bind(bind: Bind, sequence: u32, out: &mut BytesMut) -> Result<(), EncodeError> {
    const COMMAND: &str = "bind";
    let field = Field(COMMAND);
    let system_id = field.c_string("system_id", bind.system_id)?;
    let password = field.c_string("password", bind.password)?;
    let system_type = field.c_string("system_type", bind.system_type)?;
    let version = InterfaceVersion::from(bind.interface_version);
    let (ton, npi) = (bind.address_range.ton.into(), bind.address_range.npi.into());
    let range = field.c_string("address_range", bind.address_range.addr)?;
    let pdu: Pdu = match bind.mode {
        BindMode::Transceiver => {
            pdus::BindTransceiver::new(system_id, password, system_type, version, ton, npi, range).into()
        }
        BindMode::Transmitter => {
            pdus::BindTransmitter::new(system_id, password, system_type, version, ton, npi, range).into()
        }
        BindMode::Receiver => {
            pdus::BindReceiver::new(system_id, password, system_type, version, ton, npi, range).into()
        }
    };
    write(COMMAND, CommandStatus::OK, sequence, pdu, out)
}

/// Appends `deliver_sm_resp`: what became of a message that the SMSC delivered.
pub fn deliver_sm_resp(status: CommandStatus, sequence: u32, out: &mut BytesMut) {
    small(status, sequence, pdus::DeliverSmResp::default().into(), out);
}

/// Appends `data_sm_resp`: what became of a message that the SMSC delivered with `data_sm`.
pub fn data_sm_resp(status: CommandStatus, sequence: u32, out: &mut BytesMut) {
    small(status, sequence, pdus::DataSmResp::default().into(), out);
}

/// Appends `enquire_link`.
pub fn enquire_link(sequence: u32, out: &mut BytesMut) {
    small(CommandStatus::OK, sequence, Pdu::EnquireLink, out);
}

/// Appends `enquire_link_resp`.
pub fn enquire_link_resp(sequence: u32, out: &mut BytesMut) {
    small(CommandStatus::OK, sequence, Pdu::EnquireLinkResp, out);
}

/// Appends `unbind`.
pub fn unbind(sequence: u32, out: &mut BytesMut) {
    small(CommandStatus::OK, sequence, Pdu::Unbind, out);
}

/// Appends `unbind_resp`.
pub fn unbind_resp(sequence: u32, out: &mut BytesMut) {
    small(CommandStatus::OK, sequence, Pdu::UnbindResp, out);
}

/// Appends `generic_nack`.
pub fn generic_nack(status: CommandStatus, sequence: u32, out: &mut BytesMut) {
    small(status, sequence, Pdu::GenericNack, out);
}

/// The field errors of one command.
#[derive(Clone, Copy)]
struct Field(&'static str);

impl Field {
    fn error(self, field: &'static str, why: impl std::fmt::Display) -> EncodeError {
        EncodeError::Field { command: self.0, field, why: why.to_string() }
    }

    fn c_string<const MAX: usize>(
        self,
        field: &'static str,
        value: String,
    ) -> Result<COctetString<1, MAX>, EncodeError> {
        COctetString::from_string(value).map_err(|why| self.error(field, why))
    }

    fn time(self, field: &'static str, value: String) -> Result<EmptyOrFullCOctetString<17>, EncodeError> {
        EmptyOrFullCOctetString::from_string(value).map_err(|why| self.error(field, why))
    }
}

fn tlv_value(command: &'static str, tlv: Tlv) -> Result<MessageSubmissionRequestTlvValue, EncodeError> {
    if u16::try_from(tlv.value.len()).is_err() {
        return Err(EncodeError::TlvTooLong { command, tag: tlv.tag, length: tlv.value.len() });
    }
    // Every tag goes out raw, the known ones too: the caller has coded the value, and carriers bend the known tags.
    let value = AnyOctetString::from_bytes(tlv.value);
    Ok(MessageSubmissionRequestTlvValue::Other { tag: TlvTag::from(tlv.tag), value })
}

fn write(
    name: &'static str,
    status: CommandStatus,
    sequence: u32,
    pdu: Pdu,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let pdu = Command::new(status.0.into(), sequence, pdu);
    let length = pdu.length() + 4;
    let too_long = EncodeError::PduTooLong { command: name, length };
    match u32::try_from(length) {
        Ok(command_length) if length <= PDU_BYTES_MAX => {
            out.reserve(length);
            out.put_u32(command_length);
            pdu.encode(out);
            Ok(())
        }
        _ => Err(too_long),
    }
}

/// A PDU that has no field of a caller's, and so always fits.
fn small(status: CommandStatus, sequence: u32, pdu: Pdu, out: &mut BytesMut) {
    let name = command::name(pdu.command_id().into());
    write(name, status, sequence, pdu, out).expect("a PDU of at most 17 bytes fits");
}
