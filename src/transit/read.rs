//! From five CSV texts to a sound [`Catalogue`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
    sync::Arc,
};

use jiff::{civil::Date, tz::TimeZone};

use super::{
    Agency, Catalogue, CatalogueError, CatalogueText, City, CityName, FaultReason, Plate, Route, Vehicle, VehicleCode,
    Zone,
    fares::Fares,
    faults::Faults,
    table::{Row, Table},
};
use crate::money::{Currency, Money};

const NAME_BYTES_MAX: usize = 200;

pub(super) fn read(text: &CatalogueText<'_>) -> Result<Catalogue, CatalogueError> {
    let faults = &mut Faults::default();
    let cities =
        Table::open("cities.csv", &["city", "name_kk", "name_ru", "name_en", "time_zone"], &[], text.cities, faults);
    let agencies = Table::open("agencies.csv", &["agency", "name"], &["tax_id"], text.agencies, faults);
    let layout = ["city", "fare_class", "amount", "currency", "from"];
    let fares = Table::open("fares.csv", &layout, &["zone"], text.fares, faults);
    let layout = ["city", "route", "agency", "name", "fare_class", "cap_minutes", "ring"];
    let routes = Table::open("routes.csv", &layout, &["zones"], text.routes, faults);
    let layout = ["city", "vehicle_code", "state_plate", "route"];
    let vehicles = Table::open("vehicles.csv", &layout, &[], text.vehicles, faults);
    // With the columns of one file wrong, whatever refers to it would seem wrong too.
    faults.none()?;
    let mut reading = Reading::default();
    for (table, read) in [
        (cities, Reading::city as ReadRow),
        (agencies, Reading::agency),
        (fares, Reading::fare),
        (routes, Reading::route),
        (vehicles, Reading::vehicle),
    ] {
        if let Some(table) = table {
            table.each(faults, |row, faults| {
                read(&mut reading, row, faults);
            });
        }
    }
    faults.none()?;
    Ok(reading.into_catalogue())
}

/// What is declared under an id: its line, and the thing itself, unless it is faulty. What refers to a faulty thing is
/// not called a fault as well.
type Declared<T> = BTreeMap<String, (usize, Option<Arc<T>>)>;

