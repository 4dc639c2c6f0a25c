//! What a carrier's answer means for the money. The first row that fits wins: the carrier's profile, then the table of the
//! specification's statuses (`docs/money.md`).

use std::collections::{BTreeMap, HashMap};

use super::{
    profile::{ChargedAt, Meaning, SmppProfile, StatMeaning, parse_status},
    refund_profile::{RefundProof, RefundStat},
};
use crate::{
    charge::{Doubt, Finding, Reason, Retry},
    smpp::{
        CommandStatus, DoubtCause, SubmitOutcome,
        receipt::{Delivery, IdBase, MessageState, Receipt},
    },
};

/// The tables of one carrier, ready for look-up.
#[derive(Clone, Debug)]
pub struct Meanings {
    charged_at: ChargedAt,
    response_id: IdBase,
    statuses: HashMap<u32, Meaning>,
    errs: HashMap<String, Reason>,
    stats: HashMap<MessageState, StatMeaning>,
    refunds: Option<RefundMeanings>,
}

/// What is different for refunds. [`Finding::Charged`] means that the money went back.
#[derive(Clone, Debug)]
struct RefundMeanings {
    proved_by: RefundProof,
    stats: HashMap<MessageState, RefundStat>,
}

impl Meanings {
    /// From a profile. Keys that cannot be read were reported by [`SmppProfile::problems`] and are passed over here.
    pub fn new(profile: &SmppProfile) -> Meanings {
        let statuses = profile.statuses.iter().filter_map(|(key, meaning)| Some((parse_status(key)?, *meaning)));
        Meanings {
            // A carrier that charges by it has one; see `SmppProfile::problems`.
            charged_at: profile.charged_at.unwrap_or(ChargedAt::Delivery),
            response_id: profile.message_id.response,
            statuses: statuses.collect(),
            errs: profile.errs.iter().map(|(err, reason)| (err.to_lowercase(), *reason)).collect(),
            stats: by_state(&profile.stats),
            refunds: profile
                .refund
                .as_ref()
                .map(|refund| RefundMeanings { proved_by: refund.proved_by, stats: by_state(&refund.stats) }),
        }
    }

    /// What the outcome of a `submit_sm` says of its attempt.
    pub fn of_outcome(&self, outcome: &SubmitOutcome) -> Finding {
        self.outcome(outcome, self.charged_at == ChargedAt::Submission)
    }

    /// What the outcome of a `submit_sm` says of the refund that it asked for.
    pub fn of_refund_outcome(&self, outcome: &SubmitOutcome) -> Finding {
        let refunds = self.refunds.as_ref();
        self.outcome(outcome, refunds.is_some_and(|refunds| refunds.proved_by == RefundProof::Response))
    }

    /// `ok_proves` tells whether a positive response is the proof, or only the promise of one.
    fn outcome(&self, outcome: &SubmitOutcome, ok_proves: bool) -> Finding {
        match outcome {
            SubmitOutcome::NotWritten { .. } => Finding::NotSent,
            SubmitOutcome::Response { status, message_id } => self.response(*status, message_id.as_deref(), ok_proves),
            // The SMSC did not read it as a request; it is the session that is at fault.
            SubmitOutcome::Nack { status } => Finding::Rejected {
                reason: Reason::CarrierRefused,
                retry: Retry::SameCarrier,
                detail: format!("generic_nack 0x{:02X}", status.0),
            },
            SubmitOutcome::InDoubt { cause } => Finding::Doubtful { cause: doubt(*cause) },
        }
    }

