//! What handles, slots and responders ask of a link.

use std::time::Instant;

use tokio::sync::oneshot;

use super::places::Slot;
use crate::smpp::{
    pdu::{QuerySm, SubmitSm},
    session::{DeliveryId, QueryOutcome, SubmitOutcome},
    status::CommandStatus,
};

#[derive(Debug)]
pub(super) enum Command {
    Submit { sm: Box<SubmitSm>, token: u64, reply: oneshot::Sender<SubmitOutcome>, slot: Slot },
    Query { query: QuerySm, due: Instant, reply: oneshot::Sender<QueryOutcome>, slot: Slot },
    Answer { delivery: DeliveryId, session_number: u64, status: CommandStatus },
    Orphan { token: u64, outcome: SubmitOutcome },
}
