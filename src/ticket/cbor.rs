//! The subset of CBOR that tickets use, in its one deterministic form (RFC 8949, section 4.2.1).
//!
//! A reader of its own, because what is signed must have one spelling: general decoders pass over long integers,
//! indefinite lengths, unsorted and repeated keys, each of which gives one ticket many encodings. It borrows and never
//! allocates.

use thiserror::Error;

/// Why bytes are not deterministic CBOR of the expected shape. Offsets count bytes from the start of the item read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CborError {
    /// The input ends inside an item.
    #[error("the input ends at byte {0}, inside an item")]
    Truncated(usize),
    /// Bytes follow the item.
    #[error("unexpected bytes follow at byte {0}")]
    Trailing(usize),
    /// Another item was expected.
    #[error("expected {wanted} at byte {at}")]
    WrongType {
        /// Where.
        at: usize,
        /// What was expected.
        wanted: &'static str,
    },
    /// A longer form than needed, an indefinite length, or keys out of order.
    #[error("not in deterministic form at byte {0}")]
    NotDeterministic(usize),
    /// A map has a key twice.
    #[error("a map key is repeated at byte {0}")]
    DuplicateKey(usize),
    /// A text is not UTF-8.
    #[error("a text is not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// An integer does not fit where it stands.
    #[error("an integer is out of range at byte {0}")]
    OutOfRange(usize),
    /// Nested deeper than anything a ticket holds.
    #[error("nested too deeply at byte {0}")]
    TooDeep(usize),
}