    /// What a `submit_sm_resp` says, in time or late.
    fn response(&self, status: CommandStatus, message_id: Option<&str>, ok_proves: bool) -> Finding {
        if status.is_ok() {
            let carrier_id = message_id.and_then(|id| self.response_id.normalise(id));
            return match ok_proves {
                true => Finding::Charged { carrier_id, amount: None },
                false => Finding::Accepted { carrier_id },
            };
        }
        let meaning = self.statuses.get(&status.0).copied().unwrap_or_else(|| by_specification(status.0));
        let detail = format!("0x{:02X}", status.0);
        match meaning {
            Meaning::Rejected(reason) => Finding::Rejected { reason, retry: retry_after(reason), detail },
            Meaning::Busy | Meaning::SessionFault => {
                Finding::Rejected { reason: Reason::CarrierUnavailable, retry: Retry::SameCarrier, detail }
            }
            Meaning::Duplicate => Finding::Doubtful { cause: Doubt::Duplicate },
            Meaning::InDoubt => Finding::Doubtful { cause: Doubt::UnclearAnswer },
        }
    }

    /// What a receipt says of its attempt.
    pub fn of_receipt(&self, receipt: &Receipt, carrier_id: Option<String>) -> Finding {
        let meaning = self.stats.get(&receipt.state).copied().unwrap_or_else(|| self.by_contract(receipt.state));
        match meaning {
            StatMeaning::Charged => Finding::Charged { carrier_id, amount: None },
            StatMeaning::Rejected => self.failed(receipt),
            StatMeaning::Nothing => Finding::Nothing,
        }
    }

    /// What a receipt says if its message is one that gives money back.
    pub fn of_refund_receipt(&self, receipt: &Receipt, carrier_id: Option<String>) -> Finding {
        match self.refund_stat(receipt.state) {
            RefundStat::Refunded => Finding::Charged { carrier_id, amount: None },
            RefundStat::Rejected => self.failed(receipt),
            RefundStat::Nothing => Finding::Nothing,
        }
    }

    fn failed(&self, receipt: &Receipt) -> Finding {
        let err = receipt.err.as_deref().unwrap_or_default();
        let reason = self.errs.get(&err.to_lowercase()).copied().unwrap_or(Reason::NotDelivered);
        Finding::Rejected { reason, retry: retry_after(reason), detail: format!("{} err:{err}", receipt.state) }
    }

    /// What a message state out of `query_sm_resp` says of its attempt. An error of the query itself says nothing (M8).
    pub fn of_queried_state(&self, state: u8) -> Finding {
        let state = MessageState::from_tlv(state);
        let meaning = self.stats.get(&state).copied().unwrap_or_else(|| self.by_contract(state));
        match meaning {
            StatMeaning::Charged => Finding::Charged { carrier_id: None, amount: None },
            StatMeaning::Rejected => failed_by_query(state),
            StatMeaning::Nothing => Finding::Nothing,
        }
    }

    /// The same if the message is one that gives money back.
    pub fn of_queried_refund(&self, state: u8) -> Finding {
        let state = MessageState::from_tlv(state);
        match self.refund_stat(state) {
            RefundStat::Refunded => Finding::Charged { carrier_id: None, amount: None },
            RefundStat::Rejected => failed_by_query(state),
            RefundStat::Nothing => Finding::Nothing,
        }
    }

    /// Nothing where the contract has no refunds: then no message gives money back.
    fn refund_stat(&self, state: MessageState) -> RefundStat {
        let Some(refunds) = &self.refunds else { return RefundStat::Nothing };
        let by_contract = match (state.delivery(), refunds.proved_by) {
            (Delivery::Delivered, _) => RefundStat::Refunded,
            (Delivery::Failed, RefundProof::Receipt) => RefundStat::Rejected,
            // The money went back when the message was taken, whatever became of its text.
            (Delivery::Failed, RefundProof::Response) | (Delivery::NothingNew, _) => RefundStat::Nothing,
        };
        refunds.stats.get(&state).copied().unwrap_or(by_contract)
    }

    fn by_contract(&self, state: MessageState) -> StatMeaning {
        match (state.delivery(), self.charged_at) {
            (Delivery::Delivered, _) => StatMeaning::Charged,
            (Delivery::Failed, ChargedAt::Delivery) => StatMeaning::Rejected,
            // The money was taken when the message was taken; that the phone is off does not give it back.
            (Delivery::Failed, ChargedAt::Submission) | (Delivery::NothingNew, _) => StatMeaning::Nothing,
        }
    }
}

