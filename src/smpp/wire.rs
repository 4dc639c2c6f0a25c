//! For tests: PDUs byte by byte, as a peer would write and read them.

use super::{
    pdu::{Header, command},
    status::CommandStatus,
};

/// One PDU.
pub(super) fn pdu(command_id: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let mut pdu: Vec<u8> = [length, command_id, status, sequence].into_iter().flat_map(u32::to_be_bytes).collect();
    pdu.extend_from_slice(body);
    pdu
}

/// A response to a request.
pub(super) fn resp(command_id: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    pdu(command_id | command::RESPONSE, status, sequence, body)
}

/// A `submit_sm_resp` with status OK.
pub(super) fn accepted(sequence: u32, message_id: &str) -> Vec<u8> {
    resp(command::SUBMIT_SM, 0, sequence, &[message_id.as_bytes(), b"\0"].concat())
}

/// A `deliver_sm` from 77015554433 to 2505.
pub(super) fn deliver(sequence: u32, text: &[u8]) -> Vec<u8> {
    pdu(command::DELIVER_SM, 0, sequence, &deliver_body(u8::try_from(text.len()).unwrap(), text))
}

/// The body of a `deliver_sm`; what follows `sm_length` is free.
pub(super) fn deliver_body(sm_length: u8, rest: &[u8]) -> Vec<u8> {
    let mandatory = b"\0\x01\x0177015554433\0\x03\x002505\0\x00\x00\x00\0\0\x00\x00\x08\x00";
    [mandatory.as_slice(), &[sm_length], rest].concat()
}

/// One TLV.
pub(super) fn tlv(tag: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [tag.to_be_bytes().as_slice(), &length.to_be_bytes(), value].concat()
}

/// Cuts what we wrote into whole PDUs; what is left over is an error.
pub(super) fn split(mut bytes: &[u8]) -> Vec<(Header, Vec<u8>)> {
    let mut pdus = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let length = usize::try_from(word(0)).unwrap();
        let header = Header { command_id: word(4), status: CommandStatus(word(8)), sequence: word(12) };
        pdus.push((header, bytes[16..length].to_vec()));
        bytes = &bytes[length..];
    }
    pdus
}
