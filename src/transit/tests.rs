use jiff::civil::date;
use proptest::{prelude::*, sample::select};

use super::*;
use crate::{clock::Timestamp, money::Money};

const SHIPPED: CatalogueText<'static> = CatalogueText {
    cities: include_str!("../../config/examples/transit/cities.csv"),
    agencies: include_str!("../../config/examples/transit/agencies.csv"),
    routes: include_str!("../../config/examples/transit/routes.csv"),
    vehicles: include_str!("../../config/examples/transit/vehicles.csv"),
    fares: include_str!("../../config/examples/transit/fares.csv"),
};

const SMALL: CatalogueText<'static> = CatalogueText {
    cities: "city,name_kk,name_ru,name_en,time_zone\nalmaty,Алматы,Алматы,Almaty,Asia/Almaty\n",
    agencies: "agency,name\npark-1,Парк\n",
    routes: "city,route,agency,name,fare_class,cap_minutes,ring\nalmaty,92,park-1,\"А, Б\",regular,90,no\n",
    vehicles: "city,vehicle_code,state_plate,route\nalmaty,1234,123 ABC 02,92\n",
    fares: "city,fare_class,amount,currency,from\nalmaty,regular,80,KZT,2020-01-01\nalmaty,regular,90.5,KZT,2024-03-01\n",
};

fn moment(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

fn named<'a>(catalogue: &'a Catalogue, text: &str) -> Option<&'a std::sync::Arc<Vehicle>> {
    catalogue.named(&text.parse().ok()?)
}

