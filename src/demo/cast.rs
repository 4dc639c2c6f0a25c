//! Who rides this morning, and in what. The numbers are examples; nobody is called.

use std::fmt;

use crate::msisdn::Msisdn;

/// The bus of most scenes.
pub(super) const BUS: &str = "1234";
/// Another bus of the same route.
pub(super) const OTHER_BUS: &str = "1235";
/// What a ride on either costs, by the example books.
pub(super) const FARE_TENGE: i64 = 80;

/// Somebody with a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passenger {
    pub(super) name: &'static str,
    e164: u64,
}

impl Passenger {
    const fn new(name: &'static str, e164: u64) -> Passenger {
        Passenger { name, e164 }
    }

    pub(super) fn msisdn(self) -> Msisdn {
        Msisdn::from_e164(self.e164).expect("every number in this file is a mobile number of Kazakhstan")
    }

    /// By the prefix that the number was given out with.
    pub(super) fn carrier(self) -> CarrierId {
        let prefix = self.msisdn().prefix();
        let carrier = CarrierId::ALL.into_iter().find(|carrier| carrier.prefixes().contains(&prefix));
        carrier.expect("every number in this file has a prefix of a carrier of this file")
    }
}

impl fmt::Display for Passenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.carrier().name())
    }
}

/// The carriers of the morning, one of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CarrierId {
    /// SMPP: charges when a message is submitted.
    Kcell,
    /// SMPP: charges when a message has reached the phone.
    Beeline,
    /// CAMARA Carrier Billing: holds the amount, and takes it with a second request.
    Tele2,
    /// A private interface, by profile: says "in progress", and calls back when the money is taken.
    Altel,
}

impl CarrierId {
    pub(super) const ALL: [CarrierId; 4] = [CarrierId::Kcell, CarrierId::Beeline, CarrierId::Tele2, CarrierId::Altel];

    pub(super) const fn name(self) -> &'static str {
        match self {
            CarrierId::Kcell => "kcell",
            CarrierId::Beeline => "beeline",
            CarrierId::Tele2 => "tele2",
            CarrierId::Altel => "altel",
        }
    }

    /// The three digits after +7 by which its numbers were given out.
    pub(super) const fn prefixes(self) -> &'static [u16] {
        match self {
            CarrierId::Kcell => &[701, 702, 775, 778],
            CarrierId::Beeline => &[705, 706, 771, 776, 777],
            CarrierId::Tele2 => &[707, 747],
            CarrierId::Altel => &[700, 708],
        }
    }
}

pub(super) const AIGUL: Passenger = Passenger::new("Aigul", 77_010_000_001);
pub(super) const MARAT: Passenger = Passenger::new("Marat", 77_050_000_001);
pub(super) const DANA: Passenger = Passenger::new("Dana", 77_010_000_002);
pub(super) const EMPTY_PURSE: Passenger = Passenger::new("Gulnara", 77_010_000_106);

/// Of the carriers that are charged over HTTP.
pub(super) const WITH_PASSWORD: Passenger = Passenger::new("Asel", 77_070_000_001);
pub(super) const BY_CALLBACK: Passenger = Passenger::new("Bolat", 77_080_000_001);

/// Those who may not pay, and who knows it: a number list, CAMARA, profiles, the carrier itself.
pub(super) const COMPANY_CAR: Passenger = Passenger::new("Nurlan", 77_010_000_101);
pub(super) const COMPANY_PHONE: Passenger = Passenger::new("Olzhas", 77_470_000_102);
pub(super) const DEBTOR: Passenger = Passenger::new("Saule", 77_000_000_103);
pub(super) const NEVER_TOPPED_UP: Passenger = Passenger::new("Yerlan", 77_770_000_104);
pub(super) const GIFT_BALANCE: Passenger = Passenger::new("Zarina", 77_070_000_105);
pub(super) const NEW_SIM: Passenger = Passenger::new("Timur", 77_020_000_107);
/// Nothing is wrong with her; but nobody says so in time.
pub(super) const UNKNOWN: Passenger = Passenger::new("Alua", 77_050_000_108);

/// Whose carriers have a bad day.
pub(super) const THROTTLED: Passenger = Passenger::new("Askar", 77_010_000_201);
pub(super) const EARLY_RECEIPT: Passenger = Passenger::new("Botagoz", 77_050_000_202);
pub(super) const LATE_RESPONSE: Passenger = Passenger::new("Daniyar", 77_010_000_203);
pub(super) const LOST_RESPONSE: Passenger = Passenger::new("Madina", 77_050_000_204);
pub(super) const EXPIRED_TOKEN: Passenger = Passenger::new("Ruslan", 77_070_000_205);
pub(super) const ERROR_AFTER: Passenger = Passenger::new("Aizhan", 77_070_000_206);
pub(super) const RESET_AFTER: Passenger = Passenger::new("Samat", 77_080_000_207);

/// Writes while the gateway is dead.
pub(super) const DURING_THE_OUTAGE: Passenger = Passenger::new("Karlygash", 77_050_000_301);

/// Those who pay in the moment of the kill, as many at each carrier.
pub(super) fn crowd() -> Vec<Passenger> {
    let numbers = |first: u64| (first..first + 3).map(|number| Passenger::new("Somebody", number));
    [77_010_000_401, 77_050_000_401, 77_070_000_401, 77_080_000_401].into_iter().flat_map(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crowd_is_spread_over_all_carriers() {
        let crowd = crowd();
        for carrier in CarrierId::ALL {
            let there = crowd.iter().filter(|passenger| passenger.carrier() == carrier).count();
            assert_eq!(there, crowd.len() / CarrierId::ALL.len(), "{}", carrier.name());
        }
    }

    #[test]
    fn nobody_shares_a_number_and_everybody_has_a_carrier() {
        let mut all = crowd();
        all.extend([AIGUL, MARAT, DANA, EMPTY_PURSE, WITH_PASSWORD, BY_CALLBACK, DURING_THE_OUTAGE]);
        all.extend([COMPANY_CAR, COMPANY_PHONE, DEBTOR, NEVER_TOPPED_UP, GIFT_BALANCE, NEW_SIM, UNKNOWN]);
        all.extend([THROTTLED, EARLY_RECEIPT, LATE_RESPONSE, LOST_RESPONSE, EXPIRED_TOKEN, ERROR_AFTER, RESET_AFTER]);
        let mut numbers: Vec<u64> = all.iter().map(|passenger| passenger.msisdn().e164()).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
        let carriers: Vec<CarrierId> = all.into_iter().map(Passenger::carrier).collect();
        assert!(CarrierId::ALL.iter().all(|carrier| carriers.contains(carrier)));
    }
}