/// Takes in one row; `None` if it is faulty, and the faults are noted.
type ReadRow = fn(&mut Reading, &Row<'_>, &mut Faults) -> Option<()>;

#[derive(Default)]
struct Reading {
    cities: Declared<City>,
    agencies: Declared<Agency>,
    routes: BTreeMap<String, Declared<Route>>,
    vehicles: BTreeMap<VehicleCode, (usize, Arc<Vehicle>)>,
    plates: HashMap<Plate, (usize, Arc<Vehicle>)>,
    fares: Fares,
    fare_lines: HashMap<(String, String, Option<Zone>, Date), usize>,
    /// The city and fare class of every line of fares, a faulty one too, and whether it is for a zone.
    fare_classes: BTreeSet<(String, String, bool)>,
}

impl Reading {
    fn city(&mut self, row: &Row<'_>, faults: &mut Faults) -> Option<()> {
        let id = row.read("city", faults, |text| id(text, City::ID_BYTES_MAX));
        let kk = row.read("name_kk", faults, name);
        let ru = row.read("name_ru", faults, name);
        let en = row.read("name_en", faults, name);
        let zone = row.read("time_zone", faults, |text| TimeZone::get(text).map_err(|_| FaultReason::TimeZone));
        let id = id?;
        let build = || Some(City { id: id.clone(), name: CityName { kk: kk?, ru: ru?, en: en? }, time_zone: zone? });
        declare(&mut self.cities, &id, build(), row, "city", faults)
    }

    fn agency(&mut self, row: &Row<'_>, faults: &mut Faults) -> Option<()> {
        let id = row.read("agency", faults, |text| id(text, Agency::ID_BYTES_MAX));
        let name = row.read("name", faults, name);
        let tax_id = row.read("tax_id", faults, |text| if text.is_empty() { Ok(None) } else { tax_id(text).map(Some) });
        let id = id?;
        let build = || Some(Agency { id: id.clone(), name: name?, tax_id: tax_id? });
        let agency = build();
        declare(&mut self.agencies, &id, agency, row, "agency", faults)
    }

    fn fare(&mut self, row: &Row<'_>, faults: &mut Faults) -> Option<()> {
        let city = row.read("city", faults, |text| refer(&self.cities, text, "cities.csv", "city"));
        let fare_class = row.read("fare_class", faults, |text| id(text, Route::FARE_CLASS_BYTES_MAX));
        let is_zoned = !row.text("zone").is_empty();
        self.fare_classes.insert((row.text("city").to_owned(), row.text("fare_class").to_owned(), is_zoned));
        let zone = row.read("zone", faults, |text| match text {
            "" => Ok(None),
            text => Ok(Some(text.parse::<Zone>()?)),
        });
        let currency = row.read("currency", faults, |text| Ok(text.parse::<Currency>()?));
        let amount = row.read("amount", faults, |text| fare_amount(text, currency.unwrap_or(Currency::Kzt)));
        let from = row.read("from", faults, date);
        let (city, fare_class, zone, from, amount) =
            (city??.id.clone(), fare_class?, zone?, from?, amount.filter(|_| currency.is_some())?);
        if self.fares.add(&city, &fare_class, zone, from, amount) {
            self.fare_lines.insert((city, fare_class, zone, from), row.line);
        } else {
            let first = self.fare_lines.get(&(city, fare_class, zone, from)).copied().unwrap_or(row.line);
            row.fault("from", FaultReason::Repeated(first), faults);
        }
        Some(())
    }

    fn route(&mut self, row: &Row<'_>, faults: &mut Faults) -> Option<()> {
        let city = row.read("city", faults, |text| refer(&self.cities, text, "cities.csv", "city"));
        let id = row.read("route", faults, |text| text_of(text, Route::ID_BYTES_MAX));
        let agency = row.read("agency", faults, |text| refer(&self.agencies, text, "agencies.csv", "agency"));
        let name = row.read("name", faults, name);
        let cap_minutes = row.read("cap_minutes", faults, minutes);
        let ring = row.read("ring", faults, yes_or_no);
        let zones = row.read("zones", faults, |text| if text.is_empty() { Ok(false) } else { yes_or_no(text) });
        // A city that is not there is one fault, not two; nor are two made of zones that are neither yes nor no.
        let fare_class = city
            .as_ref()
            .and_then(|_| row.read("fare_class", faults, |text| self.fare_class(row.text("city"), text, zones)));
        let id = id?;
        let build = || {
            Some(Route {
                city: city.flatten()?,
                id: id.clone(),
                agency: agency.flatten()?,
                name: name?,
                fare_class: fare_class?,
                cap_minutes: cap_minutes?,
                ring: ring?,
                zones: zones?,
            })
        };
        let route = build();
        declare(self.routes.entry(row.text("city").to_owned()).or_default(), &id, route, row, "route", faults)
    }

    fn vehicle(&mut self, row: &Row<'_>, faults: &mut Faults) -> Option<()> {
        let city = row.read("city", faults, |text| refer(&self.cities, text, "cities.csv", "city"));
        let code = row.read("vehicle_code", faults, |text| Ok(text.parse::<VehicleCode>()?));
        let plate = row.read("state_plate", faults, |text| match text {
            "" => Ok(None),
            text => Ok(Some(text.parse::<Plate>()?)),
        });
        let nowhere = Declared::new();
        let routes = self.routes.get(row.text("city")).unwrap_or(&nowhere);
        let route = city
            .and_then(|_| row.read("route", faults, |text| refer(routes, text, "routes.csv", "route in this city")));
        let (code, plate) = (code?, plate?);
        if let Some((first, _)) = self.vehicles.get(&code) {
            row.fault("vehicle_code", FaultReason::Repeated(*first), faults);
        }
        if let Some((first, _)) = plate.as_ref().and_then(|plate| self.plates.get(plate)) {
            row.fault("state_plate", FaultReason::Repeated(*first), faults);
        }
        let vehicle = Arc::new(Vehicle { code, plate: plate.clone(), route: route??.clone() });
        if let Some(plate) = plate {
            self.plates.insert(plate, (row.line, vehicle.clone()));
        }
        self.vehicles.insert(code, (row.line, vehicle));
        Some(())
    }

    fn fare_class(&self, city: &str, text: &str, zones: Option<bool>) -> Result<String, FaultReason> {
        let is_known = |zoned| self.fare_classes.contains(&(city.to_owned(), text.to_owned(), zoned));
        match (is_known(false), is_known(true), zones) {
            (false, false, _) => Err(FaultReason::Unknown { file: "fares.csv", what: "fare class in this city" }),
            (false, true, Some(false)) => Err(FaultReason::FaresForZonesOnly),
            (true, false, Some(true)) => Err(FaultReason::NoFareForAnyZone),
            _ => Ok(text.to_owned()),
        }
    }

    fn into_catalogue(self) -> Catalogue {
        Catalogue {
            cities: sound(self.cities),
            agencies: sound(self.agencies),
            routes: self.routes.into_iter().map(|(city, routes)| (city, sound(routes))).collect(),
            vehicles: self.vehicles.into_iter().map(|(code, (_, vehicle))| (code, vehicle)).collect(),
            plates: self.plates.into_iter().map(|(plate, (_, vehicle))| (plate, vehicle)).collect(),
            fares: self.fares,
        }
    }
}

fn sound<T>(declared: Declared<T>) -> BTreeMap<String, Arc<T>> {
    declared.into_iter().filter_map(|(id, (_, thing))| Some((id, thing?))).collect()
}

fn declare<T>(
    declared: &mut Declared<T>,
    id: &str,
    thing: Option<T>,
    row: &Row<'_>,
    column: &'static str,
    faults: &mut Faults,
) -> Option<()> {
    match declared.entry(id.to_owned()) {
        Entry::Vacant(place) => {
            place.insert((row.line, thing.map(Arc::new)));
            Some(())
        }
        Entry::Occupied(first) => {
            row.fault(column, FaultReason::Repeated(first.get().0), faults);
            None
        }
    }
}

/// What `id` refers to; `None` if that is faulty itself.
fn refer<T>(
    declared: &Declared<T>,
    id: &str,
    file: &'static str,
    what: &'static str,
) -> Result<Option<Arc<T>>, FaultReason> {
    declared.get(id).map(|(_, thing)| thing.clone()).ok_or(FaultReason::Unknown { file, what })
}

fn id(text: &str, bytes_max: usize) -> Result<String, FaultReason> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    let is_id = (1..=bytes_max).contains(&text.len()) && text.bytes().all(is_plain);
    if is_id { Ok(text.to_owned()) } else { Err(FaultReason::Id(bytes_max)) }
}