fn faults(text: CatalogueText<'_>) -> Vec<String> {
    match Catalogue::read(&text) {
        Ok(_) => Vec::new(),
        Err(error) => error.faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_shipped_catalogue_has_the_public_fares_and_vehicles_in_every_city() {
    let catalogue = Catalogue::read(&SHIPPED).expect("a sound catalogue");
    let today = date(2026, 3, 1);
    let tenge = |city, class| catalogue.fare(city, class, None, today).map(Money::major);
    for (city, regular, express, reduced, vehicles) in [
        ("aktobe", "80", None, Some("40"), 3),
        ("almaty", "80", None, Some("40"), 3),
        ("astana", "90", Some("180"), None, 4),
        ("kyzyl", "90", Some("180"), None, 3),
        ("shym", "70", None, None, 3),
        ("taldyk", "80", None, Some("40"), 3),
        ("uralsk", "80", None, Some("40"), 3),
    ] {
        assert_eq!(tenge(city, "regular").as_deref(), Some(regular), "{city}");
        assert_eq!(tenge(city, "express").as_deref(), express, "{city}");
        assert_eq!(tenge(city, "reduced").as_deref(), reduced, "{city}");
        assert_eq!(catalogue.vehicles().filter(|vehicle| vehicle.route.city.id == city).count(), vehicles, "{city}");
    }
    assert_eq!(catalogue.cities().count(), 7);
    let zones = (1..=4).filter_map(|zone| catalogue.fare("astana", "suburb", zone.try_into().ok(), today));
    assert_eq!(zones.map(Money::major).collect::<Vec<_>>(), ["90", "200", "300", "400"]);
    let bus = named(&catalogue, "1234").expect("the bus on the sticker");
    assert_eq!((bus.route.city.name.en.as_str(), bus.route.id.as_str()), ("Almaty", "92"));
}

#[test]
fn a_vehicle_is_found_by_code_and_by_plate_on_any_keyboard() {
    let catalogue = Catalogue::read(&SMALL).expect("a sound catalogue");
    let code = "1234".parse().expect("a code");
    for text in ["1234", "123ABC02", "123 авс 02"] {
        assert_eq!(named(&catalogue, text).map(|vehicle| vehicle.code), Some(code), "{text}");
    }
    for text in ["01234", "1235", "123ABC03", "", "автобус"] {
        assert!(named(&catalogue, text).is_none(), "{text}");
    }
    assert_eq!(catalogue.route("almaty", "92").map(|route| route.name.as_str()), Some("А, Б"));
    assert_eq!(catalogue.agency("park-1").map(|agency| agency.name.as_str()), Some("Парк"));
    assert!(catalogue.city("almaty").is_some() && catalogue.route("almaty", "93").is_none());
}

#[test]
fn a_new_fare_begins_at_midnight_of_the_city() {
    let catalogue = Catalogue::read(&SMALL).expect("a sound catalogue");
    let bus = named(&catalogue, "1234").expect("a vehicle");
    // That night the clocks went back from midnight to 23:00: March began at 19:00 UTC.
    let fare = |at| catalogue.fare_on(&bus.route, "regular", None, moment(at));
    assert_eq!(fare("2024-02-29T18:59:59Z"), Ok(Money::kzt(8_000)));
    assert_eq!(fare("2024-02-29T19:00:00Z"), Ok(Money::kzt(9_050)));
    assert_eq!(fare("2019-12-31T12:00:00Z"), Err(NoFare::NotInForce));
}

const ZONES: CatalogueText<'static> = CatalogueText {
    routes: "city,route,agency,name,fare_class,cap_minutes,ring,zones\n\
             almaty,92,park-1,А,regular,90,no,\nalmaty,300,park-1,А,suburb,90,no,yes\n",
    vehicles: "city,vehicle_code,state_plate,route\nalmaty,1234,,92\nalmaty,3000,,300\n",
    fares: "city,fare_class,zone,amount,currency,from\n\
            almaty,regular,,80,KZT,2020-01-01\n\
            almaty,suburb,1,90,KZT,2020-01-01\nalmaty,suburb,2,200,KZT,2020-01-01\nalmaty,suburb,2,250,KZT,2024-01-01\n\
            almaty,suburb,3,300,KZT,2024-01-01\n",
    ..SMALL
};

#[test]
fn a_route_with_zones_has_a_fare_for_each_and_none_without() {
    let catalogue = Catalogue::read(&ZONES).expect("a sound catalogue");
    let [city_bus, suburb_bus] = ["1234", "3000"].map(|code| named(&catalogue, code).expect("a vehicle").route.clone());
    let fare = |route, zone: Option<u8>, at| {
        let route: &Route = route;
        let zone = zone.map(|zone| zone.try_into().expect("a zone"));
        catalogue.fare_on(route, &route.fare_class, zone, moment(at)).map(Money::major)
    };
    let (before, after) = ("2023-06-01T00:00:00Z", "2025-06-01T00:00:00Z");
    assert_eq!(fare(&city_bus, None, after), Ok("80".into()));
    assert_eq!(fare(&city_bus, Some(1), after), Err(NoFare::ZoneUnexpected));
    assert_eq!(fare(&suburb_bus, Some(1), after), Ok("90".into()));
    assert_eq!(fare(&suburb_bus, Some(2), before), Ok("200".into()));
    assert_eq!(fare(&suburb_bus, Some(2), after), Ok("250".into()));
    assert_eq!(fare(&suburb_bus, Some(3), before), Err(NoFare::NotInForce));
    assert_eq!(fare(&suburb_bus, Some(4), after), Err(NoFare::UnknownZone));
    assert_eq!(fare(&suburb_bus, None, after), Err(NoFare::ZoneMissing));
}

#[test]
fn zones_of_routes_and_fares_must_fit_each_other() {
    let routes = "city,route,agency,name,fare_class,cap_minutes,ring,zones\n\
                  almaty,92,park-1,А,regular,90,no,yes\nalmaty,300,park-1,А,suburb,90,no,no\n\
                  almaty,301,park-1,А,suburb,90,no,maybe\n";
    assert_eq!(
        faults(CatalogueText { routes, vehicles: SMALL.vehicles, ..ZONES }),
        [
            "routes.csv, line 2, fare_class: fares.csv has no fare for a zone in this fare class",
            "routes.csv, line 3, fare_class: fares.csv has fares for zones only in this fare class",
            "routes.csv, line 4, zones: yes or no is expected",
        ]
    );
    let fares = "city,fare_class,zone,amount,currency,from\nalmaty,regular,,80,KZT,2020-01-01\n\
                 almaty,suburb,0,80,KZT,2020-01-01\nalmaty,suburb,1,80,KZT,2020-01-01\nalmaty,suburb,1,90,KZT,2020-01-01\n";
    assert_eq!(
        faults(CatalogueText { fares, ..ZONES }),
        [
            "fares.csv, line 3, zone: a zone is a number from 1 to 9",
            "fares.csv, line 5, from: this is already on line 4",
        ]
    );
}

#[test]
fn columns_may_come_in_any_order_with_bom_crlf_and_comments() {
    let agencies = "\u{feff}# ours\r\n\r\nname,agency\r\n# the first\r\n\" Парк \",park-1\r\n";
    let catalogue = Catalogue::read(&CatalogueText { agencies, ..SMALL }).expect("a sound catalogue");
    assert_eq!(catalogue.agency("park-1").map(|agency| agency.name.as_str()), Some(" Парк "));
}

#[test]
fn every_reference_is_checked() {
    let routes = "city,route,agency,name,fare_class,cap_minutes,ring\n\
                  almaty,92,park-2,А,regular,90,no\n\
                  astana,10,park-1,А,regular,90,no\n\
                  almaty,93,park-1,А,express,90,no\n";
    let vehicles = "city,vehicle_code,state_plate,route\n\
                    almaty,1,,92\n\
                    almaty,2,,94\n\
                    astana,3,,10\n";
    assert_eq!(
        faults(CatalogueText { routes, vehicles, ..SMALL }),
        [
            "routes.csv, line 2, agency: agencies.csv has no such agency",
            "routes.csv, line 3, city: cities.csv has no such city",
            "routes.csv, line 4, fare_class: fares.csv has no such fare class in this city",
            "vehicles.csv, line 3, route: routes.csv has no such route in this city",
            "vehicles.csv, line 4, city: cities.csv has no such city",
        ]
    );
}

#[test]
fn what_refers_to_a_faulty_line_is_not_called_a_fault_as_well() {
    let cities = "city,name_kk,name_ru,name_en,time_zone\nalmaty,Алматы,Алматы,Almaty,Asia/Verny\n";
    let fares = "city,fare_class,amount,currency,from\nalmaty,regular,eighty,KZT,2020-01-01\n";
    assert_eq!(
        faults(CatalogueText { cities, fares, ..SMALL }),
        [
            "cities.csv, line 2, time_zone: no time zone has this name; write one of the IANA's, such as Asia/Almaty",
            "fares.csv, line 2, amount: \"eighty\" is not an amount: write 80, 80.5 or 80.50",
        ]
    );
}

#[test]
fn every_field_is_checked_and_a_line_names_all_its_faults() {
    let routes = "city,route,agency,name,fare_class,cap_minutes,ring\n\
                  almaty,139абв,park-1,,regular,1441,maybe\n\
                  almaty,92,park-1,А,regular,90\n\
                  almaty,92,park-1,А,regular,90,no,,surplus\n\
                  almaty,92,park-1,\"А,regular,90,no\n";
    let fares = "city,fare_class,amount,currency,from\n\
                 almaty,regular,80,KZT,2020-01-01\n\
                 almaty,regular,90,KZT,2020-01-01\n\
                 almaty,Regular,0,KZT,2020-01-01T00:00\n\
                 almaty,regular,80,BTC,2020-02-30\n";
    let vehicles = "city,vehicle_code,state_plate,route\nalmaty,123456789,1234,92\n";
    let found = faults(CatalogueText { routes, fares, vehicles, ..SMALL });
    let expected = [
        "fares.csv, line 3, from: this is already on line 2",
        "fares.csv, line 4, fare_class: an id has 1 to 7 characters: a to z, 0 to 9, dash, underscore",
        "fares.csv, line 4, amount: a fare must be more than 0",
        "fares.csv, line 4, from: a date such as 2024-03-01 is expected",
        "fares.csv, line 5, currency: unknown currency \"BTC\"; known are KZT, KGS, UZS, RUB, EUR, USD",
        "fares.csv, line 5, from: a date such as 2024-03-01 is expected",
        "routes.csv, line 2, route: a text of 1 to 6 bytes without control characters is expected",
        "routes.csv, line 2, name: a text of 1 to 200 bytes without control characters is expected",
        "routes.csv, line 2, cap_minutes: a whole number of minutes from 1 to 1440 is expected",
        "routes.csv, line 2, ring: yes or no is expected",
        "routes.csv, line 3, ring: the line ends before this column",
        "routes.csv, line 4: the line has more fields than there are columns",
        "routes.csv, line 5: a quoted field does not end before a comma or the end of its line",
        "vehicles.csv, line 2, vehicle_code: a vehicle code has one to eight digits",
        "vehicles.csv, line 2, state_plate: a state plate is written as 123 ABC 02 or 123 AB 02 with a region from 01 to 20, \
         or in the old way as A 123 BCD or A 123 BC",
        "vehicles.csv, line 2, route: routes.csv has no such route in this city",
    ];
    assert_eq!(found, expected);
}

#[test]
fn codes_and_plates_are_unique_across_all_cities() {
    let cities = [SMALL.cities, "astana,Астана,Астана,Astana,Asia/Almaty\n"].concat();
    let fares = [SMALL.fares, "astana,regular,90,KZT,2020-01-01\n"].concat();
    let routes = [SMALL.routes, "astana,92,park-1,А,regular,90,no\nastana,92,park-1,А,regular,90,no\n"].concat();
    let vehicles = [SMALL.vehicles, "astana,1234,,92\nastana,1235,123 авс 02,92\n"].concat();
    let text = CatalogueText {
        cities: &cities,
        fares: &fares,
        routes: &routes,
        vehicles: &vehicles,
        agencies: SMALL.agencies,
    };
    assert_eq!(
        faults(text),
        [
            "routes.csv, line 4, route: this is already on line 3",
            "vehicles.csv, line 3, vehicle_code: this is already on line 2",
            "vehicles.csv, line 4, state_plate: this is already on line 2",
        ]
    );
}

#[test]
fn an_agency_may_have_a_tax_number() {
    let agencies = "agency,name,tax_id\npark-1,Парк,010140000123\npark-2,Парк,\n";
    let catalogue = Catalogue::read(&CatalogueText { agencies, ..SMALL }).expect("sound");
    let tax_id = |id: &str| catalogue.agency(id).and_then(|agency| agency.tax_id.clone());
    assert_eq!((tax_id("park-1").as_deref(), tax_id("park-2")), (Some("010140000123"), None));
    for wrong in ["0101 4000", "bin", "010140000123010140000123"] {
        let agencies = format!("agency,name,tax_id\npark-1,Парк,{wrong}\n");
        let found = faults(CatalogueText { agencies: &agencies, ..SMALL });
        assert!(found.len() == 1 && found[0].starts_with("agencies.csv, line 2, tax_id: "), "{found:?}");
    }
}

#[test]
fn wrong_columns_are_named_and_hide_no_other_files_columns() {
    let found = faults(CatalogueText { cities: "", agencies: "agency,name,nmae\n", fares: "from,from", ..SMALL });
    let expected = [
        "cities.csv, line 1: the file is empty; its first line names the columns",
        "agencies.csv, line 1, nmae: unknown column; known are agency, name, tax_id",
        "fares.csv, line 1, from: this column is named twice",
        "fares.csv, line 1, city: there is no such column",
        "fares.csv, line 1, fare_class: there is no such column",
        "fares.csv, line 1, amount: there is no such column",
        "fares.csv, line 1, currency: there is no such column",
    ];
    assert_eq!(found, expected);
}

#[test]
fn at_most_fifty_faults_are_kept_and_the_rest_are_counted() {
    let vehicles = format!("city,vehicle_code,state_plate,route\n{}", "almaty,x,,92\n".repeat(60));
    let error = Catalogue::read(&CatalogueText { vehicles: &vehicles, ..SMALL }).expect_err("sixty faults");
    assert_eq!((error.faults.len(), error.more), (CatalogueError::FAULTS_MAX, 10));
    assert!(
        error
            .to_string()
            .ends_with("vehicles.csv, line 51, vehicle_code: a vehicle code has one to eight digits\nand 10 more")
    );
}

/// One of the small files with some of its text replaced.
fn damaged() -> impl Strategy<Value = (usize, String)> {
    let file = (0..5_usize).prop_flat_map(|file| (Just(file), 0..texts(SMALL)[file].chars().count()));
    let noise = select(vec![",", "\"", "\n", "", "#", "0", "é", "\u{feff}", "\r", "-", "almaty", "\0"]);
    (file, noise, 0..4_usize).prop_map(|((file, at), noise, removed)| {
        let text = texts(SMALL)[file];
        let (before, after) = (text.chars().take(at), text.chars().skip(at + removed));
        (file, before.chain(noise.chars()).chain(after).collect())
    })
}

fn texts(text: CatalogueText<'_>) -> [&str; 5] {
    [text.cities, text.agencies, text.routes, text.vehicles, text.fares]
}

proptest! {
    #[test]
    fn damaged_files_never_panic_and_what_is_read_is_sound((file, text) in damaged()) {
        let mut all = texts(SMALL);
        all[file] = &text;
        let [cities, agencies, routes, vehicles, fares] = all;
        match Catalogue::read(&CatalogueText { cities, agencies, routes, vehicles, fares }) {
            Ok(catalogue) => for vehicle in catalogue.vehicles() {
                let route = &vehicle.route;
                prop_assert_eq!(catalogue.route(&route.city.id, &route.id), Some(route));
                prop_assert_eq!(catalogue.city(&route.city.id), Some(&route.city));
                prop_assert_eq!(catalogue.agency(&route.agency.id), Some(&route.agency));
                let has_fare = |(city, class, _, _)| (city, class) == (route.city.id.as_str(), route.fare_class.as_str());
                prop_assert!(catalogue.fares().any(has_fare));
                if let Some(plate) = &vehicle.plate {
                    prop_assert_eq!(catalogue.vehicle_by_plate(plate), Some(vehicle));
                }
            },
            Err(error) => prop_assert!(!error.faults.is_empty() && !error.to_string().is_empty()),
        }
    }

    #[test]
    fn no_text_panics(noise in ".{0,60}") {
        for file in 0..5 {
            let mut all = texts(SMALL);
            let text = [all[file], &noise].concat();
            all[file] = &text;
            let [cities, agencies, routes, vehicles, fares] = all;
            let _ = Catalogue::read(&CatalogueText { cities, agencies, routes, vehicles, fares });
        }
    }
}
