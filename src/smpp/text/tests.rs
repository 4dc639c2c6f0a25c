use proptest::prelude::*;

use super::*;

/// Every character of the GSM alphabet, extension table included.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                   abcdefghijklmnopqrstuvwxyzäöñüà\u{C}^{}\\[~]|€";

fn read(data_coding: u8, octets: &[u8]) -> Text {
    match decode(data_coding, DefaultAlphabet::GsmUnpacked, octets) {
        Content::Text(text) => text,
        Content::Binary(octets) => panic!("no text: {octets:?}"),
    }
}

#[test]
fn the_gsm_alphabet_has_137_characters_and_each_comes_back() {
    assert_eq!(GSM.chars().count(), 137);
    let octets = encode(GSM, Alphabet::GsmUnpacked).expect("all are in the alphabet");
    assert_eq!(octets.len(), 127 + 2 * 10);
    let text = read(0, &octets);
    assert_eq!((text.characters.as_str(), text.flawed), (GSM, false));
}

#[test]
fn known_octets_of_the_gsm_alphabet() {
    assert_eq!(encode("a@€", Alphabet::GsmUnpacked), Ok(vec![0x61, 0x00, 0x1B, 0x65]));
    // The example that every description of the packing uses.
    assert_eq!(encode("hellohello", Alphabet::GsmPacked).map(hex), Ok("E8329BFD4697D9EC37".into()));
}

#[test]
fn seven_septets_are_padded_and_the_padding_is_taken_off() {
    let octets = encode("1234567", Alphabet::GsmPacked).expect("digits");
    assert_eq!(octets.len(), 7);
    let packed = |octets: &[u8]| decode(0, DefaultAlphabet::GsmPacked, octets).text().map(str::to_owned);
    assert_eq!(packed(&octets).as_deref(), Some("1234567"));
    // Phones pad with zeros, which would read `@`.
    let mut zeroed = octets.clone();
    zeroed[6] &= 0x01;
    assert_eq!(packed(&zeroed).as_deref(), Some("1234567"));
    assert_eq!(packed(&encode("12345678", Alphabet::GsmPacked).expect("digits")).as_deref(), Some("12345678"));
}

#[test]
fn kazakh_and_russian_letters_are_not_in_the_gsm_alphabet() {
    for (text, character, position) in [("Билет", 'Б', 0), ("1234 ә", 'ә', 5), ("ç", 'ç', 0)] {
        let missing = Unrepresentable { character, position, alphabet: Alphabet::GsmUnpacked };
        assert_eq!(encode(text, Alphabet::GsmUnpacked), Err(missing));
    }
    assert!(encode("Қ", Alphabet::Cyrillic).is_err());
    assert!(encode("€", Alphabet::Latin1).is_err());
    assert!(encode("é", Alphabet::Ascii).is_err());
}

#[test]
fn an_unknown_extension_shows_the_basic_character() {
    let text = read(0, &[0x1B, 0x41, 0x1B, 0x1B, 0x42, 0x1B]);
    assert_eq!((text.characters.as_str(), text.flawed), ("A B", true));
}

#[test]
fn an_octet_that_is_no_septet_is_a_flaw_and_not_an_error() {
    let text = read(0, &[0x31, 0x80, 0x32]);
    assert_eq!((text.characters.as_str(), text.flawed), ("1\u{FFFD}2", true));
}

#[test]
fn ucs2_is_read_whatever_is_wrong_with_it() {
    let cases: [(&[u8], &str, bool); 7] = [
        (&[0x04, 0x11, 0x00, 0x31], "Б1", false),
        (&[0xFE, 0xFF, 0x04, 0x11], "Б", false),
        (&[0xFF, 0xFE, 0x11, 0x04], "Б", true),
        (&[0x00, 0x31, 0x00], "1", true),
        (&[0xD8, 0x3D, 0xDE, 0x8C], "🚌", false),
        (&[0xD8, 0x3D, 0x00, 0x31], "\u{FFFD}1", true),
        (&[], "", false),
    ];
    for (octets, characters, flawed) in cases {
        let text = read(8, octets);
        assert_eq!((text.characters.as_str(), text.flawed), (characters, flawed), "{octets:02X?}");
    }
}

