use super::{
    date::ReceiptDate,
    fields::{Field, Key, fields},
    message_id::MessageIdForm,
    state::{Delivery, MessageState},
};

/// Bits 5 … 2 of `esm_class`: the type of the message (SMPP 3.4 section 5.2.12).
const MESSAGE_TYPE: u8 = 0x3C;
const TYPE_RECEIPT: u8 = 0x04;
const TYPE_INTERMEDIATE: u8 = 0x20;

const WORD_LENGTH_MAX: usize = 16;
const TEXT_PREFIX_LENGTH_MAX: usize = 40;

/// The TLVs of a `deliver_sm` or `data_sm` that belong to a receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiptTlvs<'a> {
    /// 0x001E.
    pub receipted_message_id: Option<&'a str>,
    /// 0x0427.
    pub message_state: Option<u8>,
    /// 0x0423.
    pub network_error_code: Option<[u8; 3]>,
    /// 0x0204, echoed from the submission by some carriers.
    pub user_message_reference: Option<u16>,
}

/// What makes a message a receipt, the most trustworthy first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Voucher {
    /// Its `esm_class`, which only a carrier can set; worth no more than [`Voucher::TextOnly`] at a carrier that sets it on what
    /// phones send.
    EsmClass,
    /// Its TLVs, which only a carrier can set.
    Tlvs,
    /// Nothing but its words. A subscriber can write such an SMS, so one that proves a payment should also match the charge's
    /// number, and a carrier that sets `esm_class` or TLVs on its receipts should not be believed without.
    TextOnly,
}

/// An error of the network (SMPP 3.4 section 5.3.2.31).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkError {
    /// 1 ANSI-136, 2 IS-95, 3 GSM; others are the carrier's.
    pub network: u8,
    /// The network's code.
    pub code: u16,
}

/// A delivery receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The id of the message it is about, normalised; from the TLV if both forms have one.
    pub message_id: Option<String>,
    /// What became of the message: the [conclusion](MessageState::conclusion) from all that the receipt says of it.
    pub state: MessageState,
    /// The word after `stat:`, at most 16 characters.
    pub stat_as_written: Option<String>,
    /// The error of the text, else of the network, in the carrier's own codes and not always digits; at most 16 characters.
    pub err: Option<String>,
    /// The TLV `network_error_code`.
    pub network_error: Option<NetworkError>,
    /// When the message was submitted.
    pub submit_date: Option<ReceiptDate>,
    /// When it reached its state.
    pub done_date: Option<ReceiptDate>,
    /// What the submission had as its `user_message_reference`.
    pub user_message_reference: Option<u16>,
    /// The beginning of the message as the receipt quotes it, at most 40 characters.
    pub text_prefix: Option<String>,
    /// An intermediate notification: its state is never final.
    pub intermediate: bool,
    /// Why this was taken for a receipt.
    pub voucher: Voucher,
    /// It names two different ids, or two different states. The difference deserves a break, whatever `state` came of it.
    pub disagreement: bool,
    /// Every state named, the TLV first: what [`Receipt::evidence_key`] tells disagreeing receipts apart by.
    named: Vec<MessageState>,
}

/// Whether a message is a delivery receipt and no SMS of a passenger.
///
/// A carrier's word in `esm_class` is not enough, because some set it on what phones send: something must be said of a message.
/// Nor is it needed: TLVs with id and state, or a text with `id:` and `stat:`, are a receipt without it.
pub fn looks_like_receipt(esm_class: u8, text: &str, tlvs: &ReceiptTlvs<'_>) -> bool {
    voucher(esm_class, &fields(text), tlvs).is_some()
}

impl Receipt {
    /// Reads a message as a receipt; `None` if it is none, by the rule of [`looks_like_receipt`].
    pub fn read(esm_class: u8, text: &str, tlvs: &ReceiptTlvs<'_>, ids: &MessageIdForm) -> Option<Receipt> {
        let fields = fields(text);
        let voucher = voucher(esm_class, &fields, tlvs)?;
        let states = named_states(&fields, tlvs);
        let message_ids = named_ids(&fields, tlvs, ids);
        let network_error = tlvs
            .network_error_code
            .map(|[network, high, low]| NetworkError { network, code: u16::from_be_bytes([high, low]) });
        let err = first(&fields, Key::Err).and_then(word);
        Some(Receipt {
            state: MessageState::conclusion(&states),
            stat_as_written: first(&fields, Key::Stat).and_then(word),
            err: err.or_else(|| network_error.map(|error| format!("{:03}", error.code))),
            network_error,
            submit_date: first(&fields, Key::SubmitDate).and_then(ReceiptDate::parse),
            done_date: first(&fields, Key::DoneDate).and_then(ReceiptDate::parse),
            user_message_reference: tlvs.user_message_reference,
            text_prefix: first(&fields, Key::Text).map(|quoted| quoted.chars().take(TEXT_PREFIX_LENGTH_MAX).collect()),
            intermediate: esm_class & MESSAGE_TYPE == TYPE_INTERMEDIATE,
            voucher,
            disagreement: differ(&states) || differ(&message_ids),
            message_id: message_ids.into_iter().next(),
            named: states,
        })
    }

