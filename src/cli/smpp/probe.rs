//! `smsbusd smpp probe`

use std::time::{Duration, Instant};

use bytes::BytesMut;
use clap::Args;

use super::{
    message::{destination, may_take_money},
    report::{Bound, Enquiries, Report, Unbound, advice},
    talk::Talk,
    target::{Target, TargetArgs},
    windows::{self, growing, micros, quantile},
    wire::{Heard, Kind, WireError, received},
};
use crate::{
    cli::{
        Failure, Outcome,
        output::{print, print_json},
    },
    smpp::{
        Address, BindMode, SubmitSm,
        dissect::{Dissection, Value},
        encode,
        pdu::{Inbound, command},
    },
};

/// How long the SMSC may take to speak before we do.
const LISTEN_FIRST: Duration = Duration::from_millis(300);
/// Enquiries in one write.
const AT_ONCE: u32 = 5;
/// Between two windows, so that what one filled has emptied before the next.
const PAUSE: Duration = Duration::from_secs(1);
/// Nobody needs to read it tomorrow.
const FIVE_MINUTES: &str = "000000000500000R";

/// What `probe` is told.
#[derive(Clone, Debug, Args)]
pub(super) struct ProbeArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// How many enquiries to time
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    count: u32,
    /// Send messages to this number, with windows of 1, 2, 5, 10, …
    #[arg(long, value_name = "MSISDN")]
    to: Option<String>,
    /// From this address; the carrier's short number without it
    #[arg(long, value_name = "ADDRESS", requires = "to")]
    from: Option<String>,
    /// How many messages with each window, and never less than its places
    #[arg(long, value_name = "N", default_value_t = 20, requires = "to", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    messages: u32,
    /// The largest window; that of the configuration without it, or 10
    #[arg(long, value_name = "N", requires = "to", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    window: Option<u16>,
    /// Say it for machines, as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn probe(args: &ProbeArgs) -> Outcome {
    let target = args.target.target()?;
    let message = args.message(&target)?;
    args.target.warn(&target).await?;
    let mut report = Report {
        address: target.endpoint.to_string(),
        system_id: target.bind.system_id.clone(),
        command: match target.bind.mode {
            BindMode::Transceiver => "bind_transceiver",
            BindMode::Transmitter => "bind_transmitter",
            BindMode::Receiver => "bind_receiver",
        },
        ..Report::default()
    };
    report.problem = find_out(args, &target, message.as_ref(), &mut report).await.err();
    if args.json {
        print_json(&serde_json::to_value(&report).unwrap_or_default())?;
    } else {
        print(report.to_string())?;
    }
    match &report.problem {
        Some(problem) => Err(Failure::new(problem.clone())),
        None => Ok(report.exit()),
    }
}

impl ProbeArgs {
    /// The message to send, if any. Says on the standard error how many, and refuses without `--yes` what may take money.
    fn message(&self, target: &Target) -> Result<Option<SubmitSm>, Failure> {
        let Some(to) = &self.to else { return Ok(None) };
        if target.bind.mode == BindMode::Receiver {
            return Err(Failure::usage("a receiver cannot send; give another --mode"));
        }
        let short_number = target.short_number.as_deref();
        let from = self.from.as_deref().or(short_number);
        let from = from.ok_or_else(|| Failure::usage("name a carrier with --carrier, or give --from"))?;
        let mut message = SubmitSm::new(Address::short_code(from), Address::international(destination(to)));
        message.data_coding = 1;
        message.validity_period = FIVE_MINUTES.to_owned();
        message.short_message = b"smsbusd probe".as_slice().into();
        encode::submit_sm(message.clone(), 1, &mut BytesMut::new())
            .map_err(|error| Failure::usage(error.to_string()))?;
        if let Some(why) = may_take_money(&message, short_number).filter(|_| !self.target.yes) {
            return Err(Failure::usage(format!(
                "these messages may take money from a balance: {why}; add --yes to send them"
            )));
        }
        let windows = growing(self.window.unwrap_or(target.window));
        let most: u32 = windows.iter().map(|window| self.messages.max((*window).into())).sum();
        eprintln!("smsbusd: up to {most} messages go to the number given with --to.");
        Ok(Some(message))
    }
}

/// Errors: what broke it off.
async fn find_out(
    args: &ProbeArgs,
    target: &Target,
    message: Option<&SubmitSm>,
    report: &mut Report,
) -> Result<(), String> {
    let begun = Instant::now();
    let mut talk = Talk::connect(target).await?;
    report.connect_us = Some(micros(begun.elapsed()));
    let talked = converse(args, target, message, &mut talk, report).await;
    report.put_off = talk.put_off;
    talked.map_err(|error| error.to_string())
}

