//! The octets of what a session answers, good ones and others.

use bytes::{BufMut, Bytes, BytesMut};
use rusmpp::{
    CommandId, CommandStatus, Pdu,
    pdus::{DeliverSmResp, SubmitSmResp},
    types::AnyOctetString,
};

use super::{
    damage::{self, Damage},
    link::{Link, Outgoing},
    ruling::{Reply, Ruling, Stray},
    wire,
};

/// `congestion_state`, a TLV of SMPP 5.0.
const TLV_CONGESTION_STATE: u16 = 0x0428;
/// The `interface_version` of SMPP 5.0.
pub(super) const SMPP_5_0: u8 = 0x50;

/// What answers a `submit_sm`; nothing for silence.
pub(super) fn to_submit(link: &Link, sequence: u32, ruling: &Ruling) -> Vec<Outgoing> {
    let Some(response) = response(link, sequence, ruling) else { return Vec::new() };
    let manner = &ruling.manner;
    let mut answer = Vec::new();
    answer.extend(manner.gathered.map(Outgoing::Gather));
    answer.extend(manner.strays.iter().map(|stray| Outgoing::Pdu(self::stray(*stray, sequence))));
    for _ in 0..=u8::from(manner.twice) {
        answer.push(match manner.octet_by_octet {
            true => Outgoing::OctetByOctet(response.clone()),
            false => Outgoing::Pdu(response.clone()),
        });
    }
    answer.extend(manner.gathered.map(|_| Outgoing::Pdu(enquire_link(link))));
    answer
}

/// An `enquire_link` of the SMSC's own.
pub(super) fn enquire_link(link: &Link) -> Bytes {
    wire::pdu(CommandStatus::EsmeRok, link.next_sequence(), Pdu::EnquireLink)
}

fn response(link: &Link, sequence: u32, ruling: &Ruling) -> Option<Bytes> {
    let ok = CommandStatus::EsmeRok;
    let octets = match &ruling.reply {
        Reply::Accepted { message_id } => accepted(ok, sequence, message_id),
        Reply::Bare => wire::header_only(CommandId::SubmitSmResp, ok, sequence),
        Reply::WrongType { message_id } => {
            wire::pdu(ok, sequence, DeliverSmResp::new(wire::c_string(message_id), Vec::new()))
        }
        Reply::Status { status, body: true } => accepted(CommandStatus::from(*status), sequence, ""),
        Reply::Status { status, body: false } => {
            wire::header_only(CommandId::SubmitSmResp, CommandStatus::from(*status), sequence)
        }
        Reply::Nack { of_nothing } => {
            let sequence = if *of_nothing { 0 } else { sequence };
            wire::header_only(CommandId::GenericNack, CommandStatus::EsmeRsyserr, sequence)
        }
        Reply::BadLength(command_length) => return Some(bad_length(*command_length, sequence)),
        Reply::Silence => return None,
    };
    Some(match ruling.reply {
        Reply::Accepted { .. } => spoilt(link, ruling, octets),
        _ => octets,
    })
}

/// A response with a body, with what was ruled on its octets.
fn spoilt(link: &Link, ruling: &Ruling, octets: Bytes) -> Bytes {
    let damage = &ruling.manner.damage;
    // What follows a message id without a NUL would be read as more of it: nobody could tell them apart.
    if damage.contains(&Damage::WithoutNul) {
        return Damage::WithoutNul.apply(&octets);
    }
    let damaged = damage.iter().fold(octets, |octets, damage| damage.apply(&octets));
    match ruling.manner.congestion {
        Some(percent) if link.interface_version() >= SMPP_5_0 => {
            damage::with_tlv(&damaged, TLV_CONGESTION_STATE, &[percent])
        }
        _ => damaged,
    }
}

fn accepted(status: CommandStatus, sequence: u32, message_id: &str) -> Bytes {
    wire::pdu(status, sequence, SubmitSmResp::new(wire::c_string(message_id), Vec::new()))
}

fn stray(stray: Stray, sequence: u32) -> Bytes {
    let ok = CommandStatus::EsmeRok;
    match stray {
        Stray::Garbage => {
            let body = AnyOctetString::from_static_slice(b"\x00\xFFgarbage");
            wire::pdu(ok, 0x7FFF_FFFF, Pdu::Other { command_id: CommandId::Other(0x0000_0BAD), body })
        }
        // Half the space away from what the client counts at.
        Stray::UnknownSequence => accepted(ok, (sequence ^ 0x4000_0000).max(1), "4711"),
    }
}

/// A header, and nothing else, with an impossible length.
fn bad_length(command_length: u32, sequence: u32) -> Bytes {
    let mut octets = BytesMut::with_capacity(16);
    for word in [command_length, u32::from(CommandId::SubmitSmResp), 0, sequence] {
        octets.put_u32(word);
    }
    octets.freeze()
}
