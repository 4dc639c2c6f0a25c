//! One adapter per kind of carrier interface, routing, throttling, and what a carrier's answers mean for the money.
//!
//! An adapter turns a charge's attempt into bytes and what comes back into [`Evidence`](crate::charge::Evidence); it decides
//! nothing. What it hears without having asked (messages from passengers, receipts, late answers) it hands to the gateway as
//! [`CarrierEvent`]s, and it acknowledges nothing before the gateway has made it durable.

mod callback;
pub mod camara;
mod dispatch;
pub mod http;
mod links;
mod meaning;
mod message;
mod open;
mod profile;
mod receipt;
mod refund_profile;
mod reread;
mod routing;
mod shares;
mod smpp;
mod standing;
mod tariff;
mod trace;
pub mod transcript;
pub mod web;

pub use callback::{About, Callback, CallbackAnswer, CallbackRequest, Notice, Refusal};
pub use camara::{CamaraCarrier, CamaraProfile, CamaraSecrets};
pub use dispatch::{SLOT_LASTS, SendSlot, TextSlot};
pub use http::{HttpCarrier, HttpProfile, HttpSecrets};
pub use links::{BindConfig, BreakerProfile, InterfaceVersion, LinkSecrets, Mode, TlsConfig};
pub use meaning::Meanings;
pub use message::{Ack, CarrierEvent, Sent, Text, Urgency};
pub use open::{AtStart, CarrierSecrets, HttpMaterials, OverHttp};
pub use profile::{CarrierConfig, ChargedAt, LongMessages, Meaning, PurchaseMode, SmppProfile, StatMeaning};
pub use receipt::CarrierReceipt;
pub use refund_profile::{RefundProfile, RefundProof, RefundStat};
pub use reread::{LostPayment, PaymentStanding, RereadError};
pub use routing::{PrefixTable, Route, Routing, RoutingSettings};
pub use shares::Divisible;
pub use smpp::{SetupError, SmppCarrier};
pub use standing::{BindStanding, NoSlot, Standing};
pub use tariff::{BillingIdentification, TariffConfig, TariffError, TlvConfig, TlvKind};
pub use trace::{Trace, TraceFilter, TraceLine, TracedCommand};

/// A carrier, whatever its interface. Clones share its connections.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// Charges by SMPP.
    Smpp(SmppCarrier),
    /// Charges by CAMARA Carrier Billing.
    Camara(OverHttp<CamaraCarrier>),
    /// Charges as a profile says.
    Http(OverHttp<HttpCarrier>),
}

#[cfg(test)]
pub(crate) fn test_profile(charged_at: ChargedAt) -> SmppProfile {
    let charged_at = match charged_at {
        ChargedAt::Submission => "submission",
        ChargedAt::Delivery => "delivery",
    };
    toml::from_str(&format!(
        r#"
        address = "127.0.0.1:2775"
        system_id = "smsbus"
        password_file = "password"
        charged_at = "{charged_at}"
        message_id = {{ response = "hex", receipt_text = "decimal", receipt_tlv = "hex" }}
        tariffs = [{{ tlvs = [{{ tag = 0x1401, type = "c_octet_string", value = "BUS{{major}}" }}] }}]
        [statuses]
        0x450 = {{ rejected = "insufficient_balance" }}
        0x451 = {{ rejected = "corporate_number" }}
        [errs]
        050 = "insufficient_balance"
        "#
    ))
    .expect("a profile")
}
