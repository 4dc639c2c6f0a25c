//! Who uses the gateway: phones that write and write again, and apps that buy, lose the answer and ask again.

use std::{sync::Arc, time::Duration};

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};
use tokio::{task::JoinSet, time::sleep};

use super::{
    carriers::SHORT_NUMBER,
    plan::{Kind, Role, dice},
    promises::Promised,
    world::World,
};
use crate::{
    charge::{Channel, Reference, State},
    gateway::{Awaited, Gateway, Purchase, PurchaseError, Purchased},
    msisdn::Msisdn,
    simulator::MoOutcome,
    store::KeyGuard,
};

/// Who asks for the apps' charges.
pub(super) const CALLER: &str = "ticket-service";
/// How often an app asks again without an answer.
const TRIES_MAX: u32 = 8;

/// What carriers send to phones.
const OTP: &str = "4321";

/// Everybody. The set is empty once all are done.
pub(super) fn begin(world: &Arc<World>, promised: &Promised) -> JoinSet<()> {
    let mut people = JoinSet::new();
    let mut number = 0_u64;
    for carrier in &world.carriers {
        for _ in 0..world.plan.passengers {
            number += 1;
            let msisdn = format!("+7{}{:07}", carrier.plan.prefix, 1_000_000 + number).parse().expect("a number");
            let mut dice = dice(world.plan.seed, Role::Passenger(number));
            let asks_for_otp = carrier.plan.kind == (Kind::Camara { two_step: true }) && dice.random_bool(0.5);
            let otp = asks_for_otp.then_some(OTP);
            carrier.simulator.set_otp(msisdn, otp).expect("room");
            let person = Person {
                world: world.clone(),
                promised: promised.clone(),
                name: carrier.plan.name,
                number,
                msisdn,
                otp,
                dice,
            };
            people.spawn(person.live());
        }
    }
    people
}

struct Person {
    world: Arc<World>,
    promised: Promised,
    /// Their carrier.
    name: &'static str,
    number: u64,
    msisdn: Msisdn,
    /// What the carrier sends to the phone for it to be entered, where a purchase is to be confirmed so.
    otp: Option<&'static str>,
    dice: StdRng,
}

impl Person {
    async fn live(mut self) {
        let mut errands = JoinSet::new();
        for errand in 0_u32.. {
            sleep(Duration::from_millis(self.dice.random_range(200..=40_000))).await;
            if self.world.clock.ran() >= self.world.plan.lasts {
                break;
            }
            match self.dice.random_range(0..10) {
                0..=3 => {
                    let text = *["1234", "1234", "1234*2", "1235", "1234*3"].choose(&mut self.dice).expect("some");
                    errands.spawn(self.text(text));
                    // Impatient, or a thumb that slips.
                    if self.dice.random_bool(0.3) {
                        sleep(Duration::from_millis(self.dice.random_range(0..=5_000))).await;
                        errands.spawn(self.text(text));
                    }
                }
                4 => {
                    let text =
                        *["билет", "?", "каз", "who is this", "9999", "1234*0"].choose(&mut self.dice).expect("some");
                    errands.spawn(self.text(text));
                }
                _ => {
                    let key = format!("{}-{errand}", self.number);
                    let vehicle = *["1234", "1235"].choose(&mut self.dice).expect("some");
                    let passengers = self.dice.random_range(1..=3);
                    errands.spawn(self.buy(&key, vehicle, passengers));
                    match self.dice.random_range(0..10) {
                        // The same request at the same time.
                        0 | 1 => drop(errands.spawn(self.buy(&key, vehicle, passengers))),
                        // The same wish under another key.
                        2 => drop(errands.spawn(self.buy(&format!("{key}-again"), vehicle, passengers))),
                        _ => {}
                    }
                }
            }
        }
        while errands.join_next().await.is_some() {}
    }

