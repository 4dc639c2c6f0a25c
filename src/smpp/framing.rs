//! Cuts a byte stream into PDUs. Knows `command_length` and nothing else.

use bytes::{Bytes, BytesMut};
use thiserror::Error;

/// The header alone.
pub const PDU_BYTES_MIN: usize = 16;
/// No honest PDU is longer: the largest possible `message_payload` with its headers.
pub const PDU_BYTES_MAX: usize = 64 * 1024;

/// `command_length` is impossible. Where the next PDU begins cannot be known any more: the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "command_length is {command_length}, not within {PDU_BYTES_MIN} to {PDU_BYTES_MAX}: the stream cannot be followed"
)]
pub struct FramingError {
    /// What the four bytes said.
    pub command_length: u32,
}

/// The bytes received and not yet cut. Holds at most [`Framer::CAPACITY`] bytes.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
}

impl Framer {
    /// One PDU of the largest size in the making, and one read behind it.
    pub const CAPACITY: usize = 2 * PDU_BYTES_MAX;

    /// Takes as many of `bytes` as there is room for, and tells how many.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.buffer.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        taken
    }

    /// How many bytes [`Framer::push`] would take. There is always room when [`Framer::next_pdu`] gave `None`.
    pub fn room(&self) -> usize {
        Framer::CAPACITY - self.buffer.len()
    }

    /// Bytes that wait to be cut.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole PDU with its header; `None` until more bytes come. After an error every call gives it again.
    pub fn next_pdu(&mut self) -> Result<Option<Bytes>, FramingError> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let command_length = u32::from_be_bytes(*length);
        let length = usize::try_from(command_length)
            .ok()
            .filter(|length| (PDU_BYTES_MIN..=PDU_BYTES_MAX).contains(length))
            .ok_or(FramingError { command_length })?;
        if self.buffer.len() < length {
            return Ok(None);
        }
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pdu(length: usize) -> Vec<u8> {
        let mut pdu = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        pdu.resize(length, 0xAB);
        pdu
    }

    #[test]
    fn case_18_bytes_one_by_one_and_many_pdus_at_once_give_the_same_pdus() {
        let stream = [pdu(16), pdu(100), pdu(17)].concat();
        let mut framer = Framer::default();
        let mut one_by_one = Vec::new();
        for byte in &stream {
            assert_eq!(framer.push(&[*byte]), 1);
            one_by_one.extend(framer.next_pdu().unwrap());
        }
        assert_eq!(framer.push(&stream), stream.len());
        let at_once: Vec<_> = std::iter::from_fn(|| framer.next_pdu().unwrap()).collect();
        assert_eq!(one_by_one, at_once);
        assert_eq!(at_once.iter().map(Bytes::len).collect::<Vec<_>>(), [16, 100, 17]);
    }

    #[test]
    fn case_19_an_impossible_length_is_fatal_and_named() {
        for command_length in [0, 15, u32::try_from(PDU_BYTES_MAX + 1).unwrap(), 1 << 31, u32::MAX] {
            let mut framer = Framer::default();
            assert_eq!(framer.push(&command_length.to_be_bytes()), 4);
            assert_eq!(framer.next_pdu(), Err(FramingError { command_length }));
            assert_eq!(framer.push(&pdu(16)), 16);
            assert_eq!(framer.next_pdu(), Err(FramingError { command_length }), "it does not pick up again by chance");
        }
    }

    #[test]
    fn the_largest_pdu_fits_and_the_buffer_is_bounded() {
        let mut framer = Framer::default();
        assert_eq!(framer.push(&pdu(PDU_BYTES_MAX)), PDU_BYTES_MAX);
        assert_eq!(framer.push(&vec![0; PDU_BYTES_MAX + 5]), PDU_BYTES_MAX, "no more than it has room for");
        assert_eq!(framer.room(), 0);
        assert_eq!(framer.next_pdu().unwrap().unwrap().len(), PDU_BYTES_MAX);
        assert!(framer.room() > 0);
    }

    proptest! {
        #[test]
        fn how_the_stream_is_sliced_does_not_matter(
            lengths in prop::collection::vec(16usize..300, 1..20),
            slices in prop::collection::vec(1usize..50, 1..40),
        ) {
            let stream: Vec<u8> = lengths.iter().flat_map(|length| pdu(*length)).collect();
            let mut framer = Framer::default();
            let mut rest = stream.as_slice();
            let mut found = Vec::new();
            for size in slices.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*size).min(rest.len()));
                prop_assert_eq!(framer.push(now), now.len());
                rest = later;
                while let Some(pdu) = framer.next_pdu().unwrap() { found.push(pdu.len()); }
            }
            prop_assert_eq!(found, lengths);
            prop_assert_eq!(framer.buffered(), 0);
        }
    }
}
