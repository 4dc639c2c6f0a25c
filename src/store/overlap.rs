//! Which writes may share a batch.
//!
//! A batch is judged against what is kept before it and then written by set statements: two updates of one row in a set
//! statement would lose one, silently. So no two writes of a batch may touch the same thing.

use std::collections::HashSet;

use super::{IncomingSms, MoAnswer, OutgoingSms, Write};
use crate::{
    charge::{CarrierName, Reference},
    msisdn::Msisdn,
    transit::VehicleCode,
};

/// Something that at most one write of a batch may read or change.
#[derive(PartialEq, Eq, Hash)]
enum Touch<'a> {
    Charge(Reference),
    Key(&'a str, &'a str),
    /// Also stands for every charge of this subscriber on this vehicle: whoever takes the slot may supersede its holder.
    Slot(Msisdn, &'a VehicleCode),
    CarrierId(&'a CarrierName, &'a str),
    Parked(&'a str),
    Mo(Reference),
    /// Every part of a message from this number.
    Parts(Msisdn),
    Watch(&'a CarrierName),
    Fingerprint(&'a [u8; 32]),
    Message(Reference),
    Serials(&'a VehicleCode, &'a str),
    Language(Msisdn),
    /// All of them: what is kept of subscribers comes in few writes of many rows.
    Facts,
    Homes,
    Webhook(&'a str),
}

/// For each write in order: may it go with those before it? One that may not still holds back the later ones that touch
/// what it touches, so that their order is kept.
pub(super) fn apart<'a>(writes: impl Iterator<Item = &'a Write>) -> Vec<bool> {
    let mut taken = HashSet::new();
    let mut touches = Vec::new();
    writes
        .map(|write| {
            touches.clear();
            write.touch(&mut touches);
            let free = touches.iter().all(|touch| !taken.contains(touch));
            taken.extend(touches.drain(..));
            free
        })
        .collect()
}

impl Write {
    fn touch<'a>(&'a self, touches: &mut Vec<Touch<'a>>) {
        match self {
            Write::Open(opening) => {
                let charge = &opening.charge;
                touches.push(Touch::Charge(charge.reference));
                touches.push(Touch::Slot(charge.order.msisdn, &charge.order.vehicle));
                touches.push(Touch::Key(&opening.guard.caller, &opening.guard.key));
                touches.extend(opening.mo.map(Touch::Mo));
                touch_messages(&opening.messages, touches);
            }
            Write::Settle(settlement) => {
                let charge = &settlement.charge;
                touches.push(Touch::Charge(charge.reference));
                touches.push(Touch::Slot(charge.order.msisdn, &charge.order.vehicle));
                touches.extend(settlement.carrier_id.iter().map(|new| Touch::CarrierId(&new.carrier, &new.id)));
                touch_messages(&settlement.messages, touches);
            }
            Write::RecordRepeat { guard, reference, mo, .. } => {
                touches.push(Touch::Charge(*reference));
                touches.push(Touch::Key(&guard.caller, &guard.key));
                mo.iter().for_each(|answer| touch_answer(answer, touches));
            }
            Write::KeepMo(IncomingSms { id, fingerprint, part, msisdn, .. }) => {
                touches.push(Touch::Mo(*id));
                touches.push(Touch::Fingerprint(fingerprint));
                touches.extend(part.map(|_| Touch::Parts(*msisdn)));
            }
            Write::JoinParts(joined) => {
                touches.push(Touch::Mo(joined.message.id));
                touches.push(Touch::Parts(joined.message.msisdn));
                touches.extend(joined.parts.iter().copied().map(Touch::Mo));
            }
            Write::HandOverMo { mo, .. } => touches.push(Touch::Mo(*mo)),
            Write::WatchMos { carrier, .. } => touches.push(Touch::Watch(carrier)),
            Write::AnswerMo(answer) => touch_answer(answer, touches),
            Write::Park(receipt) => {
                touches.push(Touch::Parked(&receipt.id));
                touches.extend(receipt.carrier_id.iter().map(|id| Touch::CarrierId(&receipt.carrier, id)));
            }
            Write::Unpark { id } | Write::ReportUnowned { id, .. } => touches.push(Touch::Parked(id)),
            Write::MoveMessage(progress) => {
                touches.push(Touch::Message(progress.id));
                touches.extend(progress.carrier_id.iter().map(|(carrier, id)| Touch::CarrierId(carrier, id)));
            }
            Write::LeaseSerials { vehicle, day, .. } => touches.push(Touch::Serials(vehicle, day)),
            Write::SetLanguage { msisdn, .. } => touches.push(Touch::Language(*msisdn)),
            Write::KeepFacts(_) => touches.push(Touch::Facts),
            Write::KeepHomes(_) => touches.push(Touch::Homes),
            Write::Forget(_) => touches.extend([Touch::Facts, Touch::Homes]),
            Write::MoveWebhook(progress) => touches.push(Touch::Webhook(&progress.name)),
        }
    }
}

fn touch_answer<'a>(answer: &'a MoAnswer, touches: &mut Vec<Touch<'a>>) {
    touches.push(Touch::Mo(answer.mo));
    touch_messages(&answer.messages, touches);
}

fn touch_messages<'a>(messages: &'a [OutgoingSms], touches: &mut Vec<Touch<'a>>) {
    touches.extend(messages.iter().map(|message| Touch::Message(message.id)));
}
