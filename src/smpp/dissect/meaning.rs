//! What numbers mean, in a few words.

use std::borrow::Cow;

use crate::smpp::receipt::MessageState;

/// Says what a number means; nothing where it says all by itself.
pub(super) type Meaning = fn(u32) -> Option<Cow<'static, str>>;

pub(super) fn none(_: u32) -> Option<Cow<'static, str>> {
    None
}

/// SMPP 3.4, 5.2.5.
pub(super) fn type_of_number(ton: u32) -> Option<Cow<'static, str>> {
    named(match ton {
        0 => "unknown",
        1 => "international",
        2 => "national",
        3 => "network specific",
        4 => "subscriber number",
        5 => "alphanumeric",
        6 => "abbreviated",
        _ => return None,
    })
}

/// SMPP 3.4, 5.2.6.
pub(super) fn numbering_plan(npi: u32) -> Option<Cow<'static, str>> {
    named(match npi {
        0 => "unknown",
        1 => "ISDN (E.164)",
        3 => "data (X.121)",
        4 => "telex (F.69)",
        6 => "land mobile (E.212)",
        8 => "national",
        9 => "private",
        10 => "ERMES",
        14 => "IP",
        18 => "WAP client id",
        _ => return None,
    })
}

/// SMPP 3.4, 5.2.4 and 5.3.2.25.
pub(super) fn version(version: u32) -> Option<Cow<'static, str>> {
    let (major, minor) = (version >> 4, version & 0x0F);
    (version <= 0xFF).then(|| format!("0x{version:02X}, SMPP {major}.{minor}").into())
}

/// SMPP 3.4, 5.2.12.
pub(super) fn esm_class(class: u32) -> Option<Cow<'static, str>> {
    let mode = match class & 0x03 {
        1 => Some("datagram mode"),
        2 => Some("forward mode"),
        3 => Some("store and forward mode"),
        _ => None,
    };
    let kind = match class & 0x3C {
        0x00 => None,
        0x04 => Some("delivery receipt"),
        0x08 => Some("delivery acknowledgement"),
        0x10 => Some("user acknowledgement"),
        0x18 => Some("conversation abort"),
        0x20 => Some("intermediate notification"),
        _ => Some("reserved message type"),
    };
    let header = (class & 0x40 != 0).then_some("user data header");
    let reply_path = (class & 0x80 != 0).then_some("reply path");
    list(&[mode, kind, header, reply_path])
}

/// SMPP 3.4, 5.2.17.
pub(super) fn registered_delivery(wanted: u32) -> Option<Cow<'static, str>> {
    let receipt = match wanted & 0x03 {
        0 => "no receipt",
        1 => "receipt of the final outcome",
        2 => "receipt of failure",
        _ => "receipt of success",
    };
    let acknowledgement = match wanted & 0x0C {
        0x00 => None,
        0x04 => Some("delivery acknowledgement"),
        0x08 => Some("user acknowledgement"),
        _ => Some("both acknowledgements"),
    };
    let intermediate = (wanted & 0x10 != 0).then_some("intermediate notification");
    list(&[Some(receipt), acknowledgement, intermediate])
}

/// SMPP 3.4, 5.2.19.
pub(super) fn data_coding(coding: u32) -> Option<Cow<'static, str>> {
    named(match coding {
        0x00 => "SMSC default alphabet",
        0x01 => "IA5 (ASCII)",
        0x02 | 0x04 => "octets",
        0x03 => "Latin-1",
        0x05 => "JIS",
        0x06 => "Cyrillic (ISO 8859-5)",
        0x07 => "Hebrew (ISO 8859-8)",
        0x08 => "UCS-2",
        0x09 => "pictogram",
        0x0A => "ISO 2022-JP",
        0x0D => "extended Kanji",
        0x0E => "KS C 5601",
        0x10..=0x7F => "general data coding of GSM 03.38",
        0xC0..=0xEF => "message waiting of GSM 03.38",
        0xF0..=0xFF => "message class of GSM 03.38",
        _ => return None,
    })
}

/// SMPP 3.4, 5.2.28.
pub(super) fn message_state(state: u32) -> Option<Cow<'static, str>> {
    match MessageState::from_tlv(u8::try_from(state).ok()?) {
        MessageState::Unrecognised => None,
        state => named(state.stat()),
    }
}

/// SMPP 3.4, 5.3.2.30.
pub(super) fn availability(status: u32) -> Option<Cow<'static, str>> {
    named(["available", "denied", "unavailable"].get(usize::try_from(status).ok()?)?)
}

/// SMPP 3.4, 5.3.2.33.
pub(super) fn delivery_failure(reason: u32) -> Option<Cow<'static, str>> {
    const REASONS: [&str; 4] = [
        "destination unavailable",
        "destination address invalid",
        "permanent network error",
        "temporary network error",
    ];
    named(REASONS.get(usize::try_from(reason).ok()?)?)
}

/// SMPP 5.0, 4.8.4.18.
pub(super) fn congestion(state: u32) -> Option<Cow<'static, str>> {
    named(match state {
        0 => "idle",
        1..=29 => "low load",
        30..=49 => "medium load",
        50..=79 => "high load",
        80..=89 => "optimum load",
        90..=99 => "nearing congestion",
        100 => "congested",
        _ => return None,
    })
}

/// SMPP 3.4, 5.3.2.31.
pub(super) fn network_error(octets: &[u8]) -> Option<String> {
    let [network, high, low] = octets else { return None };
    let network = match network {
        1 => "ANSI-136",
        2 => "IS-95",
        3 => "GSM",
        _ => "network of the carrier's own number,",
    };
    Some(format!("{network} error {}", u16::from_be_bytes([*high, *low])))
}

pub(super) fn of_no_octets(_: &[u8]) -> Option<String> {
    None
}

fn named(name: &'static str) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(name))
}

fn list(parts: &[Option<&'static str>]) -> Option<Cow<'static, str>> {
    let parts: Vec<&str> = parts.iter().copied().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", ").into())
}