/// Writes items in deterministic form; the caller writes map keys in order.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Writer {
        Writer(Vec::with_capacity(bytes))
    }

    pub(super) fn int(&mut self, value: i64) -> &mut Writer {
        // In two's complement, !n is -1 - n: what CBOR stores for a negative n.
        if value < 0 { self.head(1, (!value).unsigned_abs()) } else { self.head(0, value.unsigned_abs()) }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Writer {
        self.head(2, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Writer {
        self.head(3, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn array(&mut self, items: usize) -> &mut Writer {
        self.head(4, items as u64)
    }

    pub(super) fn map(&mut self, pairs: usize) -> &mut Writer {
        self.head(5, pairs as u64)
    }

    pub(super) fn tag(&mut self, tag: u64) -> &mut Writer {
        self.head(6, tag)
    }

    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Writer {
        let major = major << 5;
        if let Ok(byte) = u8::try_from(value) {
            if byte < 24 {
                self.0.push(major | byte);
            } else {
                self.0.extend_from_slice(&[major | 24, byte]);
            }
        } else if let Ok(short) = u16::try_from(value) {
            self.0.push(major | 25);
            self.0.extend_from_slice(&short.to_be_bytes());
        } else if let Ok(word) = u32::try_from(value) {
            self.0.push(major | 26);
            self.0.extend_from_slice(&word.to_be_bytes());
        } else {
            self.0.push(major | 27);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
        self
    }
}

/// Reads items and refuses every other spelling of them.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

/// How deep [`Reader::skip`] follows a value that nobody asked for.
const DEPTH_MAX: u8 = 4;

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Reader<'a> {
        Reader { input, at: 0 }
    }

    pub(super) fn end(&self) -> Result<(), CborError> {
        if self.at == self.input.len() { Ok(()) } else { Err(CborError::Trailing(self.at)) }
    }

    pub(super) fn int(&mut self) -> Result<i64, CborError> {
        let at = self.at;
        let (major, value) = self.head()?;
        let magnitude = i64::try_from(value).map_err(|_| CborError::OutOfRange(at))?;
        match major {
            0 => Ok(magnitude),
            1 => Ok(!magnitude),
            _ => Err(CborError::WrongType { at, wanted: "an integer" }),
        }
    }

    pub(super) fn uint<T: TryFrom<u64>>(&mut self) -> Result<T, CborError> {
        let at = self.at;
        let value = self.expect(0, "an unsigned integer")?;
        T::try_from(value).map_err(|_| CborError::OutOfRange(at))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let length = self.expect(2, "a byte string")?;
        self.take(length)
    }

    pub(super) fn byte_array<const N: usize>(&mut self, wanted: &'static str) -> Result<[u8; N], CborError> {
        let at = self.at;
        self.bytes()?.try_into().map_err(|_| CborError::WrongType { at, wanted })
    }

    pub(super) fn text(&mut self) -> Result<&'a str, CborError> {
        let at = self.at;
        let length = self.expect(3, "a text")?;
        std::str::from_utf8(self.take(length)?).map_err(|_| CborError::NotUtf8(at))
    }

    /// The number of items that follow. Never more than there are bytes left.
    pub(super) fn array(&mut self) -> Result<usize, CborError> {
        let count = self.expect(4, "an array")?;
        self.at_most_rest(count)
    }

    pub(super) fn tag(&mut self) -> Result<u64, CborError> {
        self.expect(6, "a tag")
    }

    /// Reads a map whose keys are all integers: `value` gets each key and must read its value, or [`Reader::skip`] it.
    pub(super) fn int_map<E: From<CborError>>(
        &mut self,
        mut value: impl FnMut(i64, &mut Reader<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let pairs = self.expect(5, "a map")?;
        let pairs = self.at_most_rest(pairs)?;
        let mut before: &[u8] = &[];
        for _ in 0..pairs {
            let start = self.at;
            let key = self.int()?;
            before = self.in_order(before, start)?;
            value(key, self)?;
        }
        Ok(())
    }

    /// Passes over one item, which must be deterministic too. Floats and simple values other than false, true and null
    /// occur in no ticket and are refused.
    pub(super) fn skip(&mut self) -> Result<(), CborError> {
        self.skip_at_depth(0)
    }

    fn skip_at_depth(&mut self, depth: u8) -> Result<(), CborError> {
        let at = self.at;
        if depth > DEPTH_MAX {
            return Err(CborError::TooDeep(at));
        }
        match self.head()? {
            (0 | 1, _) => Ok(()),
            (2, length) => self.take(length).map(drop),
            (3, length) => std::str::from_utf8(self.take(length)?).map(drop).map_err(|_| CborError::NotUtf8(at)),
            (4, count) => (0..self.at_most_rest(count)?).try_for_each(|_| self.skip_at_depth(depth + 1)),
            (5, pairs) => {
                let mut before: &[u8] = &[];
                for _ in 0..self.at_most_rest(pairs)? {
                    let start = self.at;
                    self.skip_at_depth(depth + 1)?;
                    before = self.in_order(before, start)?;
                    self.skip_at_depth(depth + 1)?;
                }
                Ok(())
            }
            (6, _) => self.skip_at_depth(depth + 1),
            (7, 20..=22) => Ok(()),
            _ => Err(CborError::WrongType { at, wanted: "an item without floats" }),
        }
    }

    /// The key that was just read from `start`, if it sorts after the key `before`.
    fn in_order(&self, before: &[u8], start: usize) -> Result<&'a [u8], CborError> {
        let key = self.input.get(start..self.at).ok_or(CborError::Truncated(start))?;
        match key.cmp(before) {
            std::cmp::Ordering::Greater => Ok(key),
            std::cmp::Ordering::Equal => Err(CborError::DuplicateKey(start)),
            std::cmp::Ordering::Less => Err(CborError::NotDeterministic(start)),
        }
    }

    fn at_most_rest(&self, count: u64) -> Result<usize, CborError> {
        let rest = self.input.len() - self.at;
        usize::try_from(count).ok().filter(|count| *count <= rest).ok_or(CborError::Truncated(self.input.len()))
    }

    fn expect(&mut self, wanted_major: u8, wanted: &'static str) -> Result<u64, CborError> {
        let at = self.at;
        let (major, value) = self.head()?;
        if major == wanted_major { Ok(value) } else { Err(CborError::WrongType { at, wanted }) }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let length = self.at_most_rest(length)?;
        let taken = self.input.get(self.at..self.at + length).ok_or(CborError::Truncated(self.input.len()))?;
        self.at += length;
        Ok(taken)
    }

    /// One initial byte and its argument, in the shortest form only.
    fn head(&mut self) -> Result<(u8, u64), CborError> {
        let at = self.at;
        let first = *self.input.get(at).ok_or(CborError::Truncated(at))?;
        self.at += 1;
        let (major, short) = (first >> 5, first & 0x1f);
        let width = match short {
            0..24 => return Ok((major, u64::from(short))),
            24..28 => 1_u64 << (short - 24),
            _ => return Err(CborError::NotDeterministic(at)),
        };
        let value = self.take(width)?.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let least = if width == 1 { 24 } else { 1_u64 << (width * 4) };
        if value < least { Err(CborError::NotDeterministic(at)) } else { Ok((major, value)) }
    }
}

#[cfg(test)]
mod tests {
    use ciborium::Value;
    use proptest::prelude::*;

    use super::*;

    fn unhex(hex: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex")
    }

    fn read<'a, T>(
        bytes: &'a [u8],
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, CborError>,
    ) -> Result<T, CborError> {
        let mut reader = Reader::new(bytes);
        let value = read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    #[test]
    fn reads_the_integers_of_rfc_8949_appendix_a() {
        for (hex, value) in [
            ("00", 0),
            ("17", 23),
            ("1818", 24),
            ("1903e8", 1_000),
            ("1a000f4240", 1_000_000),
            ("1b000000e8d4a51000", 1_000_000_000_000),
            ("20", -1),
            ("3903e7", -1_000),
            ("3b7fffffffffffffff", i64::MIN),
        ] {
            assert_eq!(read(&unhex(hex), Reader::int), Ok(value), "{hex}");
            assert_eq!(data_encoding::HEXLOWER.encode(&Writer::default().int(value).finish()), hex);
        }
        assert_eq!(read(&unhex("1bffffffffffffffff"), Reader::int), Err(CborError::OutOfRange(0)));
    }

    #[test]
    fn a_second_spelling_is_refused() {
        for hex in ["1817", "190018", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1c", "1f", "5800", "5f4100ff"] {
            assert_eq!(read(&unhex(hex), Reader::skip), Err(CborError::NotDeterministic(0)), "{hex}");
        }
        assert_eq!(read(&unhex("a202000100"), Reader::skip), Err(CborError::NotDeterministic(3)));
        assert_eq!(read(&unhex("a201000100"), Reader::skip), Err(CborError::DuplicateKey(3)));
        assert_eq!(read(&unhex("a201000100"), |r| r.int_map(|_, r| r.skip())), Err(CborError::DuplicateKey(3)));
    }

    #[test]
    fn what_is_cut_off_follows_or_is_too_deep_is_refused() {
        assert_eq!(read(&unhex(""), Reader::skip), Err(CborError::Truncated(0)));
        assert_eq!(read(&unhex("4401"), Reader::bytes), Err(CborError::Truncated(2)));
        assert_eq!(read(&unhex("9bffffffffffffffff"), Reader::array), Err(CborError::Truncated(9)));
        assert_eq!(read(&unhex("0000"), Reader::int), Err(CborError::Trailing(1)));
        assert_eq!(read(&unhex("818181818181818100"), Reader::skip), Err(CborError::TooDeep(5)));
        assert_eq!(
            read(&unhex("fb3ff0000000000000"), Reader::skip).map_err(|e| matches!(e, CborError::WrongType { .. })),
            Err(true)
        );
        assert_eq!(read(&unhex("61ff"), Reader::text), Err(CborError::NotUtf8(0)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_accepted_has_no_other_spelling(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            if reader.skip().and_then(|()| reader.end()).is_ok() {
                let value: Value = ciborium::from_reader(bytes.as_slice()).expect("an independent decoder agrees");
                let mut again = Vec::new();
                ciborium::into_writer(&value, &mut again).expect("writes");
                prop_assert_eq!(again, bytes);
            }
        }

        #[test]
        fn an_independent_decoder_reads_what_is_written(number in any::<i64>(), bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,30}") {
            let written = Writer::default().tag(18).array(3).int(number).bytes(&bytes).text(&text).finish();
            let value: Value = ciborium::from_reader(written.as_slice()).expect("reads");
            let items = vec![Value::Integer(number.into()), Value::Bytes(bytes), Value::Text(text)];
            prop_assert_eq!(value, Value::Tag(18, Box::new(Value::Array(items))));
            prop_assert_eq!(Reader::new(&written).skip(), Ok(()));
        }
    }
}
