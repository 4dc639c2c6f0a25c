//! A `submit_sm` from flags that are named as its fields.

use clap::Args;
use data_encoding::HEXLOWER_PERMISSIVE;

use super::target::octet;
use crate::{
    cli::Failure,
    msisdn::Msisdn,
    smpp::{
        Address, SubmitSm, Tlv,
        dissect::tag_named,
        text::{Alphabet, DefaultAlphabet, encode},
        tlv,
    },
};

/// The most that `short_message` holds (SMPP 3.4, 5.2.22); more goes into `message_payload`.
const SHORT_MESSAGE_OCTETS_MAX: usize = 254;
/// Tags that carriers may give a meaning of their own.
const VENDOR_TAGS: std::ops::RangeInclusive<u16> = 0x1400..=0x3FFF;

/// The fields of `submit_sm` (SMPP 3.4, 4.4.1), by their names there.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Fields of submit_sm")]
pub(super) struct MessageArgs {
    /// To whom
    #[arg(long, value_name = "ADDRESS")]
    destination_addr: String,
    /// Type of number; 1, international, without it
    #[arg(long, value_name = "NUMBER", value_parser = octet, default_value = "1", hide_default_value = true)]
    dest_addr_ton: u8,
    /// Numbering plan; 1, ISDN, without it
    #[arg(long, value_name = "NUMBER", value_parser = octet, default_value = "1", hide_default_value = true)]
    dest_addr_npi: u8,
    /// From whom; the carrier's short number without it
    #[arg(long, value_name = "ADDRESS")]
    source_addr: Option<String>,
    /// Type of number; 3, network specific, without it
    #[arg(long, value_name = "NUMBER", value_parser = octet, default_value = "3", hide_default_value = true)]
    source_addr_ton: u8,
    /// Numbering plan
    #[arg(long, value_name = "NUMBER", value_parser = octet, default_value = "0")]
    source_addr_npi: u8,
    /// Service; some carriers read the tariff from it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    service_type: String,
    /// Message mode and features; 0x40 announces a user data header
    #[arg(long, value_name = "NUMBER", value_parser = octet, default_value = "0")]
    esm_class: u8,
    /// GSM TP-PID
    #[arg(long, value_name = "NUMBER", value_parser = octet, default_value = "0")]
    protocol_id: u8,
    /// Priority, 0 to 3
    #[arg(long, value_name = "NUMBER", value_parser = octet, default_value = "0")]
    priority_flag: u8,
    /// When to deliver: 16 characters in SMPP's format; now without it
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    schedule_delivery_time: String,
    /// Until when to try, as 000000001000000R for ten minutes; the SMSC's own limit without it
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    validity_period: String,
    /// Which receipts are wanted; 1, of the final outcome, without it if --wait-receipt is given
    #[arg(long, value_name = "NUMBER", value_parser = octet)]
    registered_delivery: Option<u8>,
    /// 1 replaces an earlier message
    #[arg(long, value_name = "NUMBER", value_parser = octet, default_value = "0")]
    replace_if_present_flag: u8,
    /// How the text is coded: 0, 1, 3 or 8; without it 1 (ASCII) if that will do, else 8 (UCS-2)
    #[arg(long, value_name = "NUMBER", value_parser = octet)]
    data_coding: Option<u8>,
    /// A canned message of the SMSC
    #[arg(long, value_name = "NUMBER", value_parser = octet, default_value = "0")]
    sm_default_msg_id: u8,
    /// The text; one of more than 254 octets travels as message_payload
    #[arg(long, value_name = "TEXT", conflicts_with = "short_message_hex")]
    short_message: Option<String>,
    /// The octets, in hexadecimal
    #[arg(long, value_name = "HEX")]
    short_message_hex: Option<String>,
    /// A further parameter, as 0x1401=c_octet_string:BUS_80 or user_message_reference=integer2:7. Types: c_octet_string,
    /// octet_string, integer1, integer2, integer4, hex. May come again
    #[arg(long = "tlv", value_name = "TAG=TYPE:VALUE", value_parser = parse_tlv)]
    tlvs: Vec<Tlv>,
}

