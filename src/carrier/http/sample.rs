//! A made-up charge, to try a profile on: when it is loaded, and at the terminal.

use jiff::tz::TimeZone;
use minijinja::{Value, value::Object};

use super::{
    Context, HttpSecrets, Operation, Profile, RenderError,
    callback::{CallbackReading, Fields, Proof},
    document::{Content, Document},
    problem::Problems,
};
use crate::{
    charge::{
        CarrierName, Channel, Charge, Event, Evidence, EvidenceSource, Finding, LateSuccess, Order, Reference, Terms,
        step,
    },
    clock::Timestamp,
    language::Language,
    money::Money,
    msisdn::Msisdn,
};

/// What a made-up charge is made of.
#[derive(Clone, Debug)]
pub struct SampleValues {
    /// Whose balance pays.
    pub msisdn: Msisdn,
    /// How much.
    pub amount: Money,
    /// How much goes back.
    pub refund_amount: Money,
    /// The vehicle's code.
    pub vehicle: String,
    /// The city's id.
    pub city: String,
    /// The route's id.
    pub route: String,
    /// The agency's id.
    pub agency: String,
    /// The fare class.
    pub fare_class: String,
    /// For how many.
    pub passengers: u8,
    /// The charge's name.
    pub reference: Reference,
    /// The carrier's id of the attempt, and of the refund.
    pub carrier_id: Option<String>,
    /// When the attempt was opened.
    pub opened_at: Timestamp,
    /// The one-time password.
    pub otp: String,
    /// Where the carrier reaches us.
    pub callbacks_at: Option<String>,
    /// The carrier's zone.
    pub zone: TimeZone,
}

impl Default for SampleValues {
    fn default() -> SampleValues {
        let opened_at = Timestamp::from_unix_ms(1_772_350_200_123);
        SampleValues {
            msisdn: Msisdn::from_e164(77_011_234_567).expect("a number of Kazakhstan"),
            amount: Money::kzt(8_000),
            refund_amount: Money::kzt(8_000),
            vehicle: "1234".into(),
            city: "almaty".into(),
            route: "92".into(),
            agency: "green-bus".into(),
            fare_class: "standard".into(),
            passengers: 1,
            reference: Reference::new(opened_at, [0x5B; 10]),
            carrier_id: Some("4711".into()),
            opened_at,
            otp: "123456".into(),
            callbacks_at: Some("https://pay.example/carriers/example".into()),
            zone: TimeZone::get("Asia/Almaty").unwrap_or(TimeZone::UTC),
        }
    }
}

impl SampleValues {
    /// Puts `text` in the place of the value called `name`. Errors: there is none of that name, or it cannot be that.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let currency = self.amount.currency;
        let wrong = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        let amount = || Money::parse_major(text, currency).map_err(|error| wrong(&error));
        match name {
            "msisdn" => self.msisdn = text.parse().map_err(|error| wrong(&error))?,
            "amount" => {
                self.amount = amount()?;
                self.refund_amount = self.amount;
            }
            "refund_amount" => self.refund_amount = amount()?,
            "vehicle" => text.clone_into(&mut self.vehicle),
            "city" => text.clone_into(&mut self.city),
            "route" => text.clone_into(&mut self.route),
            "agency" => text.clone_into(&mut self.agency),
            "fare_class" => text.clone_into(&mut self.fare_class),
            "passengers" => self.passengers = text.parse().map_err(|error| wrong(&error))?,
            "reference" => self.reference = text.parse().map_err(|error| wrong(&error))?,
            "carrier_id" => self.carrier_id = Some(text.to_owned()).filter(|id| !id.is_empty()),
            "opened_at" => self.opened_at = text.parse().map_err(|error| wrong(&error))?,
            "otp" => text.clone_into(&mut self.otp),
            "callbacks_at" => self.callbacks_at = Some(text.to_owned()).filter(|url| !url.is_empty()),
            "time_zone" => self.zone = TimeZone::get(text).map_err(|error| wrong(&error))?,
            _ => {
                return Err(format!(
                    "{name}: no such value; there are msisdn, amount, refund_amount, vehicle, city, route, agency, fare_class, \
                     passengers, reference, carrier_id, opened_at, otp, callbacks_at, time_zone"
                ));
            }
        }
        Ok(())
    }
}

/// A made-up charge with one attempt, charged and on its way back.
#[derive(Clone, Debug)]
pub struct Sample {
    values: SampleValues,
    charge: Charge,
}

impl Sample {
    /// Of these values, at a carrier that speaks `profile`. Errors: they make no charge.
    pub fn new(profile: &Profile, values: SampleValues) -> Result<Sample, String> {
        let at = values.opened_at;
        let order = Order {
            msisdn: values.msisdn,
            vehicle: values.vehicle.parse().map_err(|error| format!("vehicle: {error}"))?,
            city: values.city.clone(),
            route: values.route.clone(),
            agency: values.agency.clone(),
            fare_class: values.fare_class.clone(),
            passengers: values.passengers,
            amount: values.amount,
            trip: None,
            zone: None,
            channel: Channel::Api { caller: "ticket-service".into() },
            language: Language::Ru,
            extends: None,
            received_at: at,
        };
        let terms = Terms::new(at.plus(std::time::Duration::from_secs(60)), LateSuccess::Ticket);
        let mut charge = Charge::new(values.reference, order, terms);
        let carrier: CarrierName = "example".parse().map_err(|error| format!("carrier: {error}"))?;
        let wire_reference = profile.wire_references().write(values.reference, 1);
        let both = |id: &String| if profile.has_second_id { format!("{id} 4712") } else { id.clone() };
        let carrier_id = values.carrier_id.as_ref().map(both);
        let charged = Finding::Charged { carrier_id: carrier_id.clone(), amount: None };
        let evidence = Evidence { id: "sample".into(), attempt: 1, source: EvidenceSource::Response, finding: charged };
        let refund = values.reference.derive("refund", 1);
        for event in [
            Event::OpenAttempt { carrier, wire_reference, contract: profile.contract().attempt, carrier_time: None },
            Event::Evidence(evidence),
            Event::RequestRefund { refund, amount: values.refund_amount, by: None },
        ] {
            charge = step(&charge, event, at).map_err(|error| error.to_string())?.next;
        }
        if let Some(refund) = charge.refunds.last_mut() {
            refund.carrier_id = carrier_id;
        }
        Ok(Sample { values, charge })
    }

