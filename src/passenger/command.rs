use thiserror::Error;

use super::{
    message::Message,
    spelling::{look_alikes_folded, plain},
};
use crate::{
    language::Language,
    transit::{VehicleCode, VehicleName, Zone},
};

/// A longer SMS is no command, and is not looked at.
const TEXT_LENGTH_MAX: usize = 160;
/// The fewest passengers that a purchase can be for.
pub const PASSENGERS_MIN: u8 = 1;

/// Each word with what it asks for. Words are in one spelling (see `spelling`): Latin letters where Cyrillic ones look the
/// same, so `КАЗ` may be typed with any mixture of both.
const WORDS: [(&[&str], Command); 5] = [
    (&["БИЛЕТ", "BILET", "TICKET"], Command::RepeatTicket),
    (&["ПОМОЩЬ", "ПОМОШЬ", "КӨМЕК", "ИНФО", "HELP", "INFO", "?"], Command::Help),
    (&["КАЗ", "ҚАЗ", "ҚАЗАҚША", "KAZ", "QAZ"], Command::SetLanguage(Language::Kk)),
    (&["РУС", "РУССКИЙ", "ОРЫСША", "RUS"], Command::SetLanguage(Language::Ru)),
    (&["АНГ", "АНГЛ", "ENG", "ENGLISH"], Command::SetLanguage(Language::En)),
];

/// What a passenger asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A ticket, for `passengers` in total (M13: `1234*2` after `1234` buys one more).
    Buy {
        /// The vehicle code or the state plate. Whether there is such a vehicle, the catalogue knows.
        vehicle: VehicleName,
        /// The zone, if one was named: `1234 3`. Whether the vehicle's route has zones, the catalogue knows.
        zone: Option<Zone>,
        /// 1 … the most that is allowed.
        passengers: u8,
    },
    /// The valid ticket once more.
    RepeatTicket,
    /// Answers in this language from now on.
    SetLanguage(Language),
    /// How to use the service.
    Help,
}

/// Why an SMS is no command. [`CommandError::reply`] is what to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// Nothing that can be seen, or punctuation only.
    #[error("the message is empty")]
    Empty,
    /// Longer than any command.
    #[error("the message has more than 160 characters")]
    TooLong,
    /// Neither a word that is known, nor a vehicle code or plate.
    #[error("the message is neither a vehicle code or plate nor a known word")]
    NotACommand,
    /// More than eight digits.
    #[error("a vehicle code has at most 8 digits")]
    CodeTooLong,
    /// What stands behind the asterisk is no number.
    #[error("no number of passengers behind the asterisk")]
    PassengersUnreadable,
    /// `1234*0`, or more than allowed.
    #[error("the number of passengers must be 1 to {passengers_max}")]
    PassengersOutOfRange {
        /// The most that is allowed.
        passengers_max: u8,
    },
}

impl CommandError {
    /// What to tell the passenger.
    pub const fn reply(self) -> Message<'static> {
        match self {
            CommandError::Empty => Message::Help,
            CommandError::PassengersOutOfRange { passengers_max } => Message::TooManyPassengers { passengers_max },
            CommandError::TooLong
            | CommandError::NotACommand
            | CommandError::CodeTooLong
            | CommandError::PassengersUnreadable => Message::WrongCode,
        }
    }
}

/// Reads an SMS to the short number.
///
/// Forgiven: case, blanks and punctuation around, characters that cannot be seen, full-width forms, letters of the other
/// alphabet that look the same. Not forgiven, because it could buy a ticket for another bus: a blank between the digits of a code.
/// Blanks and dashes within a plate are.
///
/// A single digit behind code or plate and a blank is the zone. So `123 4` is zone 4 in bus 123, whatever was meant; in a bus
/// without zones it buys nothing.
///
/// Errors: see [`CommandError`]. `passengers_max` is the most that one purchase may be for.
pub fn parse(text: &str, passengers_max: u8) -> Result<Command, CommandError> {
    if text.chars().nth(TEXT_LENGTH_MAX).is_some() {
        return Err(CommandError::TooLong);
    }
    let plain = plain(text);
    if let Some(command) = word(&plain) {
        return Ok(command);
    }
    let bare = plain.trim_matches(is_punctuation);
    if bare.is_empty() {
        return Err(CommandError::Empty);
    }
    if let Some(command) = word(bare) {
        return Ok(command);
    }
    let (vehicle, passengers) = match bare.split_once('*') {
        Some((vehicle, passengers)) => (vehicle, Some(passengers)),
        None => (bare, None),
    };
    let (vehicle, zone) = vehicle_and_zone(vehicle.trim())?;
    let passengers = passengers.map_or(Ok(PASSENGERS_MIN), |number| passenger_count(number.trim(), passengers_max))?;
    Ok(Command::Buy { vehicle, zone, passengers })
}

fn word(text: &str) -> Option<Command> {
    let folded = look_alikes_folded(text);
    let entry = WORDS.iter().find(|(words, _)| words.iter().any(|word| look_alikes_folded(word) == folded));
    entry.map(|(_, command)| command.clone())
}

