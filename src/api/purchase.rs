//! `POST /v1/charges`.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{
    answer::ChargeAnswer,
    auth::Caller,
    charges::with_ticket,
    error::{Code, Problem, ProblemDocument},
    headers::{IdempotencyKey, PREFERENCE_APPLIED, preferred_wait, visible},
    reading::JsonBody,
    routes::Api,
};
use crate::{
    charge::{Channel, Charge, Reason, Trip},
    clock::Timestamp,
    gateway::{Awaited, Gateway, Purchase, Purchased},
    msisdn::Msisdn,
    passenger::Language,
    store::KeyGuard,
    transit::{VehicleCode, VehicleName, Zone},
};

/// The longest id of a trip, in characters.
const TRIP_CHARS_MAX: usize = 64;

/// A purchase.
///
/// What the idempotency key guards is this, not the bytes it came in: the order of fields, white space and the spelling of
/// number and plate make no other body. A field that comes later must be left out of the JSON where it is absent, or the
/// keys of yesterday would conflict.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewCharge {
    /// Whose balance pays: `+7707…`, `8707…`, `7707…` or ten digits.
    #[schema(value_type = String, example = "+77051234567", pattern = r"^(\+?[ ()-]*7|[ ()-]*8)?[ ()-]*7([ ()-]*[0-9]){9}[ ()-]*$")]
    msisdn: Msisdn,
    /// The number on the sticker in the bus, or its state plate. Small letters, and Cyrillic ones that look the same, are taken too.
    #[schema(value_type = String, example = "1234", pattern = r"^([0-9]{1,8}|[0-9]{3} ?[A-Z]{2,3} ?(0[1-9]|1[0-9]|20)|[A-Z] ?[0-9]{3} ?[A-Z]{2,3})$")]
    vehicle: VehicleName,
    /// Passengers in total who are to ride on this number in this vehicle: those who have paid already are not charged again.
    #[serde(default = "one")]
    #[schema(default = 1, minimum = 1, maximum = 50)]
    passengers: u8,
    /// The fare class, if it is not that of the vehicle's route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fare_class: Option<String>,
    /// The trip, if it is known: the ticket is then valid until its terminus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trip: Option<NewTrip>,
    /// The language in which the passenger is answered: `kk`, `ru` or `en`. The passenger's own choice outranks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "kk", pattern = r"^(kk|ru|en)$")]
    language: Option<Language>,
    /// The zone that the passenger rides to, 1 to 9: on routes with zones, where it must be named, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 9, example = 3)]
    zone: Option<Zone>,
}

/// The trip that the passenger rides on.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct NewTrip {
    /// The caller's id of it, 1 to 64 characters.
    #[schema(min_length = 1, max_length = 64)]
    id: String,
    /// The scheduled arrival at the terminus.
    #[schema(value_type = String, format = DateTime)]
    arrives_at: Timestamp,
    /// On a ring route, the scheduled end of the round that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_arrives_at: Option<Timestamp>,
}

const fn one() -> u8 {
    1
}

impl NewCharge {
    /// What no type can say.
    fn check(&self) -> Result<(), Problem> {
        let Some(trip) = &self.trip else { return Ok(()) };
        if !(1..=TRIP_CHARS_MAX).contains(&trip.id.chars().count()) {
            return Err(Problem::field("/trip/id", format!("from 1 to {TRIP_CHARS_MAX} characters")));
        }
        if trip.next_arrives_at.is_some_and(|next| next <= trip.arrives_at) {
            return Err(Problem::field("/trip/next_arrives_at", "must be after arrives_at"));
        }
        Ok(())
    }

    /// SHA-256 over the content: what makes two requests the same (M15).
    fn sha256(&self) -> Result<[u8; 32], Problem> {
        let content = serde_json::to_vec(self).map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Sha256::new_with_prefix(b"POST /v1/charges\n").chain_update(content).finalize().into())
    }

    /// The code of the vehicle that is meant. A code that nobody knows is the gateway's to refuse.
    fn vehicle_code(&self, gateway: &Gateway) -> Result<VehicleCode, Problem> {
        match &self.vehicle {
            VehicleName::Code(code) => Ok(*code),
            VehicleName::Plate(plate) => {
                let books = gateway.books();
                let vehicle = books.catalogue.vehicle_by_plate(plate);
                vehicle.map(|vehicle| vehicle.code).ok_or(Problem::bare(Code::Impossible(Reason::UnknownVehicle)))
            }
        }
    }
}

