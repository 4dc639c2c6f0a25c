use std::fmt;

use jiff::civil::Time;
use minijinja::Value;

use crate::{
    charge::Reason,
    language::Language,
    money::{Currency, Money},
    transit::Zone,
};

/// What a ticket's SMS shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketText<'a> {
    /// The short code, 8 characters.
    pub code: &'a str,
    /// The vehicle code.
    pub vehicle: &'a str,
    /// The route's name, as on the bus.
    pub route: &'a str,
    /// In total.
    pub passengers: u8,
    /// For all of them.
    pub amount: Money,
    /// When the ticket ends, in the city's time zone.
    pub valid_until: Time,
}

/// One answer to a passenger, with what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The ticket.
    Ticket(TicketText<'a>),
    /// The ticket once more: asked for by `БИЛЕТ`, or bought again within the repeat window.
    TicketRepeat(TicketText<'a>),
    /// A charge for the same vehicle is in doubt or under way (M12).
    Processing {
        /// The vehicle code.
        vehicle: &'a str,
    },
    /// The SMS could not be read.
    WrongCode,
    /// Declined by our rules, or rejected by the carrier. Nothing was charged.
    Declined {
        /// Why.
        reason: Reason,
        /// The vehicle, as the passenger named it.
        vehicle: &'a str,
    },
    /// The SMS came after an outage, too late to be charged for.
    NotChargedSendAgain {
        /// The vehicle, as the passenger named it.
        vehicle: &'a str,
    },
    /// A part of a long SMS never came. Nothing was charged.
    Incomplete,
    /// The ticket service was asked, and did not sell in time. Nothing was charged.
    NotSold {
        /// The vehicle, as the passenger named it.
        vehicle: &'a str,
    },
    /// Bought again within the repeat window, to another zone. Nothing more was charged, and the ticket stays what it is.
    OtherZone {
        /// The vehicle code.
        vehicle: &'a str,
        /// The zone that was paid for.
        zone: Zone,
    },
    /// The charge came through after its ticket deadline and is given back (M11).
    RefundedLate {
        /// The vehicle code.
        vehicle: &'a str,
        /// What is given back.
        amount: Money,
    },
    /// The charge came through after its ticket deadline, and the carrier cannot give it back: it is owed (M11).
    OwedLate {
        /// The vehicle code.
        vehicle: &'a str,
        /// What is owed.
        amount: Money,
    },
    /// Somebody gives money back.
    Refund {
        /// The vehicle code.
        vehicle: &'a str,
        /// What is given back.
        amount: Money,
        /// Whether the ticket is no longer valid.
        whole: bool,
    },
    /// The carrier did not give money back after all: it is owed.
    RefundOwed {
        /// The vehicle code.
        vehicle: &'a str,
        /// What is owed.
        amount: Money,
    },
    /// The language was changed; said in the new one.
    LanguageSet,
    /// `БИЛЕТ`, and there is no valid ticket.
    NoTicket,
    /// The number of passengers is out of range.
    TooManyPassengers {
        /// The most that is allowed.
        passengers_max: u8,
    },
    /// How to use the service.
    Help,
    /// The charged message itself. It carries no ticket, because it comes whether or not the charge is settled.
    ChargedMt {
        /// The vehicle code.
        vehicle: &'a str,
        /// What is charged.
        amount: Money,
    },
}

/// The name of a text, as in the file of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextKey {
    /// `ticket`
    Ticket,
    /// `ticket_repeat`
    TicketRepeat,
    /// `processing`
    Processing,
    /// `wrong_code`
    WrongCode,
    /// `declined_` and the reason's code
    Declined(Reason),
    /// `not_charged_send_again`
    NotChargedSendAgain,
    /// `incomplete`
    Incomplete,
    /// `not_sold`
    NotSold,
    /// `other_zone`
    OtherZone,
    /// `refunded_late`
    RefundedLate,
    /// `owed_late`
    OwedLate,
    /// `refund`
    Refund,
    /// `refund_part`
    RefundPart,
    /// `refund_owed`
    RefundOwed,
    /// `language_set`
    LanguageSet,
    /// `no_ticket`
    NoTicket,
    /// `too_many_passengers`
    TooManyPassengers,
    /// `help`
    Help,
    /// `charged_mt`
    ChargedMt,
}

impl TextKey {
    /// Every key, in the order of the file.
    pub fn all() -> impl Iterator<Item = TextKey> {
        let plain = [
            TextKey::Ticket,
            TextKey::TicketRepeat,
            TextKey::ChargedMt,
            TextKey::Processing,
            TextKey::WrongCode,
            TextKey::TooManyPassengers,
            TextKey::NoTicket,
            TextKey::NotChargedSendAgain,
            TextKey::Incomplete,
            TextKey::NotSold,
            TextKey::OtherZone,
            TextKey::RefundedLate,
            TextKey::OwedLate,
            TextKey::Refund,
            TextKey::RefundPart,
            TextKey::RefundOwed,
            TextKey::LanguageSet,
            TextKey::Help,
        ];
        plain.into_iter().chain(Reason::ALL.into_iter().map(TextKey::Declined))
    }

