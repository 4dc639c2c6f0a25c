//! Which carrier a number belongs to. The bind on which a message arrived is the truth; for the rest the prefix is a hint,
//! because numbers have moved between carriers since 2016.

use std::collections::HashMap;

use crate::{charge::CarrierName, msisdn::Msisdn};

/// The prefix table: the three digits after +7 by which numbers were given out.
#[derive(Clone, Debug, Default)]
pub struct PrefixTable(HashMap<u16, CarrierName>);

impl PrefixTable {
    /// From the prefixes of each carrier. Errors: a prefix that two carriers claim, or one that is no mobile prefix.
    pub fn new<'a>(carriers: impl IntoIterator<Item = (&'a CarrierName, &'a [u16])>) -> Result<PrefixTable, String> {
        let mut table: HashMap<u16, CarrierName> = HashMap::new();
        for (carrier, prefixes) in carriers {
            for prefix in prefixes {
                if !(700..=799).contains(prefix) {
                    return Err(format!("carriers.{carrier}.prefixes: {prefix} is not between 700 and 799"));
                }
                if let Some(other) = table.insert(*prefix, carrier.clone())
                    && other != *carrier
                {
                    return Err(format!("carriers.{carrier}.prefixes: {prefix} is also claimed by {other}"));
                }
            }
        }
        Ok(PrefixTable(table))
    }

    /// The carrier that this number was first given out by.
    pub fn carrier(&self, msisdn: Msisdn) -> Option<&CarrierName> {
        self.0.get(&msisdn.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CarrierName {
        text.parse().expect("a name")
    }

    #[test]
    fn a_prefix_points_to_the_carrier_that_gave_it_out() {
        let (kcell, tele2) = (name("kcell"), name("tele2"));
        let table = PrefixTable::new([(&kcell, &[701, 702][..]), (&tele2, &[747][..])]).expect("no overlap");
        let carrier = |number: &str| table.carrier(number.parse().expect("a number"));
        assert_eq!(carrier("+77011234567"), Some(&kcell));
        assert_eq!(carrier("+77471234567"), Some(&tele2));
        assert_eq!(carrier("+77051234567"), None);
    }

    #[test]
    fn two_carriers_cannot_claim_one_prefix() {
        let (kcell, tele2) = (name("kcell"), name("tele2"));
        let error = PrefixTable::new([(&kcell, &[701][..]), (&tele2, &[701][..])]).expect_err("an overlap");
        assert_eq!(error, "carriers.tele2.prefixes: 701 is also claimed by kcell");
        assert!(PrefixTable::new([(&kcell, &[601][..])]).is_err());
    }
}