#[test]
fn data_coding_names_the_alphabet() {
    let alphabet = |data_coding, default| match decode(data_coding, default, b"1") {
        Content::Text(text) => Some(text.alphabet),
        Content::Binary(_) => None,
    };
    let unpacked = DefaultAlphabet::GsmUnpacked;
    for (data_coding, expected) in [
        (0x00, Some(Alphabet::GsmUnpacked)),
        (0x01, Some(Alphabet::Ascii)),
        (0x02, None),
        (0x03, Some(Alphabet::Latin1)),
        (0x04, None),
        (0x05, None),
        (0x06, Some(Alphabet::Cyrillic)),
        (0x08, Some(Alphabet::Ucs2)),
        (0x0E, None),
        (0x10, Some(Alphabet::GsmUnpacked)),
        (0x11, Some(Alphabet::GsmUnpacked)),
        (0x15, None),
        (0x18, Some(Alphabet::Ucs2)),
        (0x1C, None),
        (0x30, None),
        (0x80, None),
        (0xC8, Some(Alphabet::GsmUnpacked)),
        (0xE0, Some(Alphabet::Ucs2)),
        (0xF0, Some(Alphabet::GsmUnpacked)),
        (0xF1, Some(Alphabet::GsmUnpacked)),
        (0xF5, None),
    ] {
        assert_eq!(alphabet(data_coding, unpacked), expected, "{data_coding:#04X}");
    }
    assert_eq!(alphabet(0x00, DefaultAlphabet::Latin1), Some(Alphabet::Latin1));
    assert_eq!(alphabet(0x00, DefaultAlphabet::Ascii), Some(Alphabet::Ascii));
    assert_eq!(alphabet(0xF0, DefaultAlphabet::Latin1), Some(Alphabet::GsmUnpacked));
    assert_eq!(alphabet(0xF0, DefaultAlphabet::GsmPacked), Some(Alphabet::GsmPacked));
}

#[test]
fn binary_is_kept_as_it_came() {
    assert_eq!(decode(0x04, DefaultAlphabet::default(), &[0, 255, 7]), Content::Binary(vec![0, 255, 7]));
}

#[test]
fn iso_8859_5_has_the_russian_letters() {
    let octets = [0xB1, 0xD8, 0xDB, 0xD5, 0xE2, 0xF1, 0xF0, 0xFD];
    assert_eq!(read(6, &octets).characters, "Билетё№§");
    assert_eq!(encode("Билетё№§", Alphabet::Cyrillic), Ok(octets.to_vec()));
}

#[test]
fn a_header_is_taken_off_and_its_concatenation_read() {
    let eight = [5, 0, 3, 0x2A, 2, 1, b'1', b'2'];
    let (header, content) = decode_message(0x40, 0, DefaultAlphabet::default(), &eight);
    let concatenation = Concatenation { reference_number: ReferenceNumber::Bits8(0x2A), total: 2, part: 1 };
    assert_eq!(header, Some(UserDataHeader { octets: 6, concatenation: Some(concatenation), flawed: false }));
    assert_eq!(content.text(), Some("12"));

    // Port addressing first, then a 16-bit reference.
    let sixteen = [12, 5, 4, 0, 1, 0, 2, 8, 4, 0x01, 0x02, 3, 3, b'9'];
    let (header, content) = decode_message(0x40, 0, DefaultAlphabet::default(), &sixteen);
    let concatenation = header.and_then(|header| header.concatenation).expect("it is there");
    assert_eq!(concatenation.reference_number, ReferenceNumber::Bits16(0x0102));
    assert_eq!((concatenation.total, concatenation.part, content.text()), (3, 3, Some("9")));
}

#[test]
fn a_header_is_not_looked_for_where_esm_class_announces_none() {
    let (header, content) = decode_message(0x00, 3, DefaultAlphabet::default(), &[5, 0, 3, 1, 2, 1, b'1']);
    assert_eq!(header, None);
    assert_eq!(content.text().map(str::len), Some(7));
}

#[test]
fn a_header_that_lies_about_itself_costs_no_text() {
    let (header, content) = decode_message(0x40, 0, DefaultAlphabet::default(), b"1234");
    assert_eq!(header, None);
    assert_eq!(content.text(), Some("1234"));
    assert!(matches!(content, Content::Text(Text { flawed: true, .. })));

    for nonsense in
        [[5, 0, 3, 1, 2, 0, b'1'], [5, 0, 3, 1, 2, 3, b'1'], [5, 0, 9, 1, 2, 1, b'1'], [5, 0, 2, 1, 2, 1, b'1']]
    {
        let (header, content) = decode_message(0x40, 0, DefaultAlphabet::default(), &nonsense);
        let header = header.expect("its length is right");
        assert_eq!((header.concatenation, header.flawed, content.text()), (None, true, Some("1")), "{nonsense:?}");
    }
}

