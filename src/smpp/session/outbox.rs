//! The bytes that wait to be written, and to which request each belongs.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};

use crate::smpp::encode::EncodeError;

/// Outgoing PDUs in one contiguous buffer, so that many leave in one write. It knows exactly which requests have not one
/// byte written: those, and only those, can still be taken back.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: BytesMut,
    parts: VecDeque<Part>,
    /// How many bytes of the first part are written already.
    head_written: usize,
}

/// One PDU.
#[derive(Debug)]
struct Part {
    length: usize,
    /// The sequence number, where it is a request whose fate matters.
    request: Option<u32>,
}

impl Outbox {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends one PDU; if it cannot be encoded, nothing stays of it.
    pub(super) fn push(
        &mut self,
        request: Option<u32>,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let before = self.bytes.len();
        match encode(&mut self.bytes) {
            Ok(()) => {
                self.parts.push_back(Part { length: self.bytes.len() - before, request });
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(before);
                Err(error)
            }
        }
    }

    /// The first `count` bytes were written; `begun` gets every request whose first byte was among them.
    pub(super) fn written(&mut self, count: usize, mut begun: impl FnMut(u32)) {
        debug_assert!(count <= self.bytes.len(), "more bytes written than there were");
        let mut left = count.min(self.bytes.len());
        self.bytes.advance(left);
        while left > 0 {
            let Some(head) = self.parts.front() else { break };
            if let Some(request) = head.request.filter(|_| self.head_written == 0) {
                begun(request);
            }
            let rest = head.length - self.head_written;
            if left < rest {
                self.head_written += left;
                break;
            }
            left -= rest;
            self.head_written = 0;
            self.parts.pop_front();
        }
    }

    /// The PDUs whose first byte is among the next `count` bytes, each whole.
    pub(super) fn beginning_within(&self, count: usize) -> impl Iterator<Item = &[u8]> {
        let mut end = 0;
        self.parts
            .iter()
            .enumerate()
            .map_while(move |(index, part)| {
                let begun = if index == 0 { self.head_written } else { 0 };
                let start = end;
                end += part.length - begun;
                (start < count).then(|| if begun == 0 { self.bytes.get(start..end) } else { None })
            })
            .flatten()
    }

    /// Takes the request back. `false` if a byte of it is written, or it is not here.
    pub(super) fn withdraw(&mut self, request: u32) -> bool {
        let mut offset = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let begun = if index == 0 { self.head_written } else { 0 };
            let length = part.length - begun;
            if part.request == Some(request) {
                if begun > 0 {
                    return false;
                }
                let behind = self.bytes.split_off(offset + length);
                self.bytes.truncate(offset);
                self.bytes.extend_from_slice(&behind);
                self.parts.remove(index);
                return true;
            }
            offset += length;
        }
        false
    }

    /// Takes every request back of which no byte is written. Other PDUs, and the rest of a begun one, stay.
    pub(super) fn withdraw_all(&mut self) {
        let mut kept = BytesMut::new();
        let mut parts = VecDeque::new();
        let mut head_written = self.head_written;
        for part in self.parts.drain(..) {
            let bytes = self.bytes.split_to(part.length - head_written);
            if part.request.is_none() || head_written > 0 {
                kept.extend_from_slice(&bytes);
                parts.push_back(part);
            }
            head_written = 0;
        }
        (self.bytes, self.parts) = (kept, parts);
    }

    /// Forgets everything: the connection is gone.
    pub(super) fn clear(&mut self) {
        *self = Outbox::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(parts: &[(Option<u32>, &[u8])]) -> Outbox {
        let mut outbox = Outbox::default();
        for (request, bytes) in parts {
            outbox
                .push(*request, |out| {
                    out.extend_from_slice(bytes);
                    Ok(())
                })
                .unwrap();
        }
        outbox
    }

    fn write(outbox: &mut Outbox, count: usize) -> Vec<u32> {
        let mut begun = Vec::new();
        outbox.written(count, |request| begun.push(request));
        begun
    }

    #[test]
    fn a_request_is_begun_with_its_first_byte_and_once() {
        let mut outbox = outbox(&[(Some(1), b"aaa"), (None, b"--"), (Some(2), b"bbb")]);
        assert_eq!(write(&mut outbox, 1), [1]);
        assert_eq!(write(&mut outbox, 4), [0u32; 0]);
        assert_eq!(write(&mut outbox, 1), [2]);
        assert_eq!(write(&mut outbox, 2), [0u32; 0]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_begun_cannot_be_withdrawn() {
        let mut outbox = outbox(&[(Some(1), b"aaa"), (Some(2), b"bbb"), (Some(3), b"ccc")]);
        write(&mut outbox, 1);
        assert!(!outbox.withdraw(1));
        assert!(outbox.withdraw(2));
        assert!(!outbox.withdraw(2));
        assert_eq!(outbox.bytes(), b"aaccc");
        assert_eq!(write(&mut outbox, 3), [3]);
    }

    #[test]
    fn a_pdu_begins_whole_within_the_bytes_that_have_its_first() {
        let mut outbox = outbox(&[(Some(1), b"aaa"), (None, b"--"), (Some(2), b"bbb")]);
        assert!(outbox.beginning_within(0).next().is_none());
        assert_eq!(outbox.beginning_within(4).collect::<Vec<_>>(), [b"aaa".as_slice(), b"--"]);
        write(&mut outbox, 1);
        assert_eq!(outbox.beginning_within(3).collect::<Vec<_>>(), [b"--"]);
        assert_eq!(outbox.beginning_within(5).collect::<Vec<_>>(), [b"--".as_slice(), b"bbb"]);
    }

    #[test]
    fn withdrawing_all_leaves_answers_and_the_rest_of_what_is_begun() {
        let mut outbox = outbox(&[(Some(1), b"aaa"), (None, b"--"), (Some(2), b"bbb"), (None, b"++")]);
        write(&mut outbox, 2);
        outbox.withdraw_all();
        assert_eq!(outbox.bytes(), b"a--++");
        assert_eq!(write(&mut outbox, 5), [0u32; 0]);
    }

    #[test]
    fn what_cannot_be_encoded_leaves_nothing_behind() {
        let mut outbox = outbox(&[(None, b"--")]);
        let error = EncodeError::PduTooLong { command: "submit_sm", length: 1 << 20 };
        let result = outbox.push(Some(1), |out| {
            out.extend_from_slice(b"half");
            Err(error.clone())
        });
        assert_eq!(result, Err(error));
        assert_eq!(outbox.bytes(), b"--");
    }
}
