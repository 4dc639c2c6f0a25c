//! The kinds of faults.

use serde::{Deserialize, Serialize};

use crate::simulator::config::{MoForm, ReceiptForm};

/// What goes wrong. Unless it says *nothing is charged*, the message is accepted, and charged as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    // --- A submit_sm: not accepted ---
    /// Refused with `ESME_RTHROTTLED`; nothing is charged (case 35).
    Throttle,
    /// Refused with `ESME_RMSGQFUL`; nothing is charged.
    QueueFull,
    /// Refused with any `command_status`, with a body or without (case 15); nothing is charged.
    Refuse {
        /// The `command_status`; not 0.
        status: u32,
        /// Whether the error response has a body, an empty message id.
        #[serde(default)]
        body: bool,
    },
    /// Answered with a `generic_nack` under the request's sequence number; nothing is charged.
    Nack,
    /// The connection is reset; the message is not accepted and nothing is charged (case 31).
    DropLinkBeforeCharge,
    // --- A submit_sm: accepted, and its response spoilt ---
    /// Answered with `ESME_RSYSERR`.
    SystemError {
        /// Whether the message was accepted, and charged, all the same. If not, nothing is charged.
        charged: bool,
    },
    /// The `submit_sm_resp` is never sent (case 12).
    DropResponse,
    /// The `submit_sm_resp` comes `ms` milliseconds late (case 12).
    DelayResponse {
        /// How late.
        ms: u64,
    },
    /// The `submit_sm_resp` comes after that of the next `submit_sm` on the link, or half a second late (case 11).
    OutOfOrder,
    /// The receipt is acknowledged before the `submit_sm_resp` leaves (cases 1 and 4).
    ReceiptBeforeResponse,
    /// The `submit_sm_resp` is sent twice (case 17).
    DuplicateResponse,
    /// A `submit_sm_resp` under a sequence number that the client never used comes first (case 13).
    UnknownSequenceFirst,
    /// The `submit_sm_resp` has an empty message id (case 14).
    EmptyMessageId,
    /// The `submit_sm_resp` says `ESME_ROK` and has no body (case 14).
    MissingMessageId,
    /// Answered with a `deliver_sm_resp` under the request's sequence number (case 16).
    WrongResponseType,
    /// Answered with a `generic_nack` of sequence number 0, which belongs to nothing.
    NackSequenceZero,
    /// The `submit_sm_resp` has the id of an older message whose receipts are all acknowledged (case 6).
    ReusedMessageId,
    /// A PDU with an unknown command id comes before the `submit_sm_resp` (case 20).
    GarbagePdu,
    /// The `submit_sm_resp` is written byte by byte (case 18).
    Slow,
    /// The `submit_sm_resp`, an `enquire_link` and all that follows within `ms` milliseconds leave in one segment (case 18).
    OneSegment {
        /// How long PDUs are gathered.
        ms: u64,
    },
    /// In place of the `submit_sm_resp` comes a header with this impossible `command_length` (case 19).
    BadLength {
        /// Below 16 or above 64 KiB.
        command_length: u32,
    },
    /// The message id of the `submit_sm_resp` has no NUL, and nothing follows it (case 22).
    ResponseWithoutNul,
    /// The `submit_sm_resp` has TLVs that nobody knows, one twice, and of wrong length (case 22).
    ResponseOddTlvs,
    /// Octets follow the last field of the `submit_sm_resp` (case 22).
    ResponseTrailingOctets,
    /// The `submit_sm_resp` to an SMPP 5.0 bind says this `congestion_state`.
    Congestion {
        /// 0 idle, 80 to 90 optimum, above that congested (SMPP 5.0, section 4.8.4.18).
        percent: u8,
    },
    // --- A submit_sm: accepted, and its link spoilt ---
    /// The connection is reset without a response (case 31).
    DropLinkAfterSubmit,
    /// Instead of the response comes an `unbind`, and the connection ends (case 30).
    UnbindMidWindow,
    /// From here on nothing is read, written or closed; after `ms` milliseconds the connection is reset (case 27).
    GoSilent {
        /// How long the connection is half-open.
        ms: u64,
    },
    /// Nothing is read from this connection for `ms` milliseconds (case 33).
    StopReading {
        /// How long.
        ms: u64,
    },
    // --- Receipts, drawn when the message is submitted ---
    /// The final receipt is sent twice (case 2).
    DuplicateReceipt,
    /// No receipt is ever sent.
    NoReceipt,
    /// The receipt comes `ms` milliseconds after the delivery.
    LateReceipt {
        /// How late.
        ms: u64,
    },
    /// An ENROUTE receipt comes before the final one (case 3).
    EnrouteFirst,
    /// An UNDELIV receipt comes before the final one, and contradicts it where that is DELIVRD (case 3).
    UndeliveredFirst,
    /// A receipt with a `stat` that nobody knows comes before the final one (case 9).
    UnknownStatFirst,
    /// A DELIVRD receipt for an id and a number that the client never sent to comes before the final one (case 4).
    UnknownIdFirst,
    /// A receipt whose `sm_length` reaches past the end of the PDU comes before the final one (case 23).
    PastEndFirst,
    /// The receipt takes another link than the submission came by, if there is one (case 7).
    ReceiptOnOtherLink,
    /// The receipt has this form, whatever is configured (case 8).
    ReceiptAs {
        /// Where its fields are.
        form: ReceiptForm,
    },
    /// The receipt's TLVs say the truth, and its text the contrary (case 8).
    ReceiptDisagrees,
    /// The fields of the receipt's text come in another order (case 9).
    ReceiptReordered,
    /// The receipt's text is in lower case (case 9).
    ReceiptLowerCase,
    /// The receipt's text has `id` and `stat` only (case 9).
    ReceiptFieldsMissing,
    /// The `err` of the receipt's text begins with a letter (case 9).
    ReceiptAlphanumericErr,
    /// The receipt has an `esm_class` of 0 (case 10).
    ReceiptWithoutEsmClass,
    /// The receipt has its text in `short_message` and in `message_payload` (case 24).
    ReceiptTextAndPayload,
    /// The `receipted_message_id` of the receipt has no NUL (case 22).
    ReceiptWithoutNul,
    /// The receipt has TLVs that nobody knows, one twice, and of wrong length (case 22).
    ReceiptOddTlvs,
    /// Octets follow the last field of the receipt (case 22).
    ReceiptTrailingOctets,
    // --- MOs; they charge nothing themselves ---
    /// An MO is sent again although it was acknowledged (case 37).
    RedeliverMo,
    /// The client's first acknowledgement is lost: the MO is sent again when it has been waited for (case 37).
    MoResponseLost,
    /// The MO has the `esm_class` of a receipt (case 10).
    MoAsReceipt,
    /// The MO comes in at least two parts, however short it is (case 39).
    MoInParts {
        /// Where the parts say what they belong to.
        form: MoForm,
    },
    /// The MO comes in parts, the last one first (case 39).
    MoPartsOutOfOrder,
    /// The MO comes in parts, the first one twice (case 39).
    MoPartTwice,
    /// The MO comes in parts, without the last one (case 39).
    MoPartMissing,
    // --- Binds ---
    /// The bind is refused with this `command_status` (case 25).
    RefuseBind {
        /// The `command_status`; not 0.
        status: u32,
    },
    /// The bind is never answered (case 26).
    IgnoreBind,
    /// The bind is answered `ms` milliseconds late.
    DelayBind {
        /// How late.
        ms: u64,
    },
    /// The bind response says `ESME_ROK` and has no body (case 22).
    BareBindResponse,
    /// An `enquire_link` comes before the bind response (case 28).
    EnquireLinkBeforeBindResponse,
    /// The bind response and all that follows within `ms` milliseconds leave in one segment (case 18).
    BindInOneSegment {
        /// How long PDUs are gathered.
        ms: u64,
    },
    /// Bound, and from there on as [`Fault::GoSilent`] (case 27).
    SilentAfterBind {
        /// How long the connection is half-open.
        ms: u64,
    },
    /// Bound, and after `ms` milliseconds the connection is reset.
    ResetAfterBind {
        /// How long the bind lasts.
        ms: u64,
    },
    /// A connection that ends without an `unbind` counts as bound for `ms` milliseconds more: binds above the limit, or all
    /// where there is none, are refused with `ESME_RALYBND` (case 25).
    StaleBind {
        /// How long the SMSC believes in the old bind.
        ms: u64,
    },
    // --- What the session answers ---
    /// An `enquire_link` is not answered (case 28).
    IgnoreEnquireLink,
    /// An `enquire_link` is answered by a `generic_nack` (case 28).
    NackEnquireLink,
    /// An `enquire_link` is answered `ms` milliseconds late; before that come ten `enquire_link` of the SMSC (case 29).
    LateEnquireLink {
        /// How late.
        ms: u64,
    },
    /// A PDU that does not decode, for instance for an over-long field, is answered by an `unbind` (case 32).
    UnbindOnMalformed,
    // --- A request over HTTP: nothing is done ---
    /// No answer for `ms` milliseconds, then the connection is reset. Nothing is done.
    HttpTimeOutBefore {
        /// How long the client is let wait.
        ms: u64,
    },
    /// The connection is reset; nothing is done.
    HttpResetBefore,
    /// Answered with this 5xx; nothing is done.
    HttpErrorBefore {
        /// 500 to 599.
        status: u16,
    },
    /// Answered 429 with a `Retry-After`; nothing is done.
    HttpThrottle {
        /// The `Retry-After`, in seconds.
        retry_after_s: u32,
    },
    /// Answered 302 with its own address as `Location`; nothing is done.
    HttpRedirect,
    /// Answered 403 with a page for people, as by a wall in front of the carrier; nothing is done.
    HttpForbidden,
    /// Refused as somebody else's subscriber; nothing is done.
    HttpNotOurSubscriber,
    /// The access token, or whatever proves who asks, is refused as expired, and a token is good for nothing from then on;
    /// nothing is done.
    HttpTokenExpired,
    /// A confirm or a cancel is answered as if it were done, and is not.
    HttpLost,
    // --- A request over HTTP: done, and its answer spoilt ---
    /// Done only after `ms` milliseconds, also when the client has given up by then; answered after that.
    HttpLate {
        /// How late.
        ms: u64,
    },
    /// Done at once, and answered `ms` milliseconds late.
    HttpSlow {
        /// How late.
        ms: u64,
    },
    /// Done; no answer for `ms` milliseconds, then the connection is reset.
    HttpTimeOutAfter {
        /// How long the client is let wait.
        ms: u64,
    },
    /// Done, and the connection is reset without an answer.
    HttpResetAfter,
    /// Done, and answered with this 5xx.
    HttpErrorAfter {
        /// 500 to 599.
        status: u16,
    },
    /// Refused as a repetition of what was asked before.
    HttpDuplicate {
        /// Whether it is done all the same.
        charged: bool,
    },
    /// Done, and answered with octets that mean nothing.
    HttpGarbage,
    /// Done, and answered with a body of so many bytes.
    HttpOversized {
        /// Its length; at most 256 MiB.
        bytes: u32,
    },
    /// Done, and answered rightly, but as `text/html`.
    HttpWrongContentType,
    /// Done, and the answer breaks off in the middle of its body.
    HttpTruncated,
    // --- Callbacks over HTTP, drawn when the request is read ---
    /// The callback comes before the answer to the request.
    HttpCallbackFirst,
    /// The callback comes twice, under the same id.
    HttpCallbackTwice,
    /// The callback never comes.
    HttpCallbackLost,
    /// The callback shows a token that the client never gave, and is not sent again.
    HttpCallbackWrongToken,
    /// A callback for a payment that is not the client's comes first.
    HttpCallbackUnknown,
}

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Strikes {
    Submission,
    Mo,
    Bind,
    LinkLoss,
    EnquireLink,
    Malformed,
    Http,
}

