//! What the morning is played on: the carriers, a daemon, and somebody who tells what happens.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    DemoError,
    api::{Api, ApiCharge},
    carriers::{Carriers, SHORT_NUMBER},
    cast::{CarrierId, Passenger},
    credentials::{Credentials, secret},
    daemon::{Daemon, last_lines},
    files::{Configured, Files},
    sections::sections,
    story::Story,
};
use crate::{
    clock::Clock,
    money::Money,
    simulator::{Fault, FaultRule, InboxMessage, MoOutcome, Operation, Simulator, Traffic},
};

/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether it is there.
const LOOK: Duration = Duration::from_millis(10);

/// The world of one morning. The daemon is killed and the folder removed when it goes.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) story: Story,
    pub(super) carriers: Carriers,
    pub(super) api: Api,
    pub(super) daemon: Daemon,
    token: String,
    /// Last, so that the daemon has lost its folder only when it is gone.
    pub(super) files: Files,
}

impl Stage {
    /// Starts the carriers and the daemon, and waits until it can send to all of them.
    pub(super) async fn set(story: Story) -> Result<Stage, DemoError> {
        let (credentials, token) = (Credentials::drawn(), secret::<32>());
        let files = Files::write(&credentials, Clock::System.now())?;
        let carriers = Carriers::start(&credentials, files.callbacks()).await?;
        let configured = configure(&files, &carriers, &token)?;
        let daemon = Daemon::start(&configured, files.log())?;
        let api = Api::new(configured.api, token.clone())?;
        let mut stage = Stage { story, carriers, api, daemon, token, files };
        stage.ready().await?;
        Ok(stage)
    }