/// Buys, or finds what was bought
///
/// The charge is durable when this returns, and on its way. Its outcome may come later: ask for it by its reference, or
/// wait for it with `Prefer: wait=N`.
///
/// Whatever went wrong on the way, the same request under the same `Idempotency-Key` is always safe. The same number in the
/// same vehicle again, under another key, is a repeat: it is answered with the charge that is there already, and with
/// `repeat_of`.
///
/// A passenger's SMS that was handed over by webhook is bought with its `mo` as the key. The passenger is then answered by SMS.
#[utoipa::path(
    post, path = "/v1/charges", tag = "charges",
    params(
        ("Idempotency-Key" = String, Header, description = "One key per purchase: 1 to 255 printable ASCII characters. Its scope is the caller.", min_length = 1, max_length = 255, pattern = r"^[!-~]([ -~]*[!-~])?$"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: wait up to N seconds for the outcome (RFC 7240). What is applied is said in `Preference-Applied`.", example = "wait=10"),
    ),
    request_body = NewCharge,
    responses(
        (status = 200, description = "The charge was there already: the key was used for the same request before, or it is a repeat. Its state is final.", body = ChargeAnswer),
        (status = 201, description = "A new charge whose state is final: charged, declined or rejected.", body = ChargeAnswer,
            headers(("Location" = String, description = "The charge."))),
        (status = 202, description = "The outcome is still to come: `processing`, `awaiting_otp` or `in_doubt`. Not an error, and not final.", body = ChargeAnswer,
            headers(("Location" = String, description = "The charge."))),
        (status = 409, description = "`idempotency_key_conflict`: the key was used for another request. `mo_answered`: the key is the id of an SMS that was handed over, and the passenger has been told that nothing was charged. `books_restored`: the books were put back from a back-up, and the key may have been used in the time that they lost.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_requests`: more charges a second, or more requests at once, than were agreed with this caller. The key was not used up.", body = ProblemDocument, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "After so many seconds it is worth asking again."))),
        (status = 422, description = "Nobody can make this purchase: `unknown_vehicle`, `fare_not_found`, `zone_missing`, `zone_unexpected`, `unknown_zone` or `no_route`. The key was not used up.", body = ProblemDocument, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn open_charge(
    State(api): State<Api>,
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(body): JsonBody<NewCharge>,
) -> Result<Response, Problem> {
    caller.count_charge()?;
    let received_at = gateway.now();
    body.check()?;
    let purchase = Purchase {
        msisdn: body.msisdn,
        vehicle: body.vehicle_code(&gateway)?,
        passengers: body.passengers,
        guard: KeyGuard { caller: caller.name().to_owned(), key, body_sha256: body.sha256()? },
        zone: body.zone,
        fare_class: body.fare_class,
        trip: body.trip.map(|trip| Trip {
            id: trip.id,
            arrives_at: trip.arrives_at,
            next_arrives_at: trip.next_arrives_at,
        }),
        channel: Channel::Api { caller: caller.name().to_owned() },
        language: body.language,
        mo: None,
        received_at,
    };
    let wait = preferred_wait(&headers).map(|wait| api.bounded(wait));
    let (purchased, awaited) = buy(&gateway, purchase, wait).await?;
    let (is_new, is_repeat) = match &purchased {
        Purchased::New(_) => (true, false),
        Purchased::Replayed { repeat, .. } => (false, *repeat),
        Purchased::Repeat(_) => (false, true),
    };
    let mut response = respond(&gateway, awaited, is_new, is_repeat).await?;
    if let Some(wait) = wait {
        response.headers_mut().insert(PREFERENCE_APPLIED, visible(&format!("wait={}", wait.as_secs())));
    }
    Ok(response)
}

/// Buys, and waits for the outcome.
async fn buy(gateway: &Gateway, purchase: Purchase, wait: Option<Duration>) -> Result<(Purchased, Awaited), Problem> {
    let Some(wait) = wait else {
        let purchased = gateway.purchase(purchase).await?;
        let charge = purchased.charge().clone();
        return Ok((purchased, charge.into()));
    };
    let (purchased, awaited) = gateway.purchase_and_wait(purchase.clone(), wait).await?;
    let found_open = matches!(&purchased, Purchased::Repeat(holder) if holder.state.is_open());
    if !found_open || awaited.charge.state.is_open() {
        return Ok((purchased, awaited));
    }
    // The key of a repeat stands for nothing while what it repeats is open. What is answered as final must be what it is answered
    // with for ever (M15), so the purchase is made once more, now that there is an outcome.
    let purchased = gateway.purchase(purchase).await?;
    let charge = purchased.charge().clone();
    Ok((purchased, charge.into()))
}

/// The charge after at most `wait`.
pub(super) async fn outcome(gateway: &Gateway, charge: &Charge, wait: Option<Duration>) -> Result<Awaited, Problem> {
    match wait {
        Some(wait) if charge.state.is_open() => {
            let found = gateway.wait(charge.reference, wait).await?;
            found.ok_or_else(|| Problem::internal(format!("charge {} is gone", charge.reference)))
        }
        _ => Ok(charge.clone().into()),
    }
}

async fn respond(gateway: &Gateway, awaited: Awaited, is_new: bool, is_repeat: bool) -> Result<Response, Problem> {
    let status = match (awaited.charge.state.is_open(), is_new) {
        (true, _) => StatusCode::ACCEPTED,
        (false, true) => StatusCode::CREATED,
        (false, false) => StatusCode::OK,
    };
    let location = visible(&format!("/v1/charges/{}", awaited.charge.reference));
    let answer = with_ticket(gateway, awaited).await?;
    let answer = if is_repeat { answer.marked_as_repeat() } else { answer };
    Ok((status, [(header::LOCATION, location)], Json(answer)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(body: &str) -> String {
        let body: NewCharge = serde_json::from_str(body).expect("a purchase");
        data_encoding::HEXLOWER.encode(&body.sha256().expect("a hash"))
    }

    #[test]
    fn spelling_and_order_make_no_other_body_and_content_does() {
        let plain = sha256(r#"{"msisdn": "+77051234567", "vehicle": "1234"}"#);
        for same in [
            r#"{"vehicle":"1234","msisdn":"8 (705) 123-45-67"}"#,
            r#"{"msisdn": "7051234567", "passengers": 1, "vehicle": "1234", "trip": null}"#,
        ] {
            assert_eq!(sha256(same), plain, "{same}");
        }
        for other in [
            r#"{"msisdn": "+77051234567", "vehicle": "01234"}"#,
            r#"{"msisdn": "+77051234567", "vehicle": "1234", "passengers": 2}"#,
            r#"{"msisdn": "+77051234567", "vehicle": "1234", "language": "kk"}"#,
            r#"{"msisdn": "+77051234567", "vehicle": "1234", "zone": 3}"#,
            r#"{"msisdn": "+77051234568", "vehicle": "1234"}"#,
        ] {
            assert_ne!(sha256(other), plain, "{other}");
        }
        assert_eq!(
            sha256(r#"{"msisdn": "+77051234567", "vehicle": "123 abc 02"}"#),
            sha256(r#"{"msisdn": "+77051234567", "vehicle": "123АВС02"}"#)
        );
    }

    #[test]
    fn keys_of_yesterday_still_match_their_bodies() {
        // If this changes, a request that is repeated across an upgrade is answered with a conflict.
        assert_eq!(
            sha256(
                r#"{"msisdn": "+77051234567", "vehicle": "1234", "passengers": 2, "fare_class": "reduced", "language": "ru",
                "trip": {"id": "92-17", "arrives_at": "2026-03-01T12:30:00+05:00"}}"#
            ),
            "21102ff96d7de5ee59b7c4a293c6dd49f04369aa73997f6573e9b7311ec8c664"
        );
    }
}
