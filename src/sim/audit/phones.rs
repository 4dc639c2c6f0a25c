//! What passengers see.

use std::collections::BTreeSet;

use crate::{
    charge::{Charge, State},
    clock::Timestamp,
    sim::{staff::ALL, world::World},
    store::MessageState,
};

/// Characters of a text that surely goes in one message.
const ONE_MESSAGE: usize = 70;

/// Every text that the carrier took from us reached its phone, and no other did.
pub(super) async fn phones(world: &World, charges: &[Charge]) {
    let numbers: BTreeSet<_> = charges.iter().map(|charge| charge.order.msisdn).collect();
    for msisdn in numbers {
        let shown: Vec<String> = world
            .carriers
            .iter()
            .flat_map(|carrier| carrier.simulator.inbox(msisdn))
            .filter(|message| message.part.is_none())
            .map(|message| message.text)
            .collect();
        let sent = world.store.messages_to(msisdn, Timestamp::MIN, ALL).await.unwrap_or_default();
        for queued in &sent {
            // Parts of two long texts that share a number mix, on a real phone too.
            let in_one = queued.message.text.chars().count() <= ONE_MESSAGE;
            let arrived = in_one && matches!(queued.state, MessageState::Submitted | MessageState::Delivered);
            if arrived && !shown.contains(&queued.message.text) {
                world.violated(format!("{msisdn} sees {shown:?}, and not {queued:?}"));
            }
        }
        for text in shown.iter().filter(|text| text.chars().count() <= ONE_MESSAGE) {
            if sent.iter().all(|queued| queued.message.text != *text) {
                world.violated(format!("{msisdn} sees a text that we know nothing of: {text:?}"));
            }
        }
    }
    for charge in charges.iter().filter(|charge| charge.state == State::Charged) {
        let by_sms = charge.order.channel.sms_carrier().is_some();
        let texts = world.store.messages_of(charge.reference).await.unwrap_or_default();
        if by_sms && !texts.iter().any(|queued| queued.message.ticket) {
            world.violated(format!("{} was paid by SMS, and its ticket was never to be sent", charge.reference));
        }
    }
}