impl MessageArgs {
    /// The message. Errors: a text that its coding does not have, or no source address.
    pub(super) fn message(
        &self,
        short_number: Option<&str>,
        default: DefaultAlphabet,
        wants_receipt: bool,
    ) -> Result<SubmitSm, Failure> {
        let source = self.source_addr.as_deref().or(short_number);
        let source = source.ok_or_else(|| Failure::usage("name a carrier with --carrier, or give --source-addr"))?;
        let (data_coding, octets) = self.user_data(default)?;
        let mut message = SubmitSm {
            service_type: self.service_type.clone(),
            source: Address { ton: self.source_addr_ton, npi: self.source_addr_npi, addr: source.to_owned() },
            destination: Address {
                ton: self.dest_addr_ton,
                npi: self.dest_addr_npi,
                addr: destination(&self.destination_addr),
            },
            esm_class: self.esm_class,
            protocol_id: self.protocol_id,
            priority_flag: self.priority_flag,
            schedule_delivery_time: self.schedule_delivery_time.clone(),
            validity_period: self.validity_period.clone(),
            registered_delivery: self.registered_delivery.unwrap_or(u8::from(wants_receipt)),
            replace_if_present_flag: self.replace_if_present_flag,
            data_coding,
            sm_default_msg_id: self.sm_default_msg_id,
            ..SubmitSm::default()
        };
        if octets.len() <= SHORT_MESSAGE_OCTETS_MAX {
            message.short_message = octets.into();
        } else {
            message = message.with_message_payload(octets);
        }
        message.tlvs.extend(self.tlvs.iter().cloned());
        Ok(message)
    }

    fn user_data(&self, default: DefaultAlphabet) -> Result<(u8, Vec<u8>), Failure> {
        if let Some(hex) = &self.short_message_hex {
            let octets = HEXLOWER_PERMISSIVE.decode(hex.as_bytes());
            let octets = octets.map_err(|_| Failure::usage("--short-message-hex: pairs of hexadecimal digits"))?;
            return Ok((self.data_coding.unwrap_or(0), octets));
        }
        let text = self.short_message.as_deref().unwrap_or_default();
        let in_alphabet = |alphabet| {
            encode(text, alphabet)
                .map_err(|error| Failure::usage(format!("--short-message: {error}; try another --data-coding")))
        };
        match self.data_coding {
            None => Ok(match encode(text, Alphabet::Ascii) {
                Ok(octets) => (1, octets),
                Err(_) => (8, in_alphabet(Alphabet::Ucs2)?),
            }),
            Some(0) => Ok((0, in_alphabet(default.alphabet())?)),
            Some(1) => Ok((1, in_alphabet(Alphabet::Ascii)?)),
            Some(3) => Ok((3, in_alphabet(Alphabet::Latin1)?)),
            Some(8) => Ok((8, in_alphabet(Alphabet::Ucs2)?)),
            Some(coding) => Err(Failure::usage(format!(
                "--data-coding {coding}: a text is written with 0, 1, 3 or 8; give its octets with --short-message-hex"
            ))),
        }
    }
}

/// Why a message may take money, if it may. A carrier reads the tariff from any of these.
pub(super) fn may_take_money(message: &SubmitSm, short_number: Option<&str>) -> Option<String> {
    if let Some(tlv) = message.tlvs.iter().find(|tlv| VENDOR_TAGS.contains(&tlv.tag)) {
        return Some(format!("it carries the vendor TLV 0x{:04X}", tlv.tag));
    }
    if message.tlvs.iter().any(|tlv| tlv.tag == tlv::BILLING_IDENTIFICATION) {
        return Some("it carries billing_identification".to_owned());
    }
    if !message.service_type.is_empty() {
        return Some(format!("its service_type is {:?}", message.service_type));
    }
    match short_number {
        None => Some("no carrier is named, so that nobody knows what its source address costs".to_owned()),
        Some(short) if short != message.source.addr => {
            Some(format!("its source address is not the carrier's short number {short}"))
        }
        Some(_) => None,
    }
}

/// A mobile number of Kazakhstan in E.164, without the plus; anything else as it is.
pub(super) fn destination(text: &str) -> String {
    text.parse::<Msisdn>().map_or_else(|_| text.to_owned(), |msisdn| msisdn.e164().to_string())
}