    /// The most UTF-16 units that the text may take: 70 are one segment, 132 are two.
    ///
    /// The ticket has one, so that it arrives whole or not at all, and so has what is said of money; the charged message has one,
    /// because each segment of it would be charged for.
    pub const fn units_max(self) -> usize {
        match self {
            TextKey::Ticket | TextKey::TicketRepeat | TextKey::ChargedMt => 70,
            TextKey::RefundedLate | TextKey::OwedLate | TextKey::Refund | TextKey::RefundPart | TextKey::RefundOwed => {
                70
            }
            _ => 132,
        }
    }

    /// The variables that the text must show, each any one of a group.
    pub(super) const fn variables_required(self) -> &'static [&'static [&'static str]] {
        match self {
            TextKey::Ticket | TextKey::TicketRepeat => {
                &[&["code"], &["vehicle"], &["route"], &["passengers"], &["amount"], &["valid_until", "valid_until_kk"]]
            }
            TextKey::TooManyPassengers => &[&["passengers_max"]],
            TextKey::RefundedLate | TextKey::OwedLate | TextKey::Refund | TextKey::RefundPart | TextKey::RefundOwed => {
                &[&["amount"]]
            }
            TextKey::OtherZone => &[&["zone"]],
            _ => &[],
        }
    }

    /// Messages with this key to try a text on: an ordinary one, and the longest that there can be.
    pub(super) fn samples(self) -> [Message<'static>; 2] {
        // Digits have one width; a Cyrillic letter in the route's name makes the text UCS-2.
        let ordinary = TicketText {
            code: "7K3M9QXZ",
            vehicle: "1234",
            route: "92",
            passengers: 1,
            amount: Money::kzt(8_000),
            valid_until: Time::constant(8, 5, 0, 0),
        };
        let longest = TicketText {
            code: "7K3M9QXZ",
            vehicle: "88888888",
            route: "139А",
            passengers: 9,
            amount: Money::kzt(162_000),
            valid_until: Time::constant(23, 59, 0, 0),
        };
        // What a passenger names may be a plate.
        [(ordinary, "1234", 1), (longest, "8888888888", 99)].map(|(ticket, named, passengers_max)| {
            let TicketText { vehicle, amount, .. } = ticket;
            // Of a part, the minor units may be shown too.
            let part = Money::new(amount.minor - 1, amount.currency);
            match self {
                TextKey::Ticket => Message::Ticket(ticket),
                TextKey::TicketRepeat => Message::TicketRepeat(ticket),
                TextKey::Processing => Message::Processing { vehicle },
                TextKey::WrongCode => Message::WrongCode,
                TextKey::Declined(reason) => Message::Declined { reason, vehicle: named },
                TextKey::NotChargedSendAgain => Message::NotChargedSendAgain { vehicle: named },
                TextKey::Incomplete => Message::Incomplete,
                TextKey::NotSold => Message::NotSold { vehicle: named },
                TextKey::OtherZone => Message::OtherZone { vehicle, zone: Zone::LAST },
                TextKey::RefundedLate => Message::RefundedLate { vehicle, amount },
                TextKey::OwedLate => Message::OwedLate { vehicle, amount },
                TextKey::Refund => Message::Refund { vehicle, amount: part, whole: true },
                TextKey::RefundPart => Message::Refund { vehicle, amount: part, whole: false },
                TextKey::RefundOwed => Message::RefundOwed { vehicle, amount: part },
                TextKey::LanguageSet => Message::LanguageSet,
                TextKey::NoTicket => Message::NoTicket,
                TextKey::TooManyPassengers => Message::TooManyPassengers { passengers_max },
                TextKey::Help => Message::Help,
                TextKey::ChargedMt => Message::ChargedMt { vehicle, amount },
            }
        })
    }
}

impl fmt::Display for TextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TextKey::Ticket => "ticket",
            TextKey::TicketRepeat => "ticket_repeat",
            TextKey::Processing => "processing",
            TextKey::WrongCode => "wrong_code",
            TextKey::Declined(reason) => return write!(f, "declined_{reason}"),
            TextKey::NotChargedSendAgain => "not_charged_send_again",
            TextKey::Incomplete => "incomplete",
            TextKey::NotSold => "not_sold",
            TextKey::OtherZone => "other_zone",
            TextKey::RefundedLate => "refunded_late",
            TextKey::OwedLate => "owed_late",
            TextKey::Refund => "refund",
            TextKey::RefundPart => "refund_part",
            TextKey::RefundOwed => "refund_owed",
            TextKey::LanguageSet => "language_set",
            TextKey::NoTicket => "no_ticket",
            TextKey::TooManyPassengers => "too_many_passengers",
            TextKey::Help => "help",
            TextKey::ChargedMt => "charged_mt",
        })
    }
}