#[test]
fn sar_says_the_same_as_a_header() {
    assert_eq!(Concatenation::from_sar(7, 2, 3), None);
    assert_eq!(Concatenation::from_sar(7, 0, 0), None);
    let sar = Concatenation::from_sar(0x1234, 2, 2).expect("part 2 of 2");
    let message = [sar.to_header(), vec![b'x']].concat();
    let (header, body) = UserDataHeader::split(&message).expect("a header");
    assert_eq!((header.concatenation, body), (Some(sar), b"x".as_slice()));
}

#[test]
fn segments_are_counted_as_the_air_counts_them() {
    let gsm =
        |text: &str| (segments(text).alphabet == Alphabet::GsmPacked, segments(text).units, segments(text).segments);
    assert_eq!(gsm(""), (true, 0, 1));
    assert_eq!(gsm(&"a".repeat(160)), (true, 160, 1));
    assert_eq!(gsm(&"a".repeat(161)), (true, 161, 2));
    assert_eq!(gsm(&"€".repeat(80)), (true, 160, 1));
    assert_eq!(gsm(&"a".repeat(304)), (true, 304, 2));
    assert_eq!(gsm(&"a".repeat(305)), (true, 305, 3));
    assert_eq!(gsm(&"қ".repeat(70)), (false, 70, 1));
    assert_eq!(gsm(&"қ".repeat(71)), (false, 71, 2));
    assert_eq!(gsm(&"қ".repeat(132)), (false, 132, 2));
    assert_eq!(gsm(&"қ".repeat(133)), (false, 133, 3));
    // A pair that would be cut moves to the next segment, and so a third is needed.
    assert_eq!(gsm(&format!("қ{}қ", "🚌".repeat(65))), (false, 132, 3));
}

#[test]
fn a_short_text_is_sent_whole_and_a_long_one_with_headers() {
    let short = split_message("Билет", DefaultAlphabet::GsmUnpacked, PartMark::Header, 9, 2).expect("one part");
    assert_eq!(short.len(), 1);
    assert_eq!((short[0].esm_class, short[0].data_coding, short[0].short_message.len()), (0, 8, 10));

    let long =
        split_message(&"б".repeat(100), DefaultAlphabet::GsmUnpacked, PartMark::Header, 0x1209, 2).expect("two parts");
    assert_eq!(long.iter().map(|part| part.short_message.len()).collect::<Vec<_>>(), [7 + 132, 7 + 68]);
    assert_eq!(long[0].short_message[..7], [6, 8, 4, 0x12, 9, 2, 1]);
    assert!(long.iter().all(|part| part.esm_class == 0x40 && part.short_message.len() <= 140));
    let too_many = TooManySegments { segments: 3, segments_max: 2 };
    assert_eq!(split_message(&"б".repeat(133), DefaultAlphabet::GsmUnpacked, PartMark::Header, 9, 2), Err(too_many));
}

#[test]
fn a_text_goes_in_the_default_alphabet_only_if_the_air_has_it_too() {
    let data_coding =
        |text: &str, default| split_message(text, default, PartMark::Header, 0, 9).expect("short")[0].data_coding;
    assert_eq!(data_coding("100 €", DefaultAlphabet::GsmUnpacked), 0);
    assert_eq!(data_coding("100 €", DefaultAlphabet::Latin1), 8);
    assert_eq!(data_coding("£5", DefaultAlphabet::Latin1), 0);
    assert_eq!(data_coding("£5", DefaultAlphabet::Ascii), 8);
    assert_eq!(data_coding("â", DefaultAlphabet::Latin1), 8);
}

fn hex(octets: Vec<u8>) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

fn text_of(characters: &'static str) -> impl Strategy<Value = String> {
    let characters: Vec<char> = characters.chars().collect();
    prop::collection::vec(prop::sample::select(characters), 0..400).prop_map(String::from_iter)
}

fn any_default() -> impl Strategy<Value = DefaultAlphabet> {
    use DefaultAlphabet::*;
    prop::sample::select(vec![GsmUnpacked, GsmPacked, Latin1, Ascii])
}