impl Fault {
    /// Whether a message that it strikes is surely not charged.
    pub const fn prevents_charge(self) -> bool {
        matches!(
            self,
            Fault::Throttle
                | Fault::QueueFull
                | Fault::Refuse { .. }
                | Fault::Nack
                | Fault::DropLinkBeforeCharge
                | Fault::SystemError { charged: false }
                | Fault::HttpTimeOutBefore { .. }
                | Fault::HttpResetBefore
                | Fault::HttpErrorBefore { .. }
                | Fault::HttpThrottle { .. }
                | Fault::HttpRedirect
                | Fault::HttpForbidden
                | Fault::HttpNotOurSubscriber
                | Fault::HttpTokenExpired
                | Fault::HttpLost
                | Fault::HttpDuplicate { charged: false }
        )
    }

    /// Whether the client may never learn from SMPP alone what came of the message. A receipt without `esm_class` is one of
    /// these: where it is text only, a passenger could have written it, and a careful client does not believe it.
    pub const fn leaves_in_doubt(self) -> bool {
        matches!(
            self,
            Fault::DropLinkBeforeCharge
                | Fault::SystemError { charged: false }
                | Fault::NoReceipt
                | Fault::ReusedMessageId
                | Fault::ReceiptDisagrees
                | Fault::ReceiptWithoutEsmClass
        )
    }