impl Message<'_> {
    /// The name of its text.
    pub const fn key(&self) -> TextKey {
        match self {
            Message::Ticket(_) => TextKey::Ticket,
            Message::TicketRepeat(_) => TextKey::TicketRepeat,
            Message::Processing { .. } => TextKey::Processing,
            Message::WrongCode => TextKey::WrongCode,
            Message::Declined { reason, .. } => TextKey::Declined(*reason),
            Message::NotChargedSendAgain { .. } => TextKey::NotChargedSendAgain,
            Message::Incomplete => TextKey::Incomplete,
            Message::NotSold { .. } => TextKey::NotSold,
            Message::OtherZone { .. } => TextKey::OtherZone,
            Message::RefundedLate { .. } => TextKey::RefundedLate,
            Message::OwedLate { .. } => TextKey::OwedLate,
            Message::Refund { whole: true, .. } => TextKey::Refund,
            Message::Refund { whole: false, .. } => TextKey::RefundPart,
            Message::RefundOwed { .. } => TextKey::RefundOwed,
            Message::LanguageSet => TextKey::LanguageSet,
            Message::NoTicket => TextKey::NoTicket,
            Message::TooManyPassengers { .. } => TextKey::TooManyPassengers,
            Message::Help => TextKey::Help,
            Message::ChargedMt { .. } => TextKey::ChargedMt,
        }
    }

    /// What its text can show, by name.
    pub(super) fn variables(&self, language: Language) -> Vec<(&'static str, Value)> {
        match self {
            Message::Ticket(ticket) | Message::TicketRepeat(ticket) => {
                let TicketText { code, vehicle, route, passengers, amount, valid_until } = *ticket;
                let hh_mm = format!("{:02}:{:02}", valid_until.hour(), valid_until.minute());
                vec![
                    ("code", Value::from(code)),
                    ("vehicle", Value::from(vehicle)),
                    ("route", Value::from(route)),
                    ("passengers", Value::from(passengers)),
                    ("amount", Value::from(amount.major())),
                    ("currency", Value::from(currency(amount.currency, language))),
                    ("valid_until_kk", Value::from(format!("{hh_mm}-{}", kazakh_dative(valid_until.minute())))),
                    ("valid_until", Value::from(hh_mm)),
                ]
            }
            Message::RefundedLate { vehicle, amount }
            | Message::OwedLate { vehicle, amount }
            | Message::Refund { vehicle, amount, .. }
            | Message::RefundOwed { vehicle, amount }
            | Message::ChargedMt { vehicle, amount } => vec![
                ("vehicle", Value::from(*vehicle)),
                ("amount", Value::from(amount.major())),
                ("currency", Value::from(currency(amount.currency, language))),
            ],
            Message::Processing { vehicle }
            | Message::Declined { vehicle, .. }
            | Message::NotChargedSendAgain { vehicle }
            | Message::NotSold { vehicle } => vec![("vehicle", Value::from(*vehicle))],
            Message::OtherZone { vehicle, zone } => {
                vec![("vehicle", Value::from(*vehicle)), ("zone", Value::from(zone.number()))]
            }
            Message::TooManyPassengers { passengers_max } => vec![("passengers_max", Value::from(*passengers_max))],
            Message::WrongCode | Message::Incomplete | Message::LanguageSet | Message::NoTicket | Message::Help => {
                Vec::new()
            }
        }
    }
}

/// The currency as it is written behind an amount.
const fn currency(currency: Currency, language: Language) -> &'static str {
    match (currency, language) {
        (Currency::Kzt, Language::Kk | Language::Ru) => "тг",
        (currency, _) => currency.code(),
    }
}

/// The ending of "until" behind a time of day in Kazakh, by the last word of its minutes as they are read aloud: 14:05-ке, 14:40-қа.
const fn kazakh_dative(minute: i8) -> &'static str {
    match (minute / 10, minute % 10) {
        // үш, төрт, бес
        (_, 3..=5) => "ке",
        // алты, тоғыз; он, жиырма, отыз
        (_, 6 | 9) | (1..=3, 0) => "ға",
        // қырық
        (4, 0) => "қа",
        // нөл, бір, екі, жеті, сегіз, елу
        _ => "ге",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kazakh_ending_follows_the_last_word_of_the_minutes() {
        for (minutes, ending) in
            [("0 1 2 7 8 21 50 58", "ге"), ("3 4 5 13 34 55", "ке"), ("6 9 10 19 20 30 36 59", "ға"), ("40", "қа")]
        {
            for minute in minutes.split(' ') {
                assert_eq!(kazakh_dative(minute.parse().expect("a minute")), ending, "{minute}");
            }
        }
    }

    #[test]
    fn a_sample_has_the_key_that_it_is_for_and_keys_are_unique() {
        let mut names: Vec<String> = TextKey::all().map(|key| key.to_string()).collect();
        for key in TextKey::all() {
            assert!(key.samples().iter().all(|sample| sample.key() == key));
        }
        assert_eq!(names.len(), 44);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 44);
    }
}
