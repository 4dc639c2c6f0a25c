//! What a carrier says of a number: the facts of a subscriber, and whose subscriber it is.

use reqwest::StatusCode;

use super::{
    Context, Meaning, Operation, Profile,
    body::{Body, Place, decoded},
    decimal::same_decimal,
    document::YesNo,
};
use crate::{
    charge::CarrierName,
    eligibility::{FactName, FactValue},
};

/// What an answer about a subscriber says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriberReading {
    /// What is known. A fact that the profile does not read is not in it; one that could not be read is *unknown*.
    Facts(Vec<(FactName, FactValue)>),
    /// The number is another carrier's.
    NotOurSubscriber,
    /// The carrier does not know the number.
    NotFound,
    /// Nothing can be made of the answer, and why.
    Unclear(String),
}

/// What an answer about a number's carrier says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortabilityReading {
    /// It is this carrier's.
    Carrier(CarrierName),
    /// It is the carrier's that the answer calls by this name; the profile does not list it.
    Unlisted(String),
    /// Nobody knows the number.
    NotFound,
    /// Nothing can be made of the answer, and why.
    Unclear(String),
}

/// How one fact is read, compiled.
#[derive(Clone, Debug)]
pub(super) struct FactReading {
    pub(super) name: FactName,
    pub(super) at: Vec<Place>,
    pub(super) yes: Vec<String>,
    pub(super) no: Vec<String>,
    pub(super) positive: Option<YesNo>,
    pub(super) present: Option<YesNo>,
    pub(super) absent: Option<YesNo>,
}

impl YesNo {
    const fn value(self) -> FactValue {
        match self {
            YesNo::Yes => FactValue::True,
            YesNo::No => FactValue::False,
        }
    }

    const fn opposite(self) -> YesNo {
        match self {
            YesNo::Yes => YesNo::No,
            YesNo::No => YesNo::Yes,
        }
    }
}

impl FactReading {
    fn value(&self, body: &Body<'_>) -> FactValue {
        let Ok(found) = body.first(&self.at) else { return FactValue::Unknown };
        let Some(found) = found else { return self.absent.map_or(FactValue::Unknown, YesNo::value) };
        let listed = |values: &[String]| values.iter().any(|value| value.eq_ignore_ascii_case(&found));
        if listed(&self.yes) {
            return FactValue::True;
        }
        if listed(&self.no) {
            return FactValue::False;
        }
        if let Some(positive) = self.positive {
            let unsigned = found.strip_prefix('-').unwrap_or(&found);
            return match (same_decimal(unsigned, unsigned), same_decimal(unsigned, "0")) {
                (true, true) => positive.opposite().value(),
                (true, false) if found.len() == unsigned.len() => positive.value(),
                // Less than nothing is not more than nothing.
                (true, false) => positive.opposite().value(),
                (false, _) => FactValue::Unknown,
            };
        }
        self.present.map_or(FactValue::Unknown, YesNo::value)
    }
}

impl Profile {
    /// The facts that `subscriber` reads; none if the profile does not have it.
    pub fn facts(&self) -> Vec<FactName> {
        let operation = self.operation(Operation::Subscriber);
        operation.into_iter().flat_map(|operation| operation.facts.iter().map(|fact| fact.name)).collect()
    }

    /// What an answer to `subscriber` says. An answer that echoes another number says nothing.
    pub fn read_subscriber(&self, context: &Context<'_>, status: StatusCode, body: &[u8]) -> SubscriberReading {
        let Some(operation) = self.operation(Operation::Subscriber) else {
            return SubscriberReading::Unclear("the profile has no subscriber".into());
        };
        let reading = self.read(Operation::Subscriber, context, status, body);
        match (reading.meaning, reading.trouble) {
            (_, Some(trouble)) => SubscriberReading::Unclear(trouble),
            (Some(Meaning::Found), None) => {
                let content = operation.reply.places.content;
                let read = |body: &Body<'_>| operation.facts.iter().map(|fact| (fact.name, fact.value(body))).collect();
                let facts = decoded(content, body).and_then(|text| Ok(read(&Body::parse(content, &text)?)));
                facts.map_or_else(|error| SubscriberReading::Unclear(error.to_string()), SubscriberReading::Facts)
            }
            (Some(Meaning::NotOurSubscriber), None) => SubscriberReading::NotOurSubscriber,
            (Some(Meaning::NotFound), None) => SubscriberReading::NotFound,
            (_, None) => SubscriberReading::Unclear(unclear(status, reading.result.as_deref())),
        }
    }

    /// What an answer to `portability` says. An answer that echoes another number says nothing.
    pub fn read_portability(&self, context: &Context<'_>, status: StatusCode, body: &[u8]) -> PortabilityReading {
        let Some(operation) = self.operation(Operation::Portability) else {
            return PortabilityReading::Unclear("the profile has no portability".into());
        };
        let reading = self.read(Operation::Portability, context, status, body);
        match (reading.meaning, reading.trouble) {
            (_, Some(trouble)) => PortabilityReading::Unclear(trouble),
            (Some(Meaning::Found), None) => {
                let content = operation.reply.places.content;
                let name = decoded(content, body).and_then(|text| {
                    let body = Body::parse(content, &text)?;
                    Ok(body.first(&operation.carrier)?.map(std::borrow::Cow::into_owned))
                });
                match name {
                    Ok(Some(name)) => match operation.carriers.get(&name) {
                        Some(carrier) => PortabilityReading::Carrier(carrier.clone()),
                        None => PortabilityReading::Unlisted(super::reply::shortened(&name)),
                    },
                    Ok(None) => PortabilityReading::Unclear("the answer names no carrier".into()),
                    Err(error) => PortabilityReading::Unclear(error.to_string()),
                }
            }
            (Some(Meaning::NotFound), None) => PortabilityReading::NotFound,
            (_, None) => PortabilityReading::Unclear(unclear(status, reading.result.as_deref())),
        }
    }
}

fn unclear(status: StatusCode, result: Option<&str>) -> String {
    let result = result.map(|result| format!(", result {:?}", super::reply::shortened(result))).unwrap_or_default();
    format!("no row fits HTTP status {}{result}", status.as_u16())
}