async fn converse(
    args: &ProbeArgs,
    target: &Target,
    message: Option<&SubmitSm>,
    talk: &mut Talk,
    report: &mut Report,
) -> Result<(), WireError> {
    let first = talk.wire.next(Instant::now() + LISTEN_FIRST).await?;
    report.speaks_first = first.map(|heard| read(talk, report, &heard).command.into_owned());
    if !bind(target, talk, report).await? {
        return Ok(());
    }
    enquire(args.count, talk, report).await?;
    if let Some(message) = message {
        for (nth, window) in growing(args.window.unwrap_or(target.window)).into_iter().enumerate() {
            if nth > 0 {
                // What comes meanwhile is dealt with.
                let until = Instant::now() + PAUSE;
                while talk.response(until).await?.is_some() {}
            }
            let sent = windows::send(talk, message, window, args.messages).await?;
            let goes_on = sent.goes_on();
            report.windows.push(sent);
            if !goes_on {
                break;
            }
        }
    }
    unbind(talk, report).await
}

/// Takes a PDU apart, and notes what it says by the way.
fn read(talk: &Talk, report: &mut Report, heard: &Heard) -> Dissection {
    let dissection = received(&heard.pdu, talk.default_alphabet);
    report.congestion_state = number(&dissection, "congestion_state").or(report.congestion_state);
    dissection
}

fn number(dissection: &Dissection, field: &str) -> Option<u32> {
    match dissection.field(field)?.value {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

/// Whether we are bound.
async fn bind(target: &Target, talk: &mut Talk, report: &mut Report) -> Result<bool, WireError> {
    let mut bound = Bound {
        status: None,
        status_name: None,
        us: None,
        smsc_system_id: String::new(),
        sc_interface_version: None,
        advice: None,
    };
    let answered = talk.bind(target).await?;
    if let Some((heard, took)) = &answered {
        let dissection = read(talk, report, heard);
        let status = heard.header.status;
        bound.status = Some(status.0);
        bound.status_name = status.name();
        bound.us = Some(micros(*took));
        bound.advice = advice(status);
        bound.sc_interface_version = number(&dissection, "sc_interface_version");
        if let Kind::Response(Inbound::BindResp(response)) = &heard.kind {
            bound.smsc_system_id.clone_from(&response.system_id);
        }
    }
    report.bind = Some(bound);
    Ok(answered
        .is_some_and(|(heard, _)| heard.header.status.is_ok() && heard.header.command_id != command::GENERIC_NACK))
}

async fn enquire(count: u32, talk: &mut Talk, report: &mut Report) -> Result<(), WireError> {
    let mut latencies = Vec::new();
    let mut sent = 0;
    while sent < count {
        sent += 1;
        let answered = talk
            .ask(|sequence, out| {
                encode::enquire_link(sequence, out);
                Ok(())
            })
            .await?;
        // One that is not answered is enough to know.
        let Some((heard, took)) = answered else { break };
        read(talk, report, &heard);
        latencies.push(micros(took));
    }
    latencies.sort_unstable();
    let (at_once_answered, at_once_us) = enquire_at_once(talk).await?;
    report.enquiries = Some(Enquiries {
        sent,
        answered: u32::try_from(latencies.len()).unwrap_or(u32::MAX),
        min_us: latencies.first().copied(),
        median_us: quantile(&latencies, 50),
        p99_us: quantile(&latencies, 99),
        at_once: AT_ONCE,
        at_once_answered,
        at_once_us,
    });
    Ok(())
}

/// How many of several enquiries in one write are answered, and how long the last answer takes.
async fn enquire_at_once(talk: &mut Talk) -> Result<(u32, Option<u64>), WireError> {
    let mut enquiries = BytesMut::new();
    let sequences: Vec<u32> = (0..AT_ONCE).map(|_| talk.wire.next_sequence()).collect();
    sequences.iter().for_each(|sequence| encode::enquire_link(*sequence, &mut enquiries));
    let begun = Instant::now();
    talk.wire.write(&enquiries).await?;
    let (mut answered, mut last) = (0, None);
    while answered < AT_ONCE {
        let Some(heard) = talk.response(begun + talk.patience).await? else { break };
        if sequences.contains(&heard.header.sequence) {
            answered += 1;
            last = Some(micros(heard.at.saturating_duration_since(begun)));
        }
    }
    Ok((answered, last))
}

async fn unbind(talk: &mut Talk, report: &mut Report) -> Result<(), WireError> {
    let unbound = match talk.unbind().await {
        Ok(Some((heard, took))) => Unbound {
            answer: read(talk, report, &heard).command.into_owned(),
            status: Some(heard.header.status.0),
            us: Some(micros(took)),
        },
        Ok(None) => Unbound { answer: "none".into(), status: None, us: None },
        // Many SMSCs close at once.
        Err(WireError::Closed | WireError::Lost(_)) => Unbound { answer: "closed".into(), status: None, us: None },
        Err(error) => return Err(error),
    };
    report.unbind = Some(unbound);
    Ok(())
}