    pub(in crate::simulator) const fn strikes(self) -> Strikes {
        match self {
            Fault::RedeliverMo
            | Fault::MoResponseLost
            | Fault::MoAsReceipt
            | Fault::MoInParts { .. }
            | Fault::MoPartsOutOfOrder
            | Fault::MoPartTwice
            | Fault::MoPartMissing => Strikes::Mo,
            Fault::RefuseBind { .. }
            | Fault::IgnoreBind
            | Fault::DelayBind { .. }
            | Fault::BareBindResponse
            | Fault::EnquireLinkBeforeBindResponse
            | Fault::BindInOneSegment { .. }
            | Fault::SilentAfterBind { .. }
            | Fault::ResetAfterBind { .. } => Strikes::Bind,
            Fault::StaleBind { .. } => Strikes::LinkLoss,
            Fault::IgnoreEnquireLink | Fault::NackEnquireLink | Fault::LateEnquireLink { .. } => Strikes::EnquireLink,
            Fault::UnbindOnMalformed => Strikes::Malformed,
            Fault::HttpTimeOutBefore { .. }
            | Fault::HttpResetBefore
            | Fault::HttpErrorBefore { .. }
            | Fault::HttpThrottle { .. }
            | Fault::HttpRedirect
            | Fault::HttpForbidden
            | Fault::HttpNotOurSubscriber
            | Fault::HttpTokenExpired
            | Fault::HttpLost
            | Fault::HttpLate { .. }
            | Fault::HttpSlow { .. }
            | Fault::HttpTimeOutAfter { .. }
            | Fault::HttpResetAfter
            | Fault::HttpErrorAfter { .. }
            | Fault::HttpDuplicate { .. }
            | Fault::HttpGarbage
            | Fault::HttpOversized { .. }
            | Fault::HttpWrongContentType
            | Fault::HttpTruncated
            | Fault::HttpCallbackFirst
            | Fault::HttpCallbackTwice
            | Fault::HttpCallbackLost
            | Fault::HttpCallbackWrongToken
            | Fault::HttpCallbackUnknown => Strikes::Http,
            _ => Strikes::Submission,
        }
    }

    /// Its name, as JSON and TOML write it.
    pub(in crate::simulator) fn kind(self) -> String {
        let written = serde_json::to_value(self).unwrap_or_default();
        written["kind"].as_str().unwrap_or_default().to_owned()
    }

    /// Its delay or duration, in milliseconds.
    pub(super) const fn ms(self) -> Option<u64> {
        match self {
            Fault::DelayResponse { ms }
            | Fault::OneSegment { ms }
            | Fault::GoSilent { ms }
            | Fault::StopReading { ms }
            | Fault::LateReceipt { ms }
            | Fault::DelayBind { ms }
            | Fault::BindInOneSegment { ms }
            | Fault::SilentAfterBind { ms }
            | Fault::ResetAfterBind { ms }
            | Fault::StaleBind { ms }
            | Fault::LateEnquireLink { ms }
            | Fault::HttpTimeOutBefore { ms }
            | Fault::HttpLate { ms }
            | Fault::HttpSlow { ms }
            | Fault::HttpTimeOutAfter { ms } => Some(ms),
            _ => None,
        }
    }
}
