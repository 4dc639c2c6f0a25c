//! The text of a short message: octets to text, text to octets, long texts to parts and back, and what a passenger's text asks for.
//!
//! Five octets say `esm_class`, `data_coding`, the alphabets, and the reference number; the rest is the message, as octets and as a
//! text.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use smsbusd::{
    passenger::{self, Command, Language, Message, MoPart, PASSENGERS_MIN, Texts},
    smpp::text::{
        Alphabet, Concatenation, Content, DefaultAlphabet, Part, PartMark, ReferenceNumber, UserDataHeader,
        decode_message, encode, encode_message, segments, split_message,
    },
};

fuzz_target!(|data: &[u8]| {
    let Some(([esm_class, coding, choice, high, low], octets)) = data.split_first_chunk::<5>() else { return };
    let default = match choice & 3 {
        0 => DefaultAlphabet::GsmUnpacked,
        1 => DefaultAlphabet::GsmPacked,
        2 => DefaultAlphabet::Latin1,
        _ => DefaultAlphabet::Ascii,
    };
    let mark = match (choice & 4, high & 1) {
        (0, 0) => PartMark::Header,
        (0, _) => PartMark::ShortHeader,
        _ => PartMark::Sar,
    };
    let reference_number = u16::from_be_bytes([*high, *low]);
    let text = check_octets(*esm_class, *coding, default, octets);
    check_header(octets, reference_number);
    for text in [&String::from_utf8_lossy(octets), text.as_str()] {
        check_encodings(text);
        check_parts(text, default, mark, reference_number, if choice & 8 == 0 { u8::MAX } else { choice >> 4 });
        check_command(text, *low);
    }
});

/// What came is read, whatever it is; what is not flawed can be written again. Gives back the text.
fn check_octets(esm_class: u8, coding: u8, default: DefaultAlphabet, octets: &[u8]) -> String {
    let (header, content) = decode_message(esm_class, coding, default, octets);
    assert!(header.is_none_or(|header| header.octets <= octets.len() && esm_class & 0x40 != 0));
    let body = &octets[header.map_or(0, |header| header.octets)..];
    match content {
        Content::Binary(kept) => {
            assert_eq!(kept, body);
            String::new()
        }
        Content::Text(text) => {
            assert!(text.characters.chars().count() <= octets.len() * 8 / 7, "the text grows");
            let back = encode(&text.characters, text.alphabet);
            match (text.alphabet, back) {
                _ if text.flawed => {}
                // Behind a header, septets begin at a border of their own.
                (Alphabet::GsmPacked, Ok(back)) if header.is_none() => {
                    let again = decode_message(0, 0, DefaultAlphabet::GsmPacked, &back).1;
                    assert_eq!(again.text(), Some(text.characters.as_str()));
                }
                (Alphabet::GsmPacked, Ok(_)) => {}
                (Alphabet::Ucs2, Ok(back)) => assert_eq!(back, body.strip_prefix(b"\xFE\xFF").unwrap_or(body)),
                (_, Ok(back)) => assert_eq!(back, body),
                (alphabet, Err(error)) => panic!("read in {alphabet:?}, and not writable: {error}"),
            }
            text.characters
        }
    }
}

/// A header that says a place is read as that place, with anything behind it.
fn check_header(octets: &[u8], reference_number: u16) {
    if let Some((header, body)) = UserDataHeader::split(octets) {
        assert_eq!(header.octets + body.len(), octets.len());
        assert!(header.concatenation.is_none_or(|place| (1..=place.total).contains(&place.part)));
    }
    let [.., total, part] = octets else { return };
    for number in [ReferenceNumber::Bits8(*total), ReferenceNumber::Bits16(reference_number)] {
        let Some(place) = Concatenation::new(number, *total, *part) else {
            assert!(*part == 0 || part > total);
            continue;
        };
        let message = [place.to_header().as_slice(), octets].concat();
        let (header, body) = UserDataHeader::split(&message).expect("a header");
        assert_eq!((header.concatenation, header.flawed, body), (Some(place), false, octets));
    }
}

/// In every alphabet: the text comes back, or its first character that does not exist there is named.
fn check_encodings(text: &str) {
    for (coding, default, alphabet) in [
        (0, DefaultAlphabet::GsmUnpacked, Alphabet::GsmUnpacked),
        (0, DefaultAlphabet::GsmPacked, Alphabet::GsmPacked),
        (1, DefaultAlphabet::Ascii, Alphabet::Ascii),
        (3, DefaultAlphabet::Latin1, Alphabet::Latin1),
        (6, DefaultAlphabet::Latin1, Alphabet::Cyrillic),
        (8, DefaultAlphabet::Latin1, Alphabet::Ucs2),
    ] {
        match encode(text, alphabet) {
            Ok(_) if is_ambiguous(text, alphabet) => {}
            Ok(octets) => {
                let content = decode_message(0, coding, default, &octets).1;
                assert_eq!(content.text(), Some(text), "{alphabet:?}");
                assert!(matches!(content, Content::Text(text) if !text.flawed));
            }
            Err(missing) => {
                assert_ne!(alphabet, Alphabet::Ucs2);
                assert_eq!(text.chars().nth(missing.position), Some(missing.character));
                let before: String = text.chars().take(missing.position).collect();
                assert!(encode(&before, alphabet).is_ok(), "it is not the first");
            }
        }
    }
}