proptest! {
    #[test]
    fn gsm_text_comes_back(text in text_of(GSM)) {
        let octets = encode(&text, Alphabet::GsmUnpacked).expect("all are in the alphabet");
        let back = read(0, &octets);
        prop_assert_eq!((back.characters, back.flawed), (text, false));
    }

    #[test]
    fn packed_gsm_text_comes_back(text in text_of(GSM)) {
        let septets = segments(&text).units;
        // The one ambiguity of the packing without a length in septets.
        prop_assume!(!septets.is_multiple_of(8) || !text.ends_with(['@', '\r']));
        let octets = encode(&text, Alphabet::GsmPacked).expect("all are in the alphabet");
        prop_assert_eq!(octets.len(), (septets * 7).div_ceil(8));
        let back = decode(0, DefaultAlphabet::GsmPacked, &octets);
        prop_assert_eq!(back.text(), Some(text.as_str()));
    }

    #[test]
    fn ucs2_text_comes_back(text in ".{0,200}") {
        let text = text.trim_start_matches(['\u{FEFF}', '\u{FFFE}']).to_owned();
        let back = read(8, &encode(&text, Alphabet::Ucs2).expect("UCS-2 takes every text"));
        prop_assert_eq!((back.characters, back.flawed), (text, false));
    }

    #[test]
    fn single_octet_text_comes_back(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        for (data_coding, alphabet) in [(3, Alphabet::Latin1), (6, Alphabet::Cyrillic)] {
            let text = read(data_coding, &octets);
            prop_assert_eq!(encode(&text.characters, alphabet), Ok(octets.clone()));
        }
        let ascii: Vec<u8> = octets.iter().map(|octet| octet & 0x7F).collect();
        prop_assert_eq!(encode(&read(1, &ascii).characters, Alphabet::Ascii), Ok(ascii));
    }

    #[test]
    fn no_octets_panic_and_no_text_grows_out_of_hand(
        esm_class: u8, data_coding: u8, default in any_default(), octets in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (header, content) = decode_message(esm_class, data_coding, default, &octets);
        prop_assert!(header.is_none_or(|header| header.octets <= octets.len()));
        match content {
            Content::Text(text) => prop_assert!(text.characters.chars().count() <= octets.len() * 8 / 7),
            Content::Binary(kept) => prop_assert!(octets.ends_with(&kept)),
        }
    }

    #[test]
    fn the_parts_of_a_text_fit_the_air_and_make_the_text_again(
        text in prop_oneof![".{0,400}", text_of(GSM), text_of("абвқә🚌1 ")],
        default in any_default(),
        mark in prop::sample::select(vec![PartMark::Header, PartMark::ShortHeader, PartMark::Sar]),
        reference_number: u16,
    ) {
        // What no receiver can tell from padding, or from a byte order mark; see the tests above.
        let text = text.replace(['@', '\r', '\u{FEFF}', '\u{FFFE}'], "");
        let parts = split_message(&text, default, mark, reference_number, u8::MAX).expect("short enough");
        let ucs2 = parts[0].data_coding == 8;
        if default == DefaultAlphabet::GsmUnpacked {
            prop_assert_eq!(parts.len(), segments(&text).segments);
        }
        let octets_max = if ucs2 || default == DefaultAlphabet::GsmPacked { 140 } else { 160 };
        let total = u8::try_from(parts.len()).expect("at most 255");
        let mut joined = String::new();
        for (number, part) in (1..).zip(&parts) {
            prop_assert!(part.short_message.len() <= octets_max);
            let (header, content) = decode_message(part.esm_class, part.data_coding, default, &part.short_message);
            let by_header = header.and_then(|header| header.concatenation).map(|place| (place.total, place.part));
            let by_sar = part.sar.map(|sar| (sar.total, sar.part));
            let place = (total > 1).then_some((total, number));
            let expected = if mark == PartMark::Sar { (None, place) } else { (place, None) };
            prop_assert_eq!((by_header, by_sar), expected);
            joined += content.text().expect("a text");
        }
        prop_assert_eq!(&joined, &text);
        let (data_coding, octets) = encode_message(&text, default);
        let whole = decode(data_coding, default, &octets);
        prop_assert_eq!((data_coding, whole.text()), (parts[0].data_coding, Some(text.as_str())));
    }
}
