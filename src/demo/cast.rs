//! Who rides this morning. The numbers are examples; nobody is called.

use std::fmt;

use crate::msisdn::Msisdn;

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
        match self.msisdn().prefix() {
            701 => CarrierId::Kcell,
            _ => CarrierId::Beeline,
        }
    }
}

impl fmt::Display for Passenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.carrier().name())
    }
}

/// The two carriers of the morning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CarrierId {
    /// Charges when a message is submitted.
    Kcell,
    /// Charges when a message has reached the phone.
    Beeline,
}

impl CarrierId {
    pub(super) const ALL: [CarrierId; 2] = [CarrierId::Kcell, CarrierId::Beeline];

    pub(super) const fn name(self) -> &'static str {
        match self {
            CarrierId::Kcell => "kcell",
            CarrierId::Beeline => "beeline",
        }
    }
}

pub(super) const AIGUL: Passenger = Passenger::new("Aigul", 77_010_000_001);
pub(super) const MARAT: Passenger = Passenger::new("Marat", 77_050_000_001);
pub(super) const DANA: Passenger = Passenger::new("Dana", 77_010_000_002);

/// On the operator's lists.
pub(super) const COMPANY_CAR: Passenger = Passenger::new("Nurlan", 77_010_000_101);
pub(super) const DEBTOR: Passenger = Passenger::new("Saule", 77_010_000_102);
pub(super) const NEW_SIM: Passenger = Passenger::new("Timur", 77_050_000_103);
/// Known to their carriers only.
pub(super) const NEVER_TOPPED_UP: Passenger = Passenger::new("Yerlan", 77_010_000_104);
pub(super) const GIFT_BALANCE: Passenger = Passenger::new("Zarina", 77_050_000_105);
pub(super) const EMPTY_PURSE: Passenger = Passenger::new("Gulnara", 77_010_000_106);

/// Whose carriers have a bad day.
pub(super) const THROTTLED: Passenger = Passenger::new("Askar", 77_010_000_201);
pub(super) const EARLY_RECEIPT: Passenger = Passenger::new("Botagoz", 77_050_000_202);
pub(super) const LATE_RESPONSE: Passenger = Passenger::new("Daniyar", 77_010_000_203);
pub(super) const LOST_RESPONSE: Passenger = Passenger::new("Madina", 77_050_000_204);

/// Writes while the gateway is dead.
pub(super) const DURING_THE_OUTAGE: Passenger = Passenger::new("Karlygash", 77_050_000_301);

/// Those who pay in the moment of the kill, half of them at each carrier.
pub(super) fn crowd() -> Vec<Passenger> {
    let numbers = |first: u64| (first..first + 6).map(|number| Passenger::new("Somebody", number));
    numbers(77_010_000_401).chain(numbers(77_050_000_401)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crowd_is_spread_over_both_carriers() {
        let crowd = crowd();
        for carrier in CarrierId::ALL {
            assert_eq!(crowd.iter().filter(|passenger| passenger.carrier() == carrier).count(), crowd.len() / 2);
        }
    }
}
