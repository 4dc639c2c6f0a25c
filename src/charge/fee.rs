use serde::{Deserialize, Serialize};

use crate::money::Percentage;

/// What the carrier keeps of what it takes for us, as its contract says on the day on which an attempt is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// Its share of the amount.
    pub percent: Percentage,
    /// What it keeps of each payment besides, in minor units.
    #[serde(default)]
    pub fixed_minor: i64,
    /// The tax that it adds to its fee.
    #[serde(default)]
    pub vat: Percentage,
    /// Whether it gives its fee back for what is refunded.
    #[serde(default)]
    pub returned: bool,
}

impl Fee {
    /// The fee and the tax on it, in minor units, for a payment of which `taken` was taken and `given_back` went back. Together
    /// never more than what it is counted from.
    pub fn of(&self, taken: i64, given_back: i64) -> (i64, i64) {
        let base = if self.returned { taken - given_back } else { taken };
        if base <= 0 {
            return (0, 0);
        }
        let fee = self.percent.of(base).saturating_add(self.fixed_minor).clamp(0, base);
        (fee, self.vat.of(fee).min(base - fee))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fee(returned: bool) -> Fee {
        Fee { percent: "5".parse().unwrap(), fixed_minor: 100, vat: "12".parse().unwrap(), returned }
    }

    #[test]
    fn a_fee_is_a_share_and_a_fixed_part_with_tax_on_both() {
        assert_eq!(fee(false).of(8_000, 0), (500, 60));
        assert_eq!(fee(false).of(0, 0), (0, 0));
    }

    #[test]
    fn what_goes_back_takes_the_fee_with_it_only_where_the_contract_says_so() {
        assert_eq!(fee(false).of(8_000, 8_000), (500, 60));
        assert_eq!(fee(true).of(8_000, 8_000), (0, 0));
        assert_eq!(fee(true).of(8_000, 6_000), (200, 24));
    }

    #[test]
    fn a_carrier_never_keeps_more_than_it_took() {
        assert_eq!(fee(false).of(80, 0), (80, 0));
        assert_eq!(fee(false).of(110, 0), (106, 4));
    }
}
