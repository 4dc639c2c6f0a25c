//! What templates may say: the values of one attempt, named. Nothing that differs between two renderings of the same attempt (M4).

use std::{collections::BTreeMap, sync::Arc};

use jiff::tz::TimeZone;
use minijinja::{Error, ErrorKind, State, Value, value::Object};

use super::{Operation, template::NotKnown};
use crate::{
    charge::{Attempt, Charge, Refund},
    clock::Timestamp,
    money::Money,
    msisdn::Msisdn,
};

/// What a request is made of.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Whose balance it is about.
    pub msisdn: Msisdn,
    /// The carrier's time zone, for moments in its own time.
    pub zone: &'a TimeZone,
    /// The charge and the attempt that it is about; `None` for questions about a number.
    pub attempt: Option<(&'a Charge, &'a Attempt)>,
    /// The refund, of the operations that are about one.
    pub refund: Option<&'a Refund>,
    /// What the subscriber was sent, of `validate`.
    pub otp: Option<&'a str>,
    /// Where the carrier reaches us, if it can: the public address of the carriers' listener for this carrier, without a slash at its end.
    pub callbacks_at: Option<&'a str>,
}

impl<'a> Context<'a> {
    /// About one attempt of a charge.
    pub fn of_attempt(charge: &'a Charge, attempt: &'a Attempt, zone: &'a TimeZone) -> Context<'a> {
        Context {
            msisdn: charge.order.msisdn,
            zone,
            attempt: Some((charge, attempt)),
            refund: None,
            otp: None,
            callbacks_at: None,
        }
    }

    /// About a number only.
    pub fn of_number(msisdn: Msisdn, zone: &'a TimeZone) -> Context<'a> {
        Context { msisdn, zone, attempt: None, refund: None, otp: None, callbacks_at: None }
    }
}

/// The names of the variables with what each says, for the documentation and its test.
pub const VARIABLES: &[(&str, &str)] = &[
    ("msisdn.e164", "`+77011234567`"),
    ("msisdn.digits", "`77011234567`"),
    ("msisdn.national", "`7011234567`"),
    ("reference", "the charge's name for life, a UUID"),
    ("wire_reference", "reference and attempt in one text, as `[wire_reference]` says: unique for this attempt"),
    ("attempt", "the number of the attempt, from 1"),
    ("two_step", "whether the amount is held first: for a condition"),
    ("carrier_id", "the carrier's own id of the attempt, once an answer named one; not in `charge` and `reserve`"),
    ("second_id", "the carrier's second id, where the profile has `[second_id]`"),
    ("amount.major", "`80` or `80.50`"),
    ("amount.fixed", "`80.00`, always with two decimals"),
    ("amount.minor", "`8000`, a whole number of tiyn"),
    ("currency", "`KZT`"),
    ("description", "the profile's `description`"),
    ("passengers", "for how many passengers"),
    ("vehicle", "the vehicle's code"),
    ("city", "the city's id in the catalogue"),
    ("route", "the route's id in the catalogue"),
    ("agency", "the agency's id in the catalogue"),
    ("fare_class", "`standard`, `express`, …"),
    ("opened_at.iso8601", "when the attempt was opened: `2026-03-01T12:30:00.123+05:00`, in the carrier's zone"),
    ("opened_at.utc", "the same moment: `2026-03-01T07:30:00.123Z`"),
    ("opened_at.unix", "in seconds since 1970"),
    ("opened_at.unix_ms", "in milliseconds since 1970"),
    ("opened_at.format(\"%Y%m%d%H%M%S\")", "as you like it (strftime), in the carrier's zone"),
    (
        "refund_reference",
        "the refund's own name, in the form of `[wire_reference]`: unique for each request that got lost; of refunds only",
    ),
    ("refund_carrier_id", "the carrier's own id of the refund, once an answer named one; of refunds only"),
    ("refund_second_id", "its second id, where the profile has `[second_id]`; of refunds only"),
    ("refund_amount.major", "what goes back, written as `amount` is; of refunds only"),
    ("refund_opened_at.iso8601", "when the refund was asked for, written as `opened_at` is; of refunds only"),
    ("refund_is_total", "whether it is the whole amount; of refunds only"),
    ("callback_url", "where the carrier reaches us with the outcome, if the configuration has `callback_url`"),
    ("otp", "the one-time password; of `validate` only"),
    ("constants.NAME", "what `[constants]` says"),
    ("secrets.NAME", "what the file of that secret holds; never shown"),
    ("signature", "the signature, where `signature.into` is `\"template\"`"),
];

/// What of the profile goes into the variables.
pub(super) struct Surroundings<'a> {
    pub(super) constants: &'a Value,
    pub(super) secrets: Value,
    pub(super) callback_path: Option<&'a str>,
    pub(super) has_second_id: bool,
    pub(super) wire_reference_of_refund: &'a dyn Fn(&Refund) -> String,
}

/// The variables of `operation`.
pub(super) fn variables(
    operation: Operation,
    context: &Context<'_>,
    surroundings: &Surroundings<'_>,
) -> BTreeMap<&'static str, Value> {
    let mut values = BTreeMap::new();
    values.insert("msisdn", msisdn(context.msisdn));
    values.insert("constants", surroundings.constants.clone());
    values.insert("secrets", surroundings.secrets.clone());
    if let Some((charge, attempt)) = context.attempt {
        of_attempt(&mut values, charge, attempt, context.zone);
        if !matches!(operation, Operation::Charge | Operation::Reserve) {
            insert_ids(&mut values, "carrier_id", "second_id", attempt.carrier_id.as_deref(), surroundings);
        }
        let callback_url =
            context.callbacks_at.zip(surroundings.callback_path).map(|(at, path)| format!("{at}/{path}"));
        let not_known = || Value::from_object(NotKnown("callback_url"));
        values.insert("callback_url", callback_url.map_or_else(not_known, Value::from));
    }
    if let Some(refund) = context.refund.filter(|_| operation.is_refund()) {
        let whole = context.attempt.is_some_and(|(charge, _)| charge.order.amount == refund.amount);
        let ids = ("refund_carrier_id", "refund_second_id");
        insert_ids(&mut values, ids.0, ids.1, refund.carrier_id.as_deref(), surroundings);
        values.insert("refund_reference", (surroundings.wire_reference_of_refund)(refund).into());
        values.insert("refund_amount", amount(refund.amount));
        values.insert("refund_opened_at", moment(refund.opened_at, context.zone));
        values.insert("refund_is_total", whole.into());
    }
    if let Some(otp) = context.otp.filter(|_| operation == Operation::Validate) {
        values.insert("otp", otp.into());
    }
    values
}

