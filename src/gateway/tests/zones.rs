//! Fares by zone, from the passenger's message to the carrier's books.

use super::world::{Setting, World};
use crate::{
    charge::{Reason, State},
    gateway::{Purchase, PurchaseError, Purchased},
};

const ANNA: &str = "+77051111111";
const BULAT: &str = "+77052222222";

fn request(world: &World, zone: Option<u8>, passengers: u8, key: &str) -> Purchase {
    let zone = zone.map(|zone| zone.try_into().expect("a zone"));
    Purchase { zone, ..world.request(ANNA, "3000", passengers, key) }
}

#[test]
fn a_zone_behind_the_code_is_paid_by_its_fare() {
    let world = World::new(Setting { sqlite: true, ..Setting::default() });
    world.sms(ANNA, "3000 3*2");
    let charge = world.until_state(ANNA, "charged");
    assert_eq!((charge.order.zone.map(u8::from), charge.order.passengers), (Some(3), 2));
    assert_eq!(world.taken(ANNA), 48_000);
    world.sms(BULAT, "300 ав 02 2");
    let charge = world.until_state(BULAT, "charged");
    assert_eq!((charge.order.zone.map(u8::from), charge.order.vehicle.as_str()), (Some(2), "3000"));
    assert_eq!(world.taken(BULAT), 16_000);
    world.until_texts(BULAT, 1);
    world.audit();
}

#[test]
fn a_zone_too_many_or_too_few_or_unknown_is_told_and_costs_nothing() {
    let world = World::new(Setting::default());
    for (n, (text, words)) in [
        ("1234 3", "нет зон"),
        ("3000", "цена зависит от зоны"),
        ("3000*2", "цена зависит от зоны"),
        ("3000 4", "нет такой зоны"),
        ("123 4", "Автобус с кодом 123 не найден"),
    ]
    .into_iter()
    .enumerate()
    {
        world.sms(ANNA, text);
        let told = world.until_texts(ANNA, n + 1);
        assert!(told[n].contains("Деньги не списаны") && told[n].contains(words), "{text}: {told:?}");
    }
    assert_eq!(world.charges(ANNA), []);
    for (zone, reason) in [(None, Reason::ZoneMissing), (Some(9), Reason::UnknownZone)] {
        let refused = world.run(world.gateway().purchase(request(&world, zone, 1, "k")));
        assert!(matches!(refused, Err(PurchaseError::Impossible(why)) if why == reason), "{refused:?}");
    }
    let unexpected = Purchase { zone: 1.try_into().ok(), ..world.request(ANNA, "1234", 1, "k") };
    let refused = world.run(world.gateway().purchase(unexpected));
    assert!(matches!(refused, Err(PurchaseError::Impossible(Reason::ZoneUnexpected))), "{refused:?}");
    assert_eq!(world.taken(ANNA), 0);
    world.audit();
}

#[test]
fn m13_nobody_pays_twice_for_a_ride_whatever_zone_is_named_then() {
    let world = World::new(Setting::default());
    world.sms(ANNA, "3000 1");
    let first = world.until_state(ANNA, "charged");
    let ticket = world.until_texts(ANNA, 1)[0].clone();
    world.sms(ANNA, "3000 3");
    let told = world.until_texts(ANNA, 3);
    assert!(told.iter().any(|text| text.contains("уже есть билет до зоны 1")), "{told:?}");
    assert_eq!(told.iter().filter(|text| **text == ticket).count(), 2);
    assert_eq!(world.taken(ANNA), 8_000);
    // The same zone again is the ticket again, and nothing else.
    world.sms(ANNA, "3000 1");
    assert_eq!(world.until_texts(ANNA, 4)[3], ticket);

    // Who rides along pays for the zone that is named now; who has paid, has paid.
    let added = world.run(world.gateway().purchase(request(&world, Some(3), 2, "two"))).expect("a charge");
    let Purchased::New(added) = added else { panic!("{added:?}") };
    assert_eq!((added.order.passengers, added.order.amount.minor), (1, 24_000));
    assert_eq!(added.order.extends.expect("an addition").reference, first.reference);
    world.until("it is charged", |world| (world.charge(added.reference).state == State::Charged).then_some(()));
    let again = world.run(world.gateway().purchase(request(&world, Some(1), 2, "again"))).expect("a charge");
    assert!(matches!(again, Purchased::Repeat(_)), "{again:?}");
    assert_eq!(world.taken(ANNA), 32_000);
    world.audit();
}