    /// Starts the daemon anew, on the same database.
    pub(super) async fn restart(&mut self) -> Result<(), DemoError> {
        let configured = configure(&self.files, &self.carriers, &self.token)?;
        self.daemon = Daemon::start(&configured, self.files.log())?;
        self.api = Api::new(configured.api, self.token.clone())?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<(), DemoError> {
        let began = Instant::now();
        loop {
            // It does not listen yet, or its links are not up: both pass.
            if matches!(self.api.carriers_up().await, Ok(up) if up == CarrierId::ALL.len()) {
                return Ok(());
            }
            self.daemon.check_running().map_err(|error| self.with_log(error))?;
            if began.elapsed() > PATIENCE {
                let error = DemoError::InVain { what: "the daemon is ready".into(), limit: PATIENCE };
                return Err(self.with_log(error));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The error with what the daemon has to say about it.
    pub(super) fn with_log(&self, error: DemoError) -> DemoError {
        match error {
            DemoError::WithLog { .. } => error,
            error => DemoError::WithLog { error: Box::new(error), log: last_lines(self.daemon.log_file()) },
        }
    }

    pub(super) fn carrier(&self, passenger: Passenger) -> &Simulator {
        self.carriers.of(passenger.carrier())
    }

    /// The next charged message to this passenger meets `fault`.
    pub(super) fn fault(&self, passenger: Passenger, times: u32, fault: Fault) -> Result<(), DemoError> {
        let rule = FaultRule::for_number(passenger.msisdn(), times, fault).only(Traffic::Charged);
        Ok(self.carrier(passenger).set_fault(rule)?)
    }

    /// The next requests over HTTP that ask `operation` for this passenger meet `fault`.
    pub(super) fn fault_over_http(
        &self,
        passenger: Passenger,
        operation: Operation,
        times: u32,
        fault: Fault,
    ) -> Result<(), DemoError> {
        let rule = FaultRule::for_number(passenger.msisdn(), times, fault).on(operation);
        Ok(self.carrier(passenger).set_fault(rule)?)
    }

    /// A passenger writes to the short number, and gets an answer with `expected` in it.
    pub(super) async fn writes(&self, passenger: Passenger, text: &str, expected: &str) -> Result<(), DemoError> {
        let before = self.inbox(passenger).len();
        self.story.passenger_says(passenger, text);
        send(self.carrier(passenger), passenger, text).await?;
        self.reads(passenger, before, expected).await
    }

    /// A passenger buys by SMS. The charge, which ends as `state`; the passenger is told.
    pub(super) async fn buys(&self, passenger: Passenger, text: &str, state: &str) -> Result<ApiCharge, DemoError> {
        let (before, known) = (self.inbox(passenger).len(), self.api.charges_of(passenger).await?);
        self.story.passenger_says(passenger, text);
        send(self.carrier(passenger), passenger, text).await?;
        let charge = self.ends(passenger, known.len(), state).await?;
        self.reads(passenger, before, short_code(&charge)).await?;
        Ok(charge)
    }

    /// Waits until a phone shows an answer with `expected` in it, after the first `before` messages. A text may come twice,
    /// which costs nobody anything: so they are not counted.
    pub(super) async fn reads(&self, passenger: Passenger, before: usize, expected: &str) -> Result<(), DemoError> {
        let what = format!("{} reads {expected:?}", passenger.name);
        let read = until(&what, async || {
            Ok(self.inbox(passenger).into_iter().skip(before).find(|text| text.contains(expected)))
        });
        self.story.passenger_reads(passenger, &read.await?);
        Ok(())
    }

    /// What a phone shows, the oldest first.
    pub(super) fn inbox(&self, passenger: Passenger) -> Vec<String> {
        whole(self.carrier(passenger).inbox(passenger.msisdn()))
    }

    /// A passenger presses *pay* in an app: `POST /v1/charges` with a new key. The charge as the answer shows it: its outcome,
    /// or that it is in doubt.
    pub(super) async fn pays(&self, passenger: Passenger, vehicle: &str) -> Result<ApiCharge, DemoError> {
        self.story.passenger_says(passenger, &format!("[pay] in the app, on bus {vehicle}: POST /v1/charges"));
        let charge = self.api.buy(passenger, vehicle, &secret::<16>()).await?;
        self.tell(&charge);
        Ok(charge)
    }

    /// The next charge of a passenger after `known` earlier ones, once it has ended. Errors: it ends otherwise than as `state`.
    pub(super) async fn ends(&self, passenger: Passenger, known: usize, state: &str) -> Result<ApiCharge, DemoError> {
        let what = format!("a charge of {} has ended", passenger.name);
        let next = until(&what, async || {
            let newest_first = self.api.charges_of(passenger).await?;
            Ok(newest_first.into_iter().rev().nth(known).filter(ApiCharge::is_final))
        });
        let charge = self.api.charge(next.await?.reference).await?;
        self.tell(&charge);
        ended_as(charge, state)
    }

    /// A charge that the API showed, once it has ended. Errors: it ends otherwise than as `state`.
    pub(super) async fn settles(&self, shown: ApiCharge, state: &str) -> Result<ApiCharge, DemoError> {
        if shown.is_final() {
            return ended_as(shown, state);
        }
        let what = format!("the charge {} has ended", shown.reference);
        let charge =
            until(&what, async || Ok(Some(self.api.charge(shown.reference).await?).filter(ApiCharge::is_final)));
        let charge = charge.await?;
        self.tell(&charge);
        ended_as(charge, state)
    }

    /// Says where a charge stands.
    pub(super) fn tell(&self, charge: &ApiCharge) {
        let ApiCharge { state, amount, .. } = charge;
        let text = match (state.as_str(), charge.charged_at, &charge.reason) {
            ("in_doubt", ..) => {
                return self.story.mishap("gateway", "in_doubt: nobody knows yet whether the money was taken");
            }
            ("awaiting_otp", ..) => "awaiting_otp: the amount is held, a one-time password is wanted".into(),
            ("refunded", ..) => {
                let refunded = charge.refunded_amount.unwrap_or(*amount);
                let revoked = charge.ticket.as_ref().filter(|ticket| ticket.revoked_at.is_some());
                let ticket = revoked.map(|ticket| format!(", and the ticket {} is revoked", ticket.short_code));
                format!("refunded: {refunded} went back{}", ticket.unwrap_or_default())
            }
            (_, Some(_), _) if charge.repeat_of.is_some() => "repeat_of that charge: nothing more is taken".to_owned(),
            (_, Some(charged_at), _) => {
                let ms = charged_at.since(charge.received_at).as_millis();
                let ticket = charge.ticket.as_ref().map(|ticket| format!(", ticket {}", ticket.short_code));
                format!("{state}: {amount} in {ms} ms{}", ticket.unwrap_or_default())
            }
            (_, None, Some(reason)) => format!("{state}: {reason}; nothing is taken"),
            (_, None, None) => state.clone(),
        };
        self.story.said("gateway", &text);
    }

    /// What a carrier's own books say it took from a passenger, less what it gave back.
    fn taken(&self, passenger: Passenger) -> Money {
        let (ledger, msisdn) = (self.carrier(passenger).ledger(), passenger.msisdn());
        Money::kzt(ledger.total_of(msisdn).minor - ledger.refunded_of(msisdn).minor)
    }

    /// Errors: by the carrier's own books, another amount than `tenge` is missing from this passenger's balance.
    pub(super) fn expect_taken(&self, passenger: Passenger, tenge: i64) -> Result<(), DemoError> {
        let (taken, expected) = (self.taken(passenger), Money::kzt(100 * tenge));
        expect(taken == expected, || format!("{taken} was taken from {}, not {expected}", passenger.name))
    }
}

fn configure(files: &Files, carriers: &Carriers, token: &str) -> Result<Configured, DemoError> {
    files.configure(&sections(carriers, files.callbacks()), token)
}

/// The texts that are there whole. A phone shows one that comes in parts when it has all of them.
fn whole(messages: Vec<InboxMessage>) -> Vec<String> {
    messages.into_iter().filter(|message| message.part.is_none()).map(|message| message.text).collect()
}

/// The code of a charge's ticket, as the ticket's SMS shows it; nothing if there is no ticket.
pub(super) fn short_code(charge: &ApiCharge) -> &str {
    charge.ticket.as_ref().map_or("", |ticket| &ticket.short_code)
}

fn ended_as(charge: ApiCharge, state: &str) -> Result<ApiCharge, DemoError> {
    expect(charge.state == state, || format!("the charge {} is {}, not {state}", charge.reference, charge.state))?;
    Ok(charge)
}

/// Sends a passenger's message, and waits until the gateway has taken it.
pub(super) async fn send(carrier: &Simulator, passenger: Passenger, text: &str) -> Result<(), DemoError> {
    let report = carrier.send_mo(passenger.msisdn(), SHORT_NUMBER, text).await?;
    match report.outcome {
        MoOutcome::Acknowledged => Ok(()),
        outcome => Err(DemoError::MoNotTaken { passenger: passenger.name, outcome }),
    }
}

/// Looks again and again until `look` finds something. Errors: its own; nothing in time.
pub(super) async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, DemoError>,
) -> Result<T, DemoError> {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if began.elapsed() > PATIENCE {
            return Err(DemoError::InVain { what: what.into(), limit: PATIENCE });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Errors: what should hold does not.
pub(super) fn expect(holds: bool, what: impl FnOnce() -> String) -> Result<(), DemoError> {
    if holds { Ok(()) } else { Err(DemoError::Otherwise(what())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, simulator::Part};

    #[test]
    fn a_text_in_parts_is_read_when_all_of_them_are_there() {
        let message = |text: &str, part| {
            let (at, from) = (Timestamp::from_unix_seconds(0), SHORT_NUMBER.to_owned());
            InboxMessage { at, from, text: text.to_owned(), part }
        };
        let half = message("Деньги не спис", Some(Part { reference: 7, total: 2, number: 1 }));
        let ticket = message("Билет 000CRNAW", None);
        assert_eq!(whole(vec![half, ticket]), ["Билет 000CRNAW"]);
    }
}