    fn text(&self, text: &'static str) -> impl Future<Output = ()> + Send + 'static {
        let (world, promised, msisdn, name) = (self.world.clone(), self.promised.clone(), self.msisdn, self.name);
        async move {
            let Some(carrier) = world.carrier(name) else { return };
            world.note(format_args!("{msisdn} writes {text:?}"));
            if let Some((vehicle, passengers)) = wish(text) {
                promised.wish(msisdn, vehicle, passengers);
            }
            let report = carrier.simulator.send_mo(msisdn, SHORT_NUMBER, text).await;
            world.note(format_args!("{msisdn} wrote {text:?}: {report:?}"));
            if report.is_ok_and(|report| report.outcome == MoOutcome::Acknowledged) {
                promised.message(msisdn, text);
            }
        }
    }

    /// An app buys. Whatever it does not hear, it asks again under the same key.
    fn buy(&mut self, key: &str, vehicle: &'static str, passengers: u8) -> impl Future<Output = ()> + Send + 'static {
        let (world, promised, msisdn, key) = (self.world.clone(), self.promised.clone(), self.msisdn, key.to_owned());
        let mut dice: StdRng = rand::SeedableRng::seed_from_u64(self.dice.random());
        let otp = self.otp;
        async move {
            promised.wish(msisdn, vehicle, passengers);
            let asks_again = dice.random_bool(0.3);
            for _ in 0..TRIES_MAX {
                let wish = (msisdn, vehicle, passengers);
                let answer = world.ask(async |gateway: Gateway| gateway.purchase(purchase(&gateway, wish, &key)).await);
                let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.ok().flatten();
                match answer {
                    Some(Ok(purchased)) => {
                        let charge = purchased.charge();
                        world.note(format_args!("key {key}: {} {:?}", charge.reference, charge.state));
                        promised.charge(&world, charge);
                        if let Purchased::Repeat(holder) = &purchased
                            && !holder.state.is_open()
                            && holder.state != State::Charged
                        {
                            world.violated(format!("M13: key {key} is answered with what has no ticket: {holder:?}"));
                        }
                        // A repeat of what is still open is told, and not kept.
                        let kept = !matches!(purchased, Purchased::Repeat(_)) || !charge.state.is_open();
                        if kept {
                            promised.key(&world, &key, charge.reference);
                        }
                        if let Some(otp) = otp {
                            enter(&world, &promised, charge.reference, otp, &mut dice).await;
                        }
                        if !asks_again {
                            return;
                        }
                    }
                    Some(Err(error)) => {
                        world.note(format_args!("key {key}: {error}"));
                        if matches!(error, PurchaseError::Impossible(_) | PurchaseError::KeyConflict(_)) {
                            if let PurchaseError::KeyConflict(_) = error {
                                world.violated(format!("key {key} was always used with one body: {error}"));
                            }
                            return;
                        }
                    }
                    None => world.note(format_args!("key {key}: no answer")),
                }
                sleep(Duration::from_millis(dice.random_range(100..=8_000))).await;
            }
        }
    }
}

/// Waits for the carrier's wish, and enters what the phone shows, with a slip now and then; or does not.
async fn enter(world: &World, promised: &Promised, reference: Reference, otp: &str, dice: &mut StdRng) {
    for _ in 0..4 {
        let patience = Duration::from_secs(10);
        let waited = world.ask(async |gateway: Gateway| gateway.wait(reference, patience).await).await;
        let Some(Ok(Some(Awaited { charge, .. }))) = waited else { return };
        promised.charge(world, &charge);
        if charge.state != State::AwaitingOtp || dice.random_bool(0.1) {
            return;
        }
        sleep(Duration::from_millis(dice.random_range(500..=20_000))).await;
        let typed = if dice.random_bool(0.2) { "1111" } else { otp };
        let typed = zeroize::Zeroizing::new(typed.to_owned());
        let told = world.ask(async |gateway: Gateway| gateway.submit_otp(reference, typed).await).await;
        if let Some(Ok(charge)) = &told {
            promised.charge(world, charge);
        }
        let told = told.map(|told| told.map(|charge| charge.state).map_err(|error| error.to_string()));
        world.note(format_args!("password for {reference}: {told:?}"));
    }
}

/// What a text asks for: a vehicle, and passengers in total.
fn wish(text: &str) -> Option<(&str, u8)> {
    let (vehicle, passengers) = text.split_once('*').unwrap_or((text, "1"));
    let is_code = vehicle.len() == 4 && vehicle.bytes().all(|byte| byte.is_ascii_digit());
    passengers.parse().ok().filter(|_| is_code).map(|passengers| (vehicle, passengers))
}

fn purchase(gateway: &Gateway, (msisdn, vehicle, passengers): (Msisdn, &str, u8), key: &str) -> Purchase {
    Purchase {
        msisdn,
        vehicle: vehicle.parse().expect("a code"),
        passengers,
        zone: None,
        fare_class: None,
        trip: None,
        channel: Channel::Api { caller: CALLER.into() },
        language: None,
        guard: KeyGuard { caller: CALLER.into(), key: key.into(), body_sha256: [passengers; 32] },
        mo: None,
        received_at: gateway.now(),
    }
}