/// A code or a plate, and the digit of a zone behind it. No plate is another plate with a digit behind it, so there is one way
/// to read a text.
fn vehicle_and_zone(text: &str) -> Result<(VehicleName, Option<Zone>), CommandError> {
    if let Ok(vehicle) = text.parse() {
        return Ok((vehicle, None));
    }
    if let Some((vehicle, zone)) = text.rsplit_once(' ')
        && let (Ok(vehicle), Ok(zone)) = (vehicle.parse(), zone.parse())
    {
        return Ok((vehicle, Some(zone)));
    }
    let is_long_code = text.len() > VehicleCode::DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
    Err(if is_long_code { CommandError::CodeTooLong } else { CommandError::NotACommand })
}

fn passenger_count(number: &str, passengers_max: u8) -> Result<u8, CommandError> {
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CommandError::PassengersUnreadable);
    }
    // A number that overflows is out of range as well.
    let in_range = number.parse().ok().filter(|count| (PASSENGERS_MIN..=passengers_max).contains(count));
    in_range.ok_or(CommandError::PassengersOutOfRange { passengers_max })
}

/// What may stand around a command. Not the asterisk, which is part of it.
fn is_punctuation(c: char) -> bool {
    c.is_whitespace() || (c != '*' && c.is_ascii_punctuation()) || "«»“”„‘’…№–—·•。、".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buy(vehicle: &str, passengers: u8) -> Result<Command, CommandError> {
        Ok(Command::Buy { vehicle: vehicle.parse().expect("a vehicle"), zone: None, passengers })
    }

    fn buy_to(zone: u8, vehicle: &str, passengers: u8) -> Result<Command, CommandError> {
        let zone = Some(Zone::try_from(zone).expect("a zone"));
        Ok(Command::Buy { vehicle: vehicle.parse().expect("a vehicle"), zone, passengers })
    }

    #[test]
    fn a_code_is_one_to_eight_digits() {
        assert_eq!(parse("1234", 9), buy("1234", 1));
        assert_eq!(parse("7", 9), buy("7", 1));
        assert_eq!(parse("00000123", 9), buy("00000123", 1));
        assert_eq!(parse("123456789", 9), Err(CommandError::CodeTooLong));
    }

    #[test]
    fn passengers_stand_behind_an_asterisk() {
        for text in ["1234*2", "1234 * 2", "1234* 2.", "1234*02", "1234×2", "1234\u{A0}*\u{A0}2"] {
            assert_eq!(parse(text, 9), buy("1234", 2), "{text:?}");
        }
        assert_eq!(parse("1234*9", 9), buy("1234", 9));
        for text in ["1234*0", "1234*10", "1234*999", "1234*99999999999999999999"] {
            assert_eq!(parse(text, 9), Err(CommandError::PassengersOutOfRange { passengers_max: 9 }), "{text:?}");
        }
        for text in ["1234*", "1234*два", "1234*2*3", "1234**2", "1234*-2", "1234*2 3"] {
            assert_eq!(parse(text, 9), Err(CommandError::PassengersUnreadable), "{text:?}");
        }
        assert_eq!(parse("*2", 9), Err(CommandError::NotACommand));
    }

    #[test]
    fn what_phones_and_hasty_people_add_is_forgiven() {
        for text in [
            " 1234 ",
            "1234\r\n",
            "1234.",
            "«1234»!",
            "№1234",
            "#1234",
            "１２３４",
            "\u{FEFF}1234",
            "12\u{200B}34",
            "1234\0",
            "\"1234\"",
            "1\u{FE0F}\u{20E3}2\u{FE0F}\u{20E3}3\u{FE0F}\u{20E3}4\u{FE0F}\u{20E3}",
        ] {
            assert_eq!(parse(text, 9), buy("1234", 1), "{text:?}");
        }
    }

    #[test]
    fn a_blank_within_a_code_is_not_forgiven_for_it_could_be_another_bus() {
        for text in ["12 34", "12-34", "12.34", "1234, 5678", "1234\n5678", "1 2 3 4", "1234 0", "1234 10", "1234 2 3"]
        {
            assert_eq!(parse(text, 9), Err(CommandError::NotACommand), "{text:?}");
        }
    }

    #[test]
    fn a_single_digit_behind_a_blank_is_the_zone() {
        for text in ["1234 3", " 1234  3 ", "1234\n3", "1234 3.", "１２３４\u{a0}３"] {
            assert_eq!(parse(text, 9), buy_to(3, "1234", 1), "{text:?}");
        }
        for text in ["1234 3*2", "1234 3 * 2", "1234 3*02!"] {
            assert_eq!(parse(text, 9), buy_to(3, "1234", 2), "{text:?}");
        }
        for text in ["1234-3", "1234,3", "1234/3", "1234 3 ABC", "3 1234 ABC"] {
            assert_eq!(parse(text, 9), Err(CommandError::NotACommand), "{text:?}");
        }
        assert_eq!(parse("1234*2 3", 9), Err(CommandError::PassengersUnreadable));
    }

    #[test]
    fn a_plate_may_be_followed_by_zone_and_passengers() {
        assert_eq!(parse("123ABC02*2", 9), buy("123ABC02", 2));
        assert_eq!(parse("123 авс 02 2", 9), buy_to(2, "123ABC02", 1));
        assert_eq!(parse("123АВС02 2 * 3", 9), buy_to(2, "123ABC02", 3));
        assert_eq!(parse("а 123 вс 7", 9), buy_to(7, "A123BC", 1));
        // The blanks of a plate are its own.
        assert_eq!(parse("123 ав 0 2", 9), buy("123AB02", 1));
        assert_eq!(parse("123 авс 022", 9), Err(CommandError::NotACommand));
    }

    #[test]
    fn a_plate_is_taken_on_any_keyboard() {
        for text in ["123ABC02", "123 abc 02", "123 авс 02", "123-АBС-02", "123 ABC 02."] {
            assert_eq!(parse(text, 9), buy("123ABC02", 1), "{text:?}");
        }
        assert_eq!(parse("123 авс 02 * 3", 9), buy("123ABC02", 3));
        for text in ["ABCD", "123Ж02", "A1", "ABCDEFGHIJ1", "123ABC", "123ABC21"] {
            assert_eq!(parse(text, 9), Err(CommandError::NotACommand), "{text:?}");
        }
    }

    #[test]
    fn words_are_taken_in_any_case_and_alphabet() {
        use Language::{En, Kk, Ru};
        for (words, command) in [
            (vec!["КАЗ", "каз", "Каз.", "KAZ", "kaz", "қаз", "Қазақша", "Казакша", "KAЗ"], Command::SetLanguage(Kk)),
            (vec!["РУС", "рус", "RUS", "PYC", "русский!"], Command::SetLanguage(Ru)),
            (vec!["ENG", "eng", "ЕNG", "англ"], Command::SetLanguage(En)),
            (vec!["БИЛЕТ", "билет", "Bilet", "ticket", "БИЛET"], Command::RepeatTicket),
            (vec!["ПОМОЩЬ", "help", "Көмек", "комек", "?", " ? "], Command::Help),
        ] {
            for word in words {
                assert_eq!(parse(word, 9), Ok(command.clone()), "{word:?}");
            }
        }
    }

    #[test]
    fn everything_else_gets_an_answer_that_fits() {
        let reply = |text: &str| parse(text, 9).expect_err("no command").reply();
        assert_eq!(reply(""), Message::Help);
        assert_eq!(reply(" ...\u{200B}"), Message::Help);
        assert_eq!(reply("привет"), Message::WrongCode);
        assert_eq!(reply("123456789"), Message::WrongCode);
        assert_eq!(reply("1234*0"), Message::TooManyPassengers { passengers_max: 9 });
        assert_eq!(parse(&"1".repeat(161), 9), Err(CommandError::TooLong));
        assert_eq!(parse("id:1 sub:001 stat:DELIVRD", 9), Err(CommandError::NotACommand));
    }

    #[test]
    fn no_two_words_mean_different_things_once_folded() {
        let folded =
            WORDS.iter().flat_map(|(words, command)| words.iter().map(move |word| (look_alikes_folded(word), command)));
        let all: Vec<_> = folded.collect();
        for (word, command) in &all {
            assert!(all.iter().all(|(other, meaning)| other != word || meaning == command), "{word}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_bought_is_in_bounds(text in "\\PC{0,40}|[0-9 *xA-ZА-Я.]{0,20}", passengers_max: u8) {
            if let Ok(Command::Buy { vehicle, passengers, .. }) = parse(&text, passengers_max) {
                prop_assert!((1..=8).contains(&vehicle.as_str().len()));
                prop_assert!(vehicle.as_str().bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()));
                prop_assert!(passengers >= 1 && (passengers <= passengers_max || !text.contains(['*', '×', '＊', '∗', '✱', '⁎'])));
            }
        }

        #[test]
        fn a_code_and_a_number_are_read_as_written(code in "[0-9]{1,8}", passengers in 1..=9_u8, left in "[ .,!\u{200B}]{0,3}") {
            prop_assert_eq!(parse(&format!("{left}{code} *{passengers}"), 9), buy(&code, passengers));
            prop_assert_eq!(parse(&format!("{left}{code}{left}"), 9), buy(&code, 1));
        }

        #[test]
        fn code_or_plate_zone_and_number_are_read_as_written(
            vehicle in "[0-9]{1,8}|[0-9]{3} ?[A-Z]{2,3}-?(0[1-9]|1[0-9]|20)|[A-Z] ?[0-9]{3} [A-Z]{2,3}",
            zone in 1..=9_u8,
            passengers in 1..=9_u8,
            blanks in " {1,3}",
        ) {
            prop_assert_eq!(parse(&format!("{vehicle}{blanks}{zone}"), 9), buy_to(zone, &vehicle, 1));
            prop_assert_eq!(parse(&format!("{vehicle}{blanks}{zone}*{passengers}"), 9), buy_to(zone, &vehicle, passengers));
            prop_assert_eq!(parse(&format!("{vehicle}*{passengers}"), 9), buy(&vehicle, passengers));
        }
    }
}