fn by_state<M: Copy>(stats: &BTreeMap<String, M>) -> HashMap<MessageState, M> {
    stats.iter().map(|(stat, meaning)| (MessageState::from_stat(stat), *meaning)).collect()
}

fn failed_by_query(state: MessageState) -> Finding {
    Finding::Rejected { reason: Reason::NotDelivered, retry: Retry::Never, detail: format!("query_sm {state}") }
}

/// A number that is another carrier's may pay there; every other no is for good.
pub(super) fn retry_after(reason: Reason) -> Retry {
    if reason == Reason::NotOurSubscriber { Retry::OtherCarrier } else { Retry::Never }
}

/// The rows of the specification's statuses (SMPP 3.4, 5.1.3), for a `submit_sm`.
fn by_specification(status: u32) -> Meaning {
    match status {
        0x01..=0x03
        | 0x06
        | 0x07
        | 0x0A
        | 0x0B
        | 0x15
        | 0x33
        | 0x34
        | 0x40..=0x44
        | 0x48..=0x51
        | 0x53..=0x55
        | 0x61..=0x63
        | 0xC0..=0xC4
        | 0x100..=0x104 => Meaning::Rejected(Reason::CarrierRefused),
        0x04 | 0x05 | 0x0D..=0x0F => Meaning::SessionFault,
        0x58 | 0x14 => Meaning::Busy,
        _ => Meaning::InDoubt,
    }
}