fn tax_id(text: &str) -> Result<String, FaultReason> {
    let is_sound = text.len() <= Agency::TAX_ID_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    if is_sound { Ok(text.to_owned()) } else { Err(FaultReason::TaxId(Agency::TAX_ID_BYTES_MAX)) }
}

fn name(text: &str) -> Result<String, FaultReason> {
    text_of(text, NAME_BYTES_MAX)
}

fn text_of(text: &str, bytes_max: usize) -> Result<String, FaultReason> {
    let is_sound = (1..=bytes_max).contains(&text.len()) && !text.contains(char::is_control);
    if is_sound { Ok(text.to_owned()) } else { Err(FaultReason::Text(bytes_max)) }
}

fn fare_amount(text: &str, currency: Currency) -> Result<Money, FaultReason> {
    let amount = Money::parse_major(text, currency)?;
    if amount.is_positive() { Ok(amount) } else { Err(FaultReason::NotPositive) }
}

fn date(text: &str) -> Result<Date, FaultReason> {
    // jiff takes a time of day and other forms after the date; a fare begins on a day.
    let is_plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    text.parse().ok().filter(|_| is_plain).ok_or(FaultReason::Date)
}

fn minutes(text: &str) -> Result<u16, FaultReason> {
    let minutes = text.parse().ok().filter(|minutes| (1..=Route::CAP_MINUTES_MAX).contains(minutes));
    minutes.ok_or(FaultReason::Minutes(Route::CAP_MINUTES_MAX))
}

fn yes_or_no(text: &str) -> Result<bool, FaultReason> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(FaultReason::YesOrNo),
    }
}
