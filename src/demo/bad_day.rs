//! What carriers do wrong: one passenger for each, and one fare from each passenger.

use super::{
    DemoError,
    cast::{
        BUS, EARLY_RECEIPT, ERROR_AFTER, EXPIRED_TOKEN, FARE_TENGE, LATE_RESPONSE, LOST_RESPONSE, Passenger,
        RESET_AFTER, THROTTLED,
    },
    sections::RESPONSE_TIMEOUT_MS,
    stage::{Stage, expect},
};
use crate::simulator::{Fault, Operation};

/// Comfortably more than the gateway waits for a response.
const LATE_MS: u64 = RESPONSE_TIMEOUT_MS + 400;
/// What altel's profile answers to a callback whose signature is wrong.
const FORBIDDEN: u16 = 403;

/// Plays the bad day.
pub(super) async fn play(stage: &Stage) -> Result<(), DemoError> {
    stage.story.chapter("The carriers have a bad day");
    over_smpp(stage).await?;
    over_http(stage).await?;
    stage.story.note("Whatever the carriers did: one fare is taken from each, and each has a ticket.");
    for passenger in [THROTTLED, EARLY_RECEIPT, LATE_RESPONSE, LOST_RESPONSE, EXPIRED_TOKEN, ERROR_AFTER, RESET_AFTER] {
        stage.expect_taken(passenger, FARE_TENGE)?;
    }
    Ok(())
}

async fn over_smpp(stage: &Stage) -> Result<(), DemoError> {
    stage.story.mishap("kcell", "says \"too fast\" twice (ESME_RTHROTTLED)");
    stage.fault(THROTTLED, 2, Fault::Throttle)?;
    stage.buys(THROTTLED, BUS, "charged").await?;

    stage.story.mishap("beeline", "sends the receipt before the response");
    stage.fault(EARLY_RECEIPT, 1, Fault::ReceiptBeforeResponse)?;
    stage.buys(EARLY_RECEIPT, BUS, "charged").await?;

    stage.story.mishap("kcell", &format!("answers after {LATE_MS} ms; the gateway waits for {RESPONSE_TIMEOUT_MS} ms"));
    stage.fault(LATE_RESPONSE, 1, Fault::DelayResponse { ms: LATE_MS })?;
    stage.fault(LATE_RESPONSE, 1, Fault::NoReceipt)?;
    pays_and_gets_a_ticket(stage, LATE_RESPONSE).await?;

    stage.story.mishap("beeline", "loses its response; only the receipt tells that the money was taken");
    stage.fault(LOST_RESPONSE, 1, Fault::DropResponse)?;
    stage.fault(LOST_RESPONSE, 1, Fault::LateReceipt { ms: LATE_MS })?;
    pays_and_gets_a_ticket(stage, LOST_RESPONSE).await
}

async fn over_http(stage: &Stage) -> Result<(), DemoError> {
    stage.story.mishap("tele2", "knows our access token no more (401): with a new one, the same request");
    stage.carrier(EXPIRED_TOKEN).expire_tokens();
    stage.buys(EXPIRED_TOKEN, BUS, "charged").await?;

    stage.story.mishap("tele2", "takes the money and answers 500: nothing is sent again, it is asked");
    stage.fault_over_http(ERROR_AFTER, Operation::Confirm, 1, Fault::HttpErrorAfter { status: 500 })?;
    pays_and_gets_a_ticket(stage, ERROR_AFTER).await?;

    stage.story.mishap("altel", "takes the money and breaks the connection");
    stage.story.mishap("somebody", "calls back for altel, with a wrong signature: refused, and altel is asked");
    stage.fault_over_http(RESET_AFTER, Operation::Charge, 1, Fault::HttpResetAfter)?;
    stage.fault_over_http(RESET_AFTER, Operation::Charge, 1, Fault::HttpCallbackWrongToken)?;
    pays_and_gets_a_ticket(stage, RESET_AFTER).await?;
    let answers = stage.carrier(RESET_AFTER).stats().http.callback_answers_by_status;
    expect(answers.get(&FORBIDDEN) == Some(&1), || format!("the forged callback was not refused: {answers:?}"))
}

async fn pays_and_gets_a_ticket(stage: &Stage, passenger: Passenger) -> Result<(), DemoError> {
    let shown = stage.pays(passenger, BUS).await?;
    stage.settles(shown, "charged").await.map(|_| ())
}
