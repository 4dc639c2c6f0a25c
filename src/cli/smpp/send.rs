//! `smsbusd smpp send`

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::{
    message::{MessageArgs, may_take_money},
    talk::{Delivered, Talk},
    target::{Target, TargetArgs},
    wire::{Kind, WireError, received, sent},
};
use crate::{
    cli::{
        Exit, Failure, Outcome,
        output::{print, print_json},
    },
    smpp::{
        BindMode, CommandStatus, SubmitSm,
        dissect::Dissection,
        encode,
        pdu::Inbound,
        receipt::{Delivery, MessageIdForm, Receipt, ReceiptTlvs},
        text::decode_message,
        tlv,
    },
};

/// What `send` is told.
#[derive(Clone, Debug, Args)]
pub(super) struct SendArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    message: MessageArgs,
    /// Wait so long for the receipt of the final outcome
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait_receipt: Option<u64>,
    /// Say it for machines, as one JSON object
    #[arg(long)]
    json: bool,
}

/// What was sent, and what came of it.
#[derive(Debug, Serialize)]
struct Sending {
    request: Option<Dissection>,
    response: Option<Dissection>,
    response_us: Option<u128>,
    receipts: Vec<Dissection>,
    /// How the ids are written, where the carrier's profile says otherwise or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<MessageIdForm>,
    /// Messages of others that were put off.
    put_off: u32,
    outcome: SendOutcome,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SendOutcome {
    /// The bind was refused: nothing was sent.
    BindRefused,
    /// The bind was not answered: nothing was sent.
    BindUnanswered,
    /// The SMSC took it.
    Accepted,
    /// The SMSC refused it.
    Refused,
    /// No answer came: the message may have been taken.
    InDoubt,
    /// The receipt says that it reached the phone.
    Delivered,
    /// The receipt says that it never will.
    NotDelivered,
    /// The SMSC took it, and no receipt of a final outcome came in time.
    NoReceipt,
}

pub(super) async fn send(args: &SendArgs) -> Outcome {
    let target = args.target.target()?;
    if target.bind.mode == BindMode::Receiver {
        return Err(Failure::usage("a receiver cannot send; give another --mode"));
    }
    let short_number = target.short_number.as_deref();
    let message = args.message.message(short_number, target.default_alphabet, args.wait_receipt.is_some())?;
    if args.wait_receipt.is_some() && target.bind.mode == BindMode::Transmitter {
        return Err(Failure::usage("a transmitter gets no receipts; give another --mode"));
    }
    // What cannot be written is told before anything is bound.
    encode::submit_sm(message.clone(), 1, &mut bytes::BytesMut::new())
        .map_err(|error| Failure::usage(error.to_string()))?;
    if let Some(why) = may_take_money(&message, short_number).filter(|_| !args.target.yes) {
        return Err(Failure::usage(format!("this message may take money from a balance: {why}; add --yes to send it")));
    }
    args.target.warn(&target).await?;
    let mut talk = Talk::connect(&target).await.map_err(Failure::new)?;
    let mut sending = Sending {
        request: None,
        response: None,
        response_us: None,
        receipts: Vec::new(),
        message_id: None,
        put_off: 0,
        outcome: SendOutcome::BindUnanswered,
    };
    let talked = converse(args, &target, &mut talk, message, &mut sending).await;
    sending.put_off = talk.put_off;
    if args.json {
        print_json(&serde_json::to_value(&sending).unwrap_or_default())?;
    } else {
        print(sending.outcome.sentence())?;
        if let Some(form) = sending.message_id {
            let form = toml::Value::try_from(form).map(|form| form.to_string()).unwrap_or_default();
            print(format!("the profile should say how ids are written: message_id = {form}"))?;
        }
    }
    match talked {
        // What was sent and not answered is in doubt, whatever broke.
        Err(error) if sending.outcome != SendOutcome::InDoubt => Err(Failure::new(error.to_string())),
        Err(error) => {
            eprintln!("smsbusd: {error}");
            Ok(Exit::CannotTell)
        }
        Ok(()) => Ok(sending.outcome.exit()),
    }
}

async fn converse(
    args: &SendArgs,
    target: &Target,
    talk: &mut Talk,
    message: SubmitSm,
    sending: &mut Sending,
) -> Result<(), WireError> {
    let default = target.default_alphabet;
    let say = |dissection: &Dissection| {
        if !args.json {
            // That nobody reads on is no reason to leave a conversation in its middle.
            let _unread = print(dissection.to_string());
        }
    };
    // A receipt may come before the response.
    talk.keeps_messages = args.wait_receipt.is_some();
    let Some((bound, _)) = talk.bind(target).await? else { return Ok(()) };
    if !bound.header.status.is_ok() {
        say(&received(&bound.pdu, default));
        sending.outcome = SendOutcome::BindRefused;
        return Ok(());
    }
    let mut request = bytes::BytesMut::new();
    let sequence = talk.wire.upcoming_sequence();
    encode::submit_sm(message.clone(), sequence, &mut request)?;
    let dissection = sent(&request, default);
    say(&dissection);
    sending.request = Some(dissection);
    sending.outcome = SendOutcome::InDoubt;
    if let Some((heard, took)) = talk.ask(|sequence, out| encode::submit_sm(message, sequence, out)).await? {
        let dissection = received(&heard.pdu, default);
        say(&dissection);
        sending.response = Some(dissection);
        sending.response_us = Some(took.as_micros());
        sending.outcome = match (heard.header.status, heard.kind) {
            // A nack without a number: the SMSC could not even read whose it is.
            (_, Kind::Response(Inbound::GenericNack)) if heard.header.sequence == 0 => SendOutcome::InDoubt,
            (status, _) if !status.is_ok() => SendOutcome::Refused,
            (_, Kind::Response(Inbound::SubmitSmResp { message_id, .. })) => match (args.wait_receipt, message_id) {
                (Some(seconds), Some(id)) => {
                    let until = Instant::now() + Duration::from_secs(seconds);
                    wait_for_receipt(target, talk, &id, until, sending, &say).await?
                }
                (Some(_), None) => SendOutcome::NoReceipt,
                (None, _) => SendOutcome::Accepted,
            },
            // An answer that is none to a submit_sm.
            _ => SendOutcome::InDoubt,
        };
    }
    // The message's fate is known; how the SMSC takes leave changes nothing.
    let _answered = talk.unbind().await;
    Ok(())
}

/// Takes receipts of the message with this id; everything else is put off.
async fn wait_for_receipt(
    target: &Target,
    talk: &mut Talk,
    id: &str,
    until: Instant,
    sending: &mut Sending,
    say: &impl Fn(&Dissection),
) -> Result<SendOutcome, WireError> {
    // Accepted already, whatever breaks from here on.
    sending.outcome = SendOutcome::NoReceipt;
    while Instant::now() < until {
        talk.listen(until).await?;
        for delivered in std::mem::take(&mut talk.inbox) {
            let Some((receipt, form)) = receipt_of(target, id, &delivered) else {
                talk.put_off(delivered.header).await?;
                continue;
            };
            talk.wire.answer(delivered.header, CommandStatus::OK).await?;
            let dissection = received(&delivered.pdu, target.default_alphabet);
            say(&dissection);
            sending.receipts.push(dissection);
            if target.message_id != Some(form) {
                sending.message_id = Some(form);
            }
            match receipt.delivery() {
                Delivery::Delivered => return Ok(SendOutcome::Delivered),
                Delivery::Failed => return Ok(SendOutcome::NotDelivered),
                Delivery::NothingNew => {}
            }
        }
    }
    Ok(SendOutcome::NoReceipt)
}

/// The receipt of the message with this id, and how the id is written in it.
fn receipt_of(target: &Target, id: &str, delivered: &Delivered) -> Option<(Receipt, MessageIdForm)> {
    let sm = &delivered.sm;
    let (_, content) = decode_message(sm.esm_class, sm.data_coding, target.default_alphabet, sm.message());
    let receipted_message_id = sm.tlvs.text(tlv::RECEIPTED_MESSAGE_ID);
    let tlvs = ReceiptTlvs {
        receipted_message_id: receipted_message_id.as_deref(),
        message_state: sm.tlvs.integer(tlv::MESSAGE_STATE).and_then(|state| state.try_into().ok()),
        ..ReceiptTlvs::default()
    };
    let text = content.text().unwrap_or_default();
    let ours = |form: MessageIdForm| {
        let receipt = Receipt::read(sm.esm_class, text, &tlvs, &form)?;
        let is_ours = receipt.message_id.is_some() && receipt.message_id == form.response.normalise(id);
        is_ours.then_some((receipt, form))
    };
    let fitting: Vec<_> = target.message_id_forms().into_iter().filter_map(ours).collect();
    // Text and TLV may both name the id: the form in which they agree is the right one.
    let agreeing = fitting.iter().position(|(receipt, _)| !receipt.disagreement).unwrap_or(0);
    fitting.into_iter().nth(agreeing)
}

impl SendOutcome {
    fn exit(self) -> Exit {
        match self {
            SendOutcome::Accepted | SendOutcome::Delivered => Exit::Done,
            SendOutcome::BindRefused | SendOutcome::Refused | SendOutcome::NotDelivered => Exit::Refused,
            SendOutcome::BindUnanswered | SendOutcome::InDoubt | SendOutcome::NoReceipt => Exit::CannotTell,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            SendOutcome::BindRefused => "bind refused: nothing was sent",
            SendOutcome::BindUnanswered => "bind not answered: nothing was sent",
            SendOutcome::Accepted => "accepted",
            SendOutcome::Refused => "refused",
            SendOutcome::InDoubt => "in doubt: no answer came, and the message may have been taken",
            SendOutcome::Delivered => "delivered",
            SendOutcome::NotDelivered => "not delivered",
            SendOutcome::NoReceipt => "accepted; no receipt of a final outcome came in time",
        }
    }
}
