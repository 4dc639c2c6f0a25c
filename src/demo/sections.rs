//! How the gateway is told of the carriers: the sections of its configuration, as an operator would write them.

use std::net::SocketAddr;

use super::{
    carriers::{CLIENT, Carriers, SHORT_NUMBER},
    cast::CarrierId,
    credentials::FOLDER,
};
use crate::simulator::Interface;

/// After so long without a response over SMPP the gateway holds a charge to be in doubt. Short, so that the demo is.
pub(super) const RESPONSE_TIMEOUT_MS: u64 = 800;
/// What a purchase waits at most for all sources of facts together.
pub(super) const FACTS_BUDGET_MS: u64 = 1_500;

/// The profiles that come with the program, by the names under which the sections refer to them.
pub(super) const PROFILES: [(&str, &str); 2] = [
    ("cis.toml", include_str!("../../config/examples/profiles/cis.toml")),
    ("facts.toml", include_str!("../../config/examples/profiles/facts.toml")),
];

/// `[facts]` and `[carriers.…]`. The carriers call back to `callbacks`.
pub(super) fn sections(carriers: &Carriers, callbacks: SocketAddr) -> String {
    let each = CarrierId::ALL.map(|carrier| {
        let own = match carrier {
            CarrierId::Kcell => kcell(carriers),
            CarrierId::Beeline => beeline(carriers),
            CarrierId::Tele2 => tele2(carriers, callbacks),
            CarrierId::Altel => altel(carriers, callbacks),
        };
        common(carrier, carriers) + &own
    });
    format!("[facts]\nbudget_ms = {FACTS_BUDGET_MS}\n{}", each.concat())
}

/// What every carrier has: a short number, prefixes, and an SMSC.
fn common(carrier: CarrierId, carriers: &Carriers) -> String {
    let name = carrier.name();
    let language = match carrier {
        CarrierId::Kcell | CarrierId::Tele2 => "ru",
        CarrierId::Beeline | CarrierId::Altel => "kk",
    };
    format!(
        r#"
[carriers.{name}]
short_number = "{SHORT_NUMBER}"
language = "{language}"
prefixes = {prefixes:?}
fees = [{{ from = "2020-01-01", percent = "5", vat = true, returned = {returned} }}]

[carriers.{name}.smpp]
address = "{address}"
system_id = "{CLIENT}"
password_file = "{FOLDER}/smsc"
window = 50
tps = 1000
reconnect_ms_max = 100
response_timeout_ms = {RESPONSE_TIMEOUT_MS}
"#,
        prefixes = carrier.prefixes(),
        returned = carrier == CarrierId::Tele2,
        address = carriers.of(carrier).smpp_address(),
    )
}

/// How a fare travels over SMPP, at both carriers that are charged by it.
const TARIFFS: &str = r#"
tariffs = [{ tlvs = [
    { tag = 0x1401, type = "c_octet_string", value = "BUS{major}" },
    { tag = 0x1402, type = "reference" },
] }]
"#;

/// Charges by SMS, and answers over CAMARA whether a SIM was replaced.
fn kcell(carriers: &Carriers) -> String {
    let camara = url(carriers, CarrierId::Kcell, Interface::Camara);
    format!(
        r#"charged_at = "submission"
message_id = {{ response = "hex", receipt_text = "hex", receipt_tlv = "hex" }}
{TARIFFS}
[carriers.kcell.smpp.statuses]
0x450 = {{ rejected = "insufficient_balance" }}
0x451 = {{ rejected = "corporate_number" }}
0x452 = {{ rejected = "credit_debt" }}
0x453 = {{ rejected = "no_top_up_since_activation" }}
0x454 = {{ rejected = "initial_balance_unused" }}
0x455 = {{ rejected = "recent_sim_swap" }}
0x456 = {{ rejected = "carrier_account" }}
0x457 = {{ rejected = "not_our_subscriber" }}
0x458 = {{ rejected = "barred" }}

[facts.sources.kcell-camara]
carrier = "kcell"

[facts.sources.kcell-camara.camara]
sim_swap_url = "{camara}/sim-swap/v2"
token = {{ url = "{camara}/oauth2/token", client_id = "{CLIENT}", client_secret_file = "{FOLDER}/camara-client" }}
"#
    )
}