    /// What `operation` is rendered with.
    pub fn context(&self, operation: Operation) -> Context<'_> {
        let attempt = self.charge.last_attempt().filter(|_| operation.is_about_a_charge());
        Context {
            msisdn: self.values.msisdn,
            zone: &self.values.zone,
            attempt: attempt.map(|attempt| (&self.charge, attempt)),
            refund: self.charge.refunds.last().filter(|_| operation.is_refund()),
            otp: Some(self.values.otp.as_str()).filter(|_| operation == Operation::Validate),
            callbacks_at: self.values.callbacks_at.as_deref(),
        }
    }
}

impl Profile {
    /// Renders every template on samples, and notes what does not come out.
    pub(super) fn try_out(&self, document: &Document, problems: &mut Problems) {
        let secrets = HttpSecrets::masks(self.secrets());
        let known = SampleValues::default();
        // What the carrier has not told and the configuration need not have: a template may want it, but not be wrong without it.
        let unknown = SampleValues { carrier_id: None, callbacks_at: None, ..SampleValues::default() };
        let samples: Vec<Sample> =
            [known, unknown].into_iter().filter_map(|values| Sample::new(self, values).ok()).collect();
        for operation in self.operations() {
            for (n, sample) in samples.iter().enumerate() {
                match self.render(operation, &sample.context(operation), &secrets) {
                    Ok(_) => {}
                    Err(RenderError::NotKnown { .. }) if n > 0 => {}
                    Err(RenderError::Wrong { key, what }) => {
                        problems.note(&key, what);
                        break;
                    }
                    Err(error) => {
                        problems.note(operation.code(), error.to_string());
                        break;
                    }
                }
            }
            if let Some(sample) = samples.first() {
                self.try_echoes(operation, sample, problems);
            }
        }
        for (callback, section) in self.callbacks.iter().zip(&document.callback) {
            self.try_callback(callback, section.content, problems);
        }
    }

    /// Whether this operation is about something only by the carrier's own id of it.
    pub(super) fn wants_carrier_id(&self, operation: Operation) -> bool {
        let unknown = SampleValues { carrier_id: None, ..SampleValues::default() };
        let Ok(sample) = Sample::new(self, unknown) else { return false };
        let rendered = self.render(operation, &sample.context(operation), &HttpSecrets::masks(self.secrets()));
        matches!(rendered, Err(RenderError::NotKnown { .. }))
    }

    fn try_echoes(&self, operation: Operation, sample: &Sample, problems: &mut Problems) {
        let Some(compiled) = self.operation(operation) else { return };
        let values = self.variables(operation, &sample.context(operation), &HttpSecrets::default());
        let Ok(values) = values.map(Value::from) else { return };
        for (n, echo) in compiled.reply.echoes.iter().enumerate() {
            let key = format!("{}.echoes[{n}].equals", compiled.reply.key);
            problems.noted(&key, self.templates.render(&echo.equals, &values));
        }
    }

    fn try_callback(&self, callback: &CallbackReading, content: Content, problems: &mut Problems) {
        let empty = match content {
            Content::Json => "{}",
            Content::Xml => "<empty/>",
            Content::Form | Content::Text | Content::None => "",
        };
        let secrets = HttpSecrets::masks(self.secrets());
        let fields = || Value::from_object(Fields { content, text: empty.to_owned() });
        let values = Value::from(std::collections::BTreeMap::from([
            ("fields", fields()),
            ("headers", Value::from_object(Anything)),
            ("query", Value::from_object(Anything)),
            ("body", Value::from("")),
            ("method", Value::from("POST")),
            ("path", Value::from("")),
            ("constants", self.constants.clone()),
            ("secrets", secrets.as_variables()),
        ]));
        for proof in &callback.proofs {
            if let Proof::Signature { signature, .. } = proof
                && let Err((key, error)) = signature.sign(&self.templates, &values, &secrets)
            {
                problems.note(&key, error.to_string());
            }
        }
        let answers = [("accepted", Some(&callback.accepted)), ("refused", callback.refused.as_ref())];
        let values = Value::from(std::collections::BTreeMap::from([
            ("fields", fields()),
            ("constants", self.constants.clone()),
        ]));
        for (name, answer) in answers {
            if let Some(body) = answer.and_then(|answer| answer.body.as_ref()) {
                problems.noted(&format!("{}.{name}.body", callback.key), self.templates.render(body, &values));
            }
        }
    }
}

/// Has every key: nobody knows which headers a callback will bring.
#[derive(Debug)]
struct Anything;

impl Object for Anything {
    fn get_value(self: &std::sync::Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::from(""))
    }
}
