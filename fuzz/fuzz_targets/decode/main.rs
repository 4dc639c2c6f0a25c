//! A byte stream from the wire to its PDUs, what is read of them, and what may be shown of them.
//!
//! The first octet chooses: a stream as it comes, or a PDU in which secrets were planted.

#![no_main]

mod oracle;
mod secrets;
mod stream;

use libfuzzer_sys::fuzz_target;
use smsbusd::smpp::text::DefaultAlphabet;

fuzz_target!(|data: &[u8]| {
    let Some(([choice, how], octets)) = data.split_first_chunk::<2>() else { return };
    let alphabet = match choice >> 1 & 3 {
        0 => DefaultAlphabet::GsmUnpacked,
        1 => DefaultAlphabet::GsmPacked,
        2 => DefaultAlphabet::Latin1,
        _ => DefaultAlphabet::Ascii,
    };
    if choice & 1 == 0 {
        stream::check(octets, *how, alphabet);
    } else {
        secrets::check(octets, *how, alphabet);
    }
});