/// What no receiver can tell from padding, or from a byte order mark.
fn is_ambiguous(text: &str, alphabet: Alphabet) -> bool {
    match alphabet {
        Alphabet::GsmPacked => text.ends_with(['@', '\r']),
        Alphabet::Ucs2 => text.starts_with(['\u{FEFF}', '\u{FFFE}']),
        _ => false,
    }
}

/// The parts of a long text fit the air, say which they are, and make the text again in whatever order they come.
fn check_parts(text: &str, default: DefaultAlphabet, mark: PartMark, reference_number: u16, segments_max: u8) {
    // A part may end or begin anywhere, so that each of them could be ambiguous.
    let text = text.replace(['@', '\r', '\u{FEFF}', '\u{FFFE}'], "");
    let parts = match split_message(&text, default, mark, reference_number, segments_max) {
        Ok(parts) => parts,
        Err(error) => {
            assert!(error.segments > usize::from(segments_max) && error.segments_max == segments_max);
            return;
        }
    };
    assert!((1..=usize::from(segments_max)).contains(&parts.len()));
    if default == DefaultAlphabet::GsmUnpacked {
        assert_eq!(parts.len(), segments(&text).segments);
    }
    let places: Vec<(MoPart, String)> =
        (1..).zip(&parts).map(|(number, part)| read_part(part, number, &parts, default)).collect();
    let in_order = places.iter().map(|(place, text)| (*place, text.as_str()));
    let backwards_and_twice = in_order.clone().rev().chain(in_order.clone());
    assert_eq!(passenger::join(in_order.clone()).as_deref(), Some(text.as_str()));
    assert_eq!(passenger::join(backwards_and_twice).as_deref(), Some(text.as_str()));
    assert_eq!(passenger::join(in_order.skip(1)), None, "one is missing");
    let (coding, octets) = encode_message(&text, default);
    assert_eq!(coding, parts[0].data_coding);
    assert_eq!(decode_message(0, coding, default, &octets).1.text(), Some(text.as_str()));
}

/// One part as a phone reads it: its place and its text.
fn read_part(part: &Part, number: u8, parts: &[Part], default: DefaultAlphabet) -> (MoPart, String) {
    let octets_max = if part.data_coding == 8 || default == DefaultAlphabet::GsmPacked { 140 } else { 160 };
    assert!(part.short_message.len() <= octets_max, "{} octets", part.short_message.len());
    let (header, content) = decode_message(part.esm_class, part.data_coding, default, &part.short_message);
    let Content::Text(text) = content else { panic!("a part is no text") };
    assert!(!text.flawed, "a character is cut in two");
    let by_header = header.and_then(|header| header.concatenation);
    let by_sar = part.sar.and_then(|sar| Concatenation::from_sar(sar.reference_number, sar.total, sar.part));
    let total = u8::try_from(parts.len()).expect("at most 255");
    let place = match (by_header, by_sar) {
        (None, None) => {
            assert_eq!(total, 1);
            return (MoPart { reference_number: 0, wide: false, total, number }, text.characters);
        }
        (Some(place), None) | (None, Some(place)) => place,
        (Some(_), Some(_)) => panic!("it says its place twice"),
    };
    assert_eq!((place.total, place.part), (total, number));
    let (reference_number, wide) = match place.reference_number {
        ReferenceNumber::Bits8(number) => (number.into(), false),
        ReferenceNumber::Bits16(number) => (number, true),
    };
    (MoPart { reference_number, wide, total, number }, text.characters)
}

/// A passenger's text is understood or answered, and what does not change its meaning changes nothing.
fn check_command(text: &str, passengers_max: u8) {
    static TEXTS: OnceLock<Texts> = OnceLock::new();
    let command = passenger::parse(text, passengers_max);
    if text.chars().count() <= 150 {
        for same in [format!("\u{200B} {text}\r\n"), text.to_ascii_lowercase(), text.to_ascii_uppercase()] {
            assert_eq!(passenger::parse(&same, passengers_max), command, "{same:?}");
        }
    }
    let reply = match &command {
        Ok(Command::Buy { vehicle, zone, passengers }) => {
            assert!((1..=8).contains(&vehicle.as_str().len()));
            assert!(vehicle.as_str().bytes().all(|octet| octet.is_ascii_digit() || octet.is_ascii_uppercase()));
            assert!(*passengers == PASSENGERS_MIN || *passengers <= passengers_max);
            // What was understood is understood again, and the same.
            let zone = zone.map_or_else(String::new, |zone| format!(" {zone}"));
            let again = passenger::parse(&format!("{vehicle}{zone}*{passengers}"), passengers_max.max(PASSENGERS_MIN));
            assert_eq!(again.as_ref(), command.as_ref());
            Message::NotChargedSendAgain { vehicle: vehicle.as_str() }
        }
        Ok(_) => Message::Help,
        Err(error) => error.reply(),
    };
    // Rendering takes longer than all the rest.
    let Some(language) = Language::ALL.get(usize::from(passengers_max % 32)) else { return };
    let rendered = TEXTS.get_or_init(Texts::shipped).render(*language, &reply);
    let units = rendered.encode_utf16().count();
    assert!((1..=reply.key().units_max()).contains(&units), "{units} units: {rendered}");
}