/// The carrier's id, or both where it gives two.
fn insert_ids(
    values: &mut BTreeMap<&'static str, Value>,
    first: &'static str,
    second: &'static str,
    known: Option<&str>,
    surroundings: &Surroundings<'_>,
) {
    let ids = match known {
        Some(both) if surroundings.has_second_id => both.rsplit_once(' ').map(|(id, other)| (id, Some(other))),
        known => known.map(|id| (id, None)),
    };
    let value = |name, id: Option<&str>| id.map_or_else(|| Value::from_object(NotKnown(name)), Value::from);
    values.insert(first, value(first, ids.map(|(id, _)| id)));
    if surroundings.has_second_id {
        values.insert(second, value(second, ids.and_then(|(_, other)| other)));
    }
}

fn of_attempt(values: &mut BTreeMap<&'static str, Value>, charge: &Charge, attempt: &Attempt, zone: &TimeZone) {
    let order = &charge.order;
    values.insert("reference", charge.reference.to_string().into());
    values.insert("wire_reference", attempt.wire_reference.as_str().into());
    values.insert("attempt", attempt.number.into());
    values.insert("two_step", attempt.has_two_steps().into());
    values.insert("amount", amount(order.amount));
    values.insert("currency", order.amount.currency.code().into());
    values.insert("passengers", order.passengers.into());
    values.insert("vehicle", order.vehicle.to_string().into());
    values.insert("city", order.city.as_str().into());
    values.insert("route", order.route.as_str().into());
    values.insert("agency", order.agency.as_str().into());
    values.insert("fare_class", order.fare_class.as_str().into());
    values.insert("opened_at", moment(attempt.opened_at, zone));
}

fn msisdn(msisdn: Msisdn) -> Value {
    let digits = msisdn.e164().to_string();
    let national = digits.strip_prefix('7').unwrap_or(&digits).to_owned();
    let forms = [("e164", format!("+{digits}")), ("national", national), ("digits", digits)];
    Value::from(BTreeMap::from(forms))
}

fn amount(amount: Money) -> Value {
    let minor = amount.minor;
    let fixed =
        format!("{}{}.{:02}", if minor < 0 { "-" } else { "" }, minor.unsigned_abs() / 100, minor.unsigned_abs() % 100);
    let forms: [(&str, Value); 3] =
        [("major", amount.major().into()), ("fixed", fixed.into()), ("minor", minor.into())];
    Value::from(BTreeMap::from(forms))
}

fn moment(at: Timestamp, zone: &TimeZone) -> Value {
    Value::from_object(Moment { at, zone: zone.clone() })
}

/// A moment, in the forms that carriers want.
#[derive(Debug)]
struct Moment {
    at: Timestamp,
    zone: TimeZone,
}

impl Moment {
    fn format(&self, pattern: &str) -> Result<Value, Error> {
        let wrong = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, format!("{pattern:?}: {error}"));
        jiff::fmt::strtime::format(pattern, &self.at.zoned(&self.zone)).map(Value::from).map_err(wrong)
    }
}

impl Object for Moment {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "iso8601" => self.format("%Y-%m-%dT%H:%M:%S%.3f%:z").ok(),
            "utc" => Some(self.at.to_string().into()),
            "unix" => Some(self.at.unix_seconds().into()),
            "unix_ms" => Some(self.at.unix_ms().into()),
            _ => None,
        }
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        match (method, arguments) {
            ("format", [pattern]) if pattern.as_str().is_some() => self.format(pattern.as_str().unwrap_or_default()),
            ("format", _) => {
                Err(Error::new(ErrorKind::InvalidOperation, "`format` wants a pattern such as \"%Y%m%d%H%M%S\""))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