/// `TAG=TYPE:VALUE`.
fn parse_tlv(text: &str) -> Result<Tlv, String> {
    let parts = text.split_once('=').and_then(|(tag, rest)| Some((tag, rest.split_once(':')?)));
    let (tag, (kind, value)) = parts.ok_or("want TAG=TYPE:VALUE")?;
    let number = match tag.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16).ok(),
        None => tag.parse().ok().or_else(|| tag_named(tag)),
    };
    let tag = number.ok_or_else(|| format!("{tag:?} is no tag: want 0x1401, 5121, or a name of the specification"))?;
    let wrong = |want: &str| format!("{value:?} is not {want}");
    let value = match kind {
        "c_octet_string" if value.contains('\0') => return Err(wrong("a text without NUL")),
        "c_octet_string" => [value.as_bytes(), b"\0"].concat(),
        "octet_string" => value.as_bytes().to_vec(),
        "integer1" => vec![value.parse().map_err(|_| wrong("a number from 0 to 255"))?],
        "integer2" => value.parse().map(u16::to_be_bytes).map_err(|_| wrong("a number from 0 to 65535"))?.to_vec(),
        "integer4" => value.parse().map(u32::to_be_bytes).map_err(|_| wrong("a number from 0 to 4294967295"))?.to_vec(),
        "hex" => HEXLOWER_PERMISSIVE.decode(value.as_bytes()).map_err(|_| wrong("pairs of hexadecimal digits"))?,
        _ => {
            let types = "c_octet_string, octet_string, integer1, integer2, integer4 or hex";
            return Err(format!("{kind:?} is no type: want {types}"));
        }
    };
    Ok(Tlv { tag, value: value.into() })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        message: MessageArgs,
    }

    fn message(flags: &[&str]) -> Result<SubmitSm, Failure> {
        let line = [&["line", "--destination-addr", "8 701 123 45 67"], flags].concat();
        let line = Line::try_parse_from(line).map_err(|error| Failure::usage(error.to_string()))?;
        line.message.message(Some("2505"), DefaultAlphabet::default(), true)
    }

    #[test]
    fn a_text_is_coded_as_it_needs_or_as_it_is_told() {
        let plain = message(&["--short-message", "OK"]).unwrap();
        assert_eq!((plain.data_coding, plain.short_message.as_ref()), (1, b"OK".as_slice()));
        assert_eq!((plain.source.addr.as_str(), plain.destination.addr.as_str()), ("2505", "77011234567"));
        assert_eq!(plain.registered_delivery, 1);
        assert_eq!(message(&["--short-message", "Қ"]).unwrap().short_message.as_ref(), [0x04, 0x9A]);
        assert_eq!(message(&["--short-message", "@", "--data-coding", "0"]).unwrap().short_message.as_ref(), [0]);
        assert!(message(&["--short-message", "Қ", "--data-coding", "3"]).is_err());
        assert!(message(&["--short-message", "x", "--data-coding", "4"]).is_err());
        let octets = message(&["--short-message-hex", "00FF", "--data-coding", "0x04"]).unwrap();
        assert_eq!((octets.data_coding, octets.short_message.as_ref()), (4, [0x00, 0xFF].as_slice()));
        let long = message(&["--short-message", &"x".repeat(255)]).unwrap();
        assert!(long.short_message.is_empty());
        assert_eq!((long.tlvs[0].tag, long.tlvs[0].value.len()), (tlv::MESSAGE_PAYLOAD, 255));
    }

    #[test]
    fn a_parameter_is_written_as_its_type_says() {
        for (flag, tag, value) in [
            ("0x1401=c_octet_string:BUS_80", 0x1401, b"BUS_80\0".as_slice()),
            ("5121=octet_string:a:b", 0x1401, b"a:b"),
            ("user_message_reference=integer2:258", 0x0204, &[1, 2]),
            ("0x1402=integer4:8000", 0x1402, &[0, 0, 0x1F, 0x40]),
            ("billing_identification=hex:0AfF", 0x060B, &[0x0A, 0xFF]),
        ] {
            assert_eq!(parse_tlv(flag), Ok(Tlv { tag, value: value.to_vec().into() }), "{flag}");
        }
        for flag in ["", "0x1401", "0x1401=BUS", "vendor=hex:00", "x=hex:00", "1=integer1:256", "1=hex:0", "1=text:a"] {
            assert!(parse_tlv(flag).is_err(), "{flag}");
        }
    }

    #[test]
    fn what_may_take_money_is_told_from_what_is_free() {
        let why = |flags: &[&str], short| may_take_money(&message(flags).unwrap(), short);
        assert_eq!(why(&[], Some("2505")), None);
        for flags in [
            &["--tlv", "0x1401=c_octet_string:BUS"] as &[&str],
            &["--tlv", "0x3FFF=hex:"],
            &["--tlv", "billing_identification=hex:00"],
            &["--service-type", "BUS"],
            &["--source-addr", "25051"],
        ] {
            assert!(why(flags, Some("2505")).is_some(), "{flags:?}");
        }
        assert_eq!(why(&["--tlv", "user_message_reference=integer2:1"], Some("2505")), None);
        assert!(why(&[], None).is_some(), "without a carrier nobody knows");
    }
}
