use super::world::{Over, Setting, World};
use crate::{
    charge::State,
    ledger::{Account, DatedFee, DatedVat, VatConfig},
};

const ANNA: &str = "+77051111111";

fn taxed(over: Over) -> Setting {
    let rate = |from: &str, percent: &str| DatedVat {
        from: from.parse().expect("a day"),
        percent: percent.parse().expect("a rate"),
    };
    let fee = |from: &str, percent: &str| DatedFee {
        from: from.parse().expect("a day"),
        percent: percent.parse().expect("a share"),
        fixed_minor: 10,
        vat: true,
        returned: false,
    };
    Setting {
        over,
        sqlite: true,
        vat: VatConfig {
            rates: vec![rate("2009-01-01", "12"), rate("9000-01-01", "99")],
            agencies: ["green".into()].into(),
        },
        fees: vec![fee("2000-01-01", "5"), fee("9000-01-01", "99")],
        ..Setting::default()
    }
}

fn balance(world: &World, account: &str) -> i64 {
    let account = Account::try_from(account.to_owned()).expect("an account");
    let balances = world.run(world.gateway().store().balances()).expect("the store");
    balances.iter().filter(|balance| balance.account == account).map(|balance| balance.minor).sum()
}

#[test]
fn a_charge_is_booked_with_the_fee_and_the_tax_of_its_day_whatever_the_carrier_is_asked_by() {
    for over in [Over::Smpp, Over::Camara { two_step: true }, Over::OneApi { two_step: false }] {
        let world = World::new(taxed(over));
        let charge = world.bought(ANNA, "1234", "key");
        assert_eq!(charge.state, State::Charged);
        assert_eq!(world.taken(ANNA), 8_000);
        let carrier = charge.last_attempt().expect("an attempt").carrier.to_string();
        // 5 % of 80 and 0.1, and 12 % on that; the fare includes 12 %.
        assert_eq!(balance(&world, &format!("carrier_fee:{carrier}")), 410);
        assert_eq!(balance(&world, &format!("vat_input:{carrier}")), 49);
        assert_eq!(balance(&world, &format!("carrier_receivable:{carrier}")), 8_000 - 410 - 49);
        assert_eq!(balance(&world, "vat_output:green"), -857);
        assert_eq!(balance(&world, "fare_revenue:green"), -(8_000 - 857));
        world.audit();
    }
}
