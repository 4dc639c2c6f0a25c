//! What the morning is played on: two carriers, a daemon, and somebody who tells what happens.

use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::time::Instant;

use super::{
    DemoError,
    api::{Api, ApiCharge},
    carriers::{Carriers, SHORT_NUMBER},
    cast::{CarrierId, Passenger},
    daemon::{Daemon, last_lines},
    files::Files,
    story::Story,
};
use crate::{
    clock::Clock,
    money::Money,
    simulator::{Fault, FaultRule, MoOutcome, Simulator, Traffic},
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
    /// Starts the carriers and the daemon, and waits until it can send to both.
    pub(super) async fn set(story: Story) -> Result<Stage, DemoError> {
        let (password, token) = (secret::<4>(), secret::<32>());
        let carriers = Carriers::start(&password).await?;
        let files = Files::write(&password, Clock::System.now())?;
        let configured = files.configure(&carriers.profiles(), &token)?;
        let daemon = Daemon::start(&configured, files.log())?;
        let api = Api::new(configured.api, token.clone())?;
        let mut stage = Stage { story, carriers, api, daemon, token, files };
        stage.ready().await?;
        Ok(stage)
    }

    /// Starts the daemon anew, on the same database.
    pub(super) async fn restart(&mut self) -> Result<(), DemoError> {
        let configured = self.files.configure(&self.carriers.profiles(), &self.token)?;
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
        self.carrier(passenger).inbox(passenger.msisdn()).into_iter().map(|message| message.text).collect()
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
    fn tell(&self, charge: &ApiCharge) {
        let ApiCharge { state, amount, .. } = charge;
        let text = match (state.as_str(), charge.charged_at, &charge.reason) {
            ("in_doubt", ..) => {
                return self.story.mishap("gateway", "in_doubt: nobody knows yet whether the money was taken");
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

    /// What a carrier's own books say it took from a passenger.
    pub(super) fn taken(&self, passenger: Passenger) -> Money {
        self.carrier(passenger).ledger().total_of(passenger.msisdn())
    }

    /// Errors: the carrier took another amount than `tenge` from this passenger.
    pub(super) fn expect_taken(&self, passenger: Passenger, tenge: i64) -> Result<(), DemoError> {
        let (taken, expected) = (self.taken(passenger), Money::kzt(100 * tenge));
        match taken == expected {
            true => Ok(()),
            false => Err(DemoError::Otherwise(format!("{} was taken from {}, not {expected}", taken, passenger.name))),
        }
    }
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

/// Random bytes in hex.
pub(super) fn secret<const BYTES: usize>() -> String {
    HEXLOWER.encode(&rand::random::<[u8; BYTES]>())
}