    /// What the receipt says about the delivery; an intermediate one says nothing that is final.
    pub fn delivery(&self) -> Delivery {
        if self.intermediate { Delivery::NothingNew } else { self.state.delivery() }
    }

    /// What tells this piece of evidence from others about the same message: stat, err and done date (M9). The same receipt
    /// sent again has the same key. An intermediate notification, and a receipt that disagrees with itself, differ from a plain one.
    pub fn evidence_key(&self) -> String {
        let stat = match (self.state, &self.stat_as_written) {
            (MessageState::Unrecognised, Some(written)) => written.to_uppercase(),
            _ if differ(&self.named) => self.named.iter().map(|state| state.stat()).collect::<Vec<_>>().join("+"),
            (state, _) => state.stat().to_owned(),
        };
        let err = self.err.as_deref().unwrap_or_default().to_uppercase();
        let done = match &self.done_date {
            Some(ReceiptDate { civil: Some(civil), .. }) => civil.to_string(),
            Some(date) => date.as_written.clone(),
            None => String::new(),
        };
        let intermediate = if self.intermediate { "~" } else { "" };
        format!("{intermediate}{stat}|{err}|{done}")
    }
}

fn voucher(esm_class: u8, fields: &[Field<'_>], tlvs: &ReceiptTlvs<'_>) -> Option<Voucher> {
    let tlv_id = tlvs.receipted_message_id.is_some_and(|id| !id.is_empty());
    let id = first(fields, Key::Id).is_some();
    let stat = first(fields, Key::Stat);
    let known_stat = stat.is_some_and(|stat| state_of(stat) != MessageState::Unrecognised);
    let details = [Key::Submitted, Key::DeliveredCount, Key::SubmitDate, Key::DoneDate, Key::Err];
    let detailed = details.into_iter().any(|key| first(fields, key).is_some());

    let flagged = matches!(esm_class & MESSAGE_TYPE, TYPE_RECEIPT | TYPE_INTERMEDIATE);
    let says_something = tlv_id || tlvs.message_state.is_some() || known_stat || (id && (stat.is_some() || detailed));
    if flagged && says_something {
        Some(Voucher::EsmClass)
    } else if tlv_id && tlvs.message_state.is_some() {
        Some(Voucher::Tlvs)
    } else if (id || tlv_id) && stat.is_some() && (known_stat || detailed) {
        Some(if tlv_id { Voucher::Tlvs } else { Voucher::TextOnly })
    } else {
        None
    }
}

/// The states named, the TLV first. A word that nobody knows contradicts nothing, so it counts only when it stands alone.
fn named_states(fields: &[Field<'_>], tlvs: &ReceiptTlvs<'_>) -> Vec<MessageState> {
    let tlv = tlvs.message_state.map(MessageState::from_tlv);
    let text = fields.iter().filter(|field| field.key == Key::Stat && !field.value.is_empty());
    let all: Vec<MessageState> = tlv.into_iter().chain(text.map(|field| state_of(field.value))).collect();
    let known: Vec<MessageState> = all.iter().copied().filter(|state| *state != MessageState::Unrecognised).collect();
    if known.is_empty() { all } else { known }
}

/// The ids named, normalised, the TLV's first.
fn named_ids(fields: &[Field<'_>], tlvs: &ReceiptTlvs<'_>, form: &MessageIdForm) -> Vec<String> {
    let tlv = tlvs.receipted_message_id.and_then(|id| form.receipt_tlv.normalise(id));
    let text = fields.iter().filter(|field| field.key == Key::Id);
    tlv.into_iter().chain(text.filter_map(|field| form.receipt_text.normalise(first_word(field.value)))).collect()
}

/// The first field of that key that is not empty.
fn first<'a>(fields: &[Field<'a>], key: Key) -> Option<&'a str> {
    fields.iter().find(|field| field.key == key && !field.value.is_empty()).map(|field| field.value)
}

fn state_of(stat: &str) -> MessageState {
    MessageState::from_stat(first_word(stat))
}

fn first_word(value: &str) -> &str {
    value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|')).next().unwrap_or_default()
}

/// The first word of a value, cut to a bounded length.
fn word(value: &str) -> Option<String> {
    let word: String = first_word(value).chars().take(WORD_LENGTH_MAX).collect();
    (!word.is_empty()).then_some(word)
}

fn differ<T: PartialEq>(named: &[T]) -> bool {
    named.windows(2).any(|pair| pair[0] != pair[1])
}