fn doubt(cause: DoubtCause) -> Doubt {
    match cause {
        DoubtCause::Timeout => Doubt::Timeout,
        DoubtCause::LinkLost | DoubtCause::Unbind | DoubtCause::TaskEnded => Doubt::LinkLost,
        DoubtCause::NackZero => Doubt::NackWithoutSequence,
        DoubtCause::WrongResponse | DoubtCause::UnreadableResponse => Doubt::UnclearAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::test_profile;

    fn meanings(charged_at: ChargedAt) -> Meanings {
        Meanings::new(&test_profile(charged_at))
    }

    fn responded(status: u32, message_id: &str) -> SubmitOutcome {
        SubmitOutcome::Response { status: CommandStatus(status), message_id: Some(message_id.into()) }
    }

    fn response(charged_at: ChargedAt, status: u32) -> Finding {
        meanings(charged_at).of_outcome(&responded(status, "00AF"))
    }

    #[test]
    fn ok_is_charged_only_where_the_contract_charges_at_submission() {
        let id = Some("175".to_string());
        assert_eq!(response(ChargedAt::Submission, 0), Finding::Charged { carrier_id: id.clone(), amount: None });
        assert_eq!(response(ChargedAt::Delivery, 0), Finding::Accepted { carrier_id: id });
    }

    #[test]
    fn every_status_of_the_specification_has_its_row() {
        let rejected =
            [1, 2, 3, 6, 7, 0x0A, 0x0B, 0x15, 0x33, 0x40, 0x44, 0x48, 0x50, 0x51, 0x55, 0x61, 0xC0, 0xC4, 0x104];
        for status in rejected {
            let finding = response(ChargedAt::Delivery, status);
            assert!(matches!(finding, Finding::Rejected { retry: Retry::Never, .. }), "0x{status:02X}: {finding:?}");
        }
        for status in [0x04, 0x05, 0x0D, 0x0E, 0x0F, 0x14, 0x58] {
            let finding = response(ChargedAt::Delivery, status);
            assert!(
                matches!(finding, Finding::Rejected { retry: Retry::SameCarrier, .. }),
                "0x{status:02X}: {finding:?}"
            );
        }
        for status in [0x08, 0x11, 0x45, 0x64, 0x65, 0xFE, 0xFF, 0x400, 0x7FFF_FFFF] {
            let finding = response(ChargedAt::Delivery, status);
            assert!(matches!(finding, Finding::Doubtful { .. }), "0x{status:02X}: {finding:?}");
        }
    }

    #[test]
    fn the_profile_outranks_the_specification() {
        let expected =
            Finding::Rejected { reason: Reason::InsufficientBalance, retry: Retry::Never, detail: "0x450".into() };
        assert_eq!(response(ChargedAt::Submission, 0x450), expected);
    }

    #[test]
    fn m06_a_duplicate_status_is_a_doubt() {
        let mut profile = test_profile(ChargedAt::Submission);
        profile.statuses.insert("0x45".into(), Meaning::Duplicate);
        let finding = Meanings::new(&profile).of_outcome(&responded(0x45, ""));
        assert_eq!(finding, Finding::Doubtful { cause: Doubt::Duplicate });
    }

    #[test]
    fn m02_the_end_of_a_link_means_what_was_written_is_in_doubt_and_the_rest_did_not_happen() {
        let meanings = meanings(ChargedAt::Delivery);
        let unwritten = SubmitOutcome::NotWritten { why: crate::smpp::Unwritten::LinkLost };
        assert_eq!(meanings.of_outcome(&unwritten), Finding::NotSent);
        for cause in [DoubtCause::Timeout, DoubtCause::LinkLost, DoubtCause::Unbind, DoubtCause::NackZero] {
            let finding = meanings.of_outcome(&SubmitOutcome::InDoubt { cause });
            assert!(matches!(finding, Finding::Doubtful { .. }), "{cause}");
        }
    }

    #[test]
    fn case_14_ok_without_a_message_id_is_accepted_without_one() {
        let finding = meanings(ChargedAt::Delivery).of_outcome(&responded(0, ""));
        assert_eq!(finding, Finding::Accepted { carrier_id: None });
    }

    fn refunds(proved_by: RefundProof) -> Meanings {
        let mut profile = test_profile(ChargedAt::Submission);
        let stats = [("DELETED".to_owned(), RefundStat::Rejected), ("REJECTD".to_owned(), RefundStat::Nothing)].into();
        let refund = crate::carrier::RefundProfile {
            proved_by,
            partial: false,
            text: String::new(),
            receipt_lag_seconds: 60,
            stats,
            tariffs: vec![],
        };
        profile.refund = Some(refund);
        Meanings::new(&profile)
    }

    #[test]
    fn a_positive_response_proves_a_refund_only_where_the_contract_says_so() {
        let id = Some("175".to_string());
        let by_response = refunds(RefundProof::Response).of_refund_outcome(&responded(0, "00AF"));
        assert_eq!(by_response, Finding::Charged { carrier_id: id.clone(), amount: None });
        let by_receipt = refunds(RefundProof::Receipt).of_refund_outcome(&responded(0, "00AF"));
        assert_eq!(by_receipt, Finding::Accepted { carrier_id: id });
        let refused = refunds(RefundProof::Response).of_refund_outcome(&responded(0x450, ""));
        assert!(matches!(refused, Finding::Rejected { retry: Retry::Never, .. }), "{refused:?}");
    }

    #[test]
    fn a_failed_message_is_no_refund_only_where_its_receipt_is_the_proof() {
        let [delivered, expired, deleted, undelivered, enroute, rejected] = [2, 3, 4, 5, 1, 8];
        for (proved_by, no) in [(RefundProof::Receipt, true), (RefundProof::Response, false)] {
            let meanings = refunds(proved_by);
            let says = |state| meanings.of_queried_refund(state);
            assert_eq!(says(delivered), Finding::Charged { carrier_id: None, amount: None });
            for state in [expired, undelivered] {
                assert_eq!(matches!(says(state), Finding::Rejected { .. }), no, "{state} {proved_by:?}");
            }
            // The profile outranks what the contract's kind says.
            assert!(matches!(says(deleted), Finding::Rejected { .. }));
            assert_eq!([says(enroute), says(rejected)], [Finding::Nothing, Finding::Nothing]);
        }
        let none = meanings(ChargedAt::Delivery);
        assert_eq!(none.of_queried_refund(delivered), Finding::Nothing);
    }
}
