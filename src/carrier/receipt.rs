use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::{civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    charge::{CarrierName, Event, Evidence, EvidenceSource, Finding, Reference},
    clock::Timestamp,
    msisdn::Msisdn,
};

/// How far the carrier's clock, and a date to the minute, may be from ours.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// A delivery receipt in our words: all that is needed to weigh it now, or later when its owner is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierReceipt {
    /// Who sent it.
    pub carrier: CarrierName,
    /// The carrier's id, normalised; `None` if it had none.
    pub carrier_id: Option<String>,
    /// The phone that the message went to.
    pub msisdn: Msisdn,
    /// The address that the message came from: ours.
    pub source: String,
    /// What it says of an attempt.
    pub finding: Finding,
    /// What it says of a refund, where that is a message. [`Finding::Charged`] means that the money went back.
    #[serde(default = "nothing")]
    pub refund: Finding,
    /// What it says of a text: it reached the phone (`true`), never will (`false`), or nothing final.
    pub delivered: Option<bool>,
    /// `stat`, `err` and done date as the carrier wrote them: with carrier and owner, the id of this piece (M9).
    pub key: String,
    /// When the carrier took the message, as its own clock showed.
    pub submitted_at: Option<DateTime>,
    /// Our number for the message, where the carrier echoes it.
    pub user_message_reference: Option<u16>,
    /// Word for word.
    #[serde(default)]
    pub words: String,
}

/// A message of ours whose id no response ever told.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubmittedMessage<'a> {
    /// `user_message_reference`, as decimal text.
    pub(super) wire_reference: &'a str,
    /// The phone that it went to.
    pub(super) msisdn: Msisdn,
    /// The address that it came from: ours.
    pub(super) source: &'a str,
    /// When it was made durable; not a byte left before.
    pub(super) opened_at: Timestamp,
}

const fn nothing() -> Finding {
    Finding::Nothing
}

impl CarrierReceipt {
    /// The receipt as evidence about the attempt with this number.
    pub fn evidence(&self, attempt: u16) -> Evidence {
        let id = format!("receipt:{attempt}:{}", self.key);
        Evidence { id, attempt, source: EvidenceSource::Receipt, finding: self.finding.clone() }
    }

    /// That the carrier took the attempt, and under which id: evidence where no response said so, and where the receipt's own
    /// finding does not say it too. The receipts that follow find their owner by that id.
    pub fn evidence_of_id(&self, attempt: u16) -> Option<Evidence> {
        let id = self.carrier_id.as_ref().filter(|_| !matches!(self.finding, Finding::Charged { .. }))?;
        let finding = Finding::Accepted { carrier_id: Some(id.clone()) };
        Some(Evidence { id: format!("receipt:{attempt}:id:{id}"), attempt, source: EvidenceSource::Receipt, finding })
    }

    /// The receipt as evidence about this refund.
    pub fn evidence_of_refund(&self, refund: Reference) -> Event {
        let id = format!("receipt:{refund}:{}", self.key);
        Event::RefundEvidence { refund, id, source: EvidenceSource::Receipt, finding: self.refund.clone() }
    }

    /// As [`CarrierReceipt::evidence_of_id`], of a refund.
    pub fn evidence_of_refund_id(&self, refund: Reference) -> Option<Event> {
        let id = self.carrier_id.as_ref().filter(|_| !matches!(self.refund, Finding::Charged { .. }))?;
        let finding = Finding::Accepted { carrier_id: Some(id.clone()) };
        let id = format!("receipt:{refund}:id:{id}");
        Some(Event::RefundEvidence { refund, id, source: EvidenceSource::Receipt, finding })
    }

    /// Whether the receipt, which came at `received_at`, can be about a message to this phone that did not leave before `since`.
    /// Carriers use ids again, for other phones and at other times.
    pub fn can_be_about(&self, msisdn: Msisdn, since: Timestamp, received_at: Timestamp) -> bool {
        msisdn == self.msisdn && since <= received_at.plus(CLOCK_TOLERANCE)
    }

    /// Names the receipt while its owner is not known. In logs and in breaks too, so the phone is not readable in it.
    pub fn parked_id(&self) -> String {
        let owner = match &self.carrier_id {
            Some(id) => id.clone(),
            None => {
                let told = format!("{}#{:?}#{:?}", self.msisdn.e164(), self.user_message_reference, self.key);
                format!("?{}", HEXLOWER.encode(&Sha256::digest(told)[..12]))
            }
        };
        format!("{}:{owner}:{}", self.carrier, self.key)
    }

    /// Whether the receipt can be about this message to its carrier, of which no response ever told the carrier's id: same phone,
    /// same source address, our number if it is echoed, and a submit date near the opening. At least one of the last two must be
    /// there: phone and address alone are the same for every purchase of a passenger.
    pub(super) fn fits(&self, message: &SubmittedMessage<'_>, zone: &TimeZone) -> bool {
        let same_way = message.msisdn == self.msisdn && message.source == self.source;
        // What a message bore that was sent in a time that is lost to the books is not known.
        let number = self.user_message_reference.filter(|_| !message.wire_reference.is_empty());
        let number = number.map(|number| message.wire_reference == number.to_string());
        let date = self.submitted_at.map(|civil| is_near(civil, zone, message.opened_at));
        same_way && (number.is_some() || date.is_some()) && number.unwrap_or(true) && date.unwrap_or(true)
    }
}

fn is_near(civil: DateTime, zone: &TimeZone, opened_at: Timestamp) -> bool {
    let Ok(zoned) = civil.to_zoned(zone.clone()) else { return false };
    let submitted_at = Timestamp::from_unix_ms(zoned.timestamp().as_millisecond());
    submitted_at.plus(CLOCK_TOLERANCE) >= opened_at && submitted_at <= opened_at.plus(CLOCK_TOLERANCE)
}