/// Charges by SMS, and has a system of its own that knows its subscribers.
fn beeline(carriers: &Carriers) -> String {
    let crm = url(carriers, CarrierId::Beeline, Interface::Facts);
    format!(
        r#"charged_at = "delivery"
message_id = {{ response = "decimal", receipt_text = "decimal", receipt_tlv = "decimal" }}
{TARIFFS}
[carriers.beeline.smpp.errs]
050 = "insufficient_balance"
051 = "corporate_number"
052 = "credit_debt"
053 = "no_top_up_since_activation"
054 = "initial_balance_unused"
055 = "recent_sim_swap"
056 = "carrier_account"
057 = "not_our_subscriber"
058 = "barred"

[facts.sources.beeline-crm]
carrier = "beeline"

[facts.sources.beeline-crm.http]
profile = "profiles/facts.toml"
base_url = "{crm}"
secret_files = {{ token = "{FOLDER}/facts" }}
"#
    )
}

/// Charges over CAMARA in two steps, and answers over CAMARA what it knows; SMS are for messages only.
fn tele2(carriers: &Carriers, callbacks: SocketAddr) -> String {
    let camara = url(carriers, CarrierId::Tele2, Interface::Camara);
    format!(
        r#"
[carriers.tele2.camara]
billing_url = "{camara}/carrier-billing/v0.5"
refund_url = "{camara}/carrier-billing-refund/v0.3"
sim_swap_url = "{camara}/sim-swap/v2"
tenure_url = "{camara}/kyc-tenure/v0.2"
two_step = true
sink = "http://{callbacks}/carriers/tele2"
callback_token_files = ["{FOLDER}/callback"]
query = {{ first_after_ms = 500, interval_ms_max = 1_000 }}
merchant = {{ name = "SMSBUS" }}

[carriers.tele2.camara.token]
url = "{camara}/oauth2/token"
client_id = "{CLIENT}"
client_secret_file = "{FOLDER}/camara-client"

[carriers.tele2.camara.reasons]
"insufficient balance" = "insufficient_balance"
"corporate number" = "corporate_number"
"unpaid trust payment" = "credit_debt"
"no top-up since activation" = "no_top_up_since_activation"
"initial balance unused" = "initial_balance_unused"
"sim replaced recently" = "recent_sim_swap"
"merchant account empty" = "carrier_account"
"#
    )
}

/// Charges over an interface that nobody else has, by a profile, which also says what it knows; SMS are for messages only.
fn altel(carriers: &Carriers, callbacks: SocketAddr) -> String {
    let pay = url(carriers, CarrierId::Altel, Interface::Cis);
    let facts = url(carriers, CarrierId::Altel, Interface::Facts);
    format!(
        r#"
[carriers.altel.http]
profile = "profiles/cis.toml"
base_url = "{pay}"
base_urls = {{ subscriber = "{facts}" }}
callback_url = "http://{callbacks}/carriers/altel"
secret_files = {{ sign = "{FOLDER}/sign" }}
"#
    )
}

/// Where a carrier offers an interface; empty, which no configuration passes, if it does not.
fn url(carriers: &Carriers, carrier: CarrierId, interface: Interface) -> String {
    carriers.of(carrier).http_url(interface).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::credentials::Credentials;

    #[tokio::test]
    async fn the_sections_are_toml_and_name_every_carrier_with_what_it_offers() {
        let callbacks = SocketAddr::from(([127, 0, 0, 1], 9));
        let carriers = Carriers::start(&Credentials::drawn(), callbacks).await.expect("they start");
        let sections: toml::Table = sections(&carriers, callbacks).parse().expect("TOML");
        for carrier in CarrierId::ALL {
            let own = &sections["carriers"][carrier.name()];
            let of_profile = own.get("http").or(own.get("camara")).is_some();
            let of_messages = own["smpp"].get("charged_at").is_some();
            assert!(of_profile != of_messages, "{} is charged in one way", carrier.name());
        }
        let addresses = toml::to_string(&sections).expect("TOML");
        assert!(!addresses.contains("= \"/") && !addresses.contains("url = \"\""), "{addresses}");
    }
}
