//! How the parts of a world's gateway are made from its setting.

use std::time::Duration;

use super::{
    CARRIER, OTHER_CARRIER, Over, Relay, SHORT_NUMBER, Setting, WEBHOOK_KEYS, World, catalogue, keyring_until,
    over_http,
};
use crate::{
    carrier::{
        Carrier, CarrierConfig, CarrierSecrets, LinkSecrets, RoutingSettings,
        web::{WebClient, WebClientConfig},
    },
    charge::CarrierName,
    gateway::{Books, Gateway, MoWebhook, Parts, Secrets, TicketingConfig, Webhook, WebhookConfig},
    passenger::Texts,
    simulator::{ChargingMoment, Simulator},
    store::{GroupCommit, GroupCommitConfig, Store},
    subscriber::{Keeper, NumberLists, Subscribers},
    ticket::{MsisdnTagKey, short_code::ShortCodeMaster},
};

impl World {
    pub(super) async fn start_gateway(&self) -> Gateway {
        let store = if self.setting.sqlite {
            Store::open(&self.store_url()).await.expect("a database")
        } else {
            Store::Memory(self.memory.clone())
        };
        let (carriers, events): (Vec<_>, Vec<_>) = self
            .carrier_configs()
            .map(|(name, over, config)| {
                let secrets = self.secrets(&name, over, &config);
                let (carrier, events) = Carrier::open(name.clone(), config, &secrets).expect("a profile");
                (carrier, (name, events))
            })
            .unzip();
        let clock = self.setting.clock.clone();
        let lists = NumberLists::load(&self.setting.lists, clock.now()).expect("lists");
        let writer = GroupCommit::start(store.clone(), GroupCommitConfig::default());
        let facts = &self.setting.facts;
        let keeper = facts.keeper(&RoutingSettings::default());
        let keeper = Keeper::start(store.clone(), writer.clone(), clock.clone(), keeper);
        let asked = (self.setting.asked)(&self.simulator);
        let subscribers = Subscribers::open(lists, facts, asked, (store.clone(), keeper));
        let parts = Parts {
            config: self.setting.gateway.clone(),
            clock,
            writer,
            store,
            carriers,
            books: Books { catalogue: catalogue(), rules: self.setting.rules.clone(), texts: Texts::shipped() },
            subscribers,
            routing: RoutingSettings::default(),
            ticketing: TicketingConfig::default(),
            keyring: keyring_until(self.setting.keys_end),
            secrets: Secrets { msisdn_tag: MsisdnTagKey::new([1; 32]), short_code: ShortCodeMaster::new([2; 32]) },
            mo_webhook: self.webhook(),
            vat: self.setting.vat.clone(),
            webhooks: self.webhooks(WEBHOOK_KEYS),
            exchange: None,
        };
        Gateway::start(parts, events).await.expect("a gateway")
    }

    pub(super) fn secrets(&self, name: &CarrierName, over: Over, config: &CarrierConfig) -> CarrierSecrets {
        let links = LinkSecrets::password(&self.setting.simulator.password);
        match over {
            Over::Smpp => CarrierSecrets { links, ..CarrierSecrets::default() },
            over => CarrierSecrets { links, ..over_http::secrets(over, name.as_str(), config) },
        }
    }

    pub(super) fn carrier_configs(&self) -> impl Iterator<Item = (CarrierName, Over, CarrierConfig)> {
        let one = (CARRIER, self.setting.over, &self.simulator, "[705, 706, 771, 776, 777]");
        let other = self.setting.second.zip(self.other.as_ref());
        let other = other.map(|(over, simulator)| (OTHER_CARRIER, over, simulator, "[701, 702, 775, 778]"));
        [Some(one), other].into_iter().flatten().map(|(name, over, simulator, prefixes)| {
            (name.parse().expect("a name"), over, self.carrier_config(name, over, simulator, prefixes))
        })
    }

    fn webhook(&self) -> Option<MoWebhook> {
        let config = self.setting.mo_webhook.clone();
        let client = webhook_client(config.timeout_ms);
        MoWebhook::new(config, WEBHOOK_KEYS.map(|key| key.parse().expect("a key")).into(), client)
    }

    /// Those of the setting, with these keys.
    pub(crate) fn webhooks<const N: usize>(&self, keys: [&str; N]) -> Vec<Webhook> {
        let webhook = |(name, config): &(&str, WebhookConfig)| {
            let keys = keys.map(|key| key.parse().expect("a key"));
            Webhook::new(*name, config.clone(), keys.into(), webhook_client(config.timeout_ms)).expect("a sound URL")
        };
        self.setting.webhooks.iter().map(webhook).collect()
    }

    fn carrier_config(&self, name: &str, over: Over, carrier: &Simulator, prefixes: &str) -> CarrierConfig {
        let charged_at = match self.setting.charged_at {
            ChargingMoment::Submission => "submission",
            ChargingMoment::Delivery => "delivery",
        };
        let Setting { simulator, profile, .. } = &self.setting;
        let purchase = if self.setting.mo_webhook.url.is_some() { "webhook" } else { "direct" };
        let test_numbers = if name == CARRIER { r#"["+77059999999"]"# } else { "[]" };
        let text = format!(
            r#"
            short_number = "{SHORT_NUMBER}"
            prefixes = {prefixes}
            test_numbers = {test_numbers}
            purchase = "{purchase}"
            [smpp]
            address = "{}"
            system_id = "{}"
            password_file = "password"
            charged_at = "{charged_at}"
            tps = 100000
            window = 50
            reconnect_ms_max = 50
            response_timeout_ms = 400
            in_flight_delay_ms = 100
            tariffs = [{{ tlvs = [
                {{ tag = 0x1401, type = "c_octet_string", value = "BUS{{major}}" }},
                {{ tag = 0x1402, type = "reference" }},
            ] }}]
            {profile}
            [smpp.statuses]
            0x450 = {{ rejected = "insufficient_balance" }}
            0x451 = {{ rejected = "corporate_number" }}
            0x452 = {{ rejected = "credit_debt" }}
            0x453 = {{ rejected = "no_top_up_since_activation" }}
            0x454 = {{ rejected = "initial_balance_unused" }}
            0x455 = {{ rejected = "recent_sim_swap" }}
            0x456 = {{ rejected = "carrier_account" }}
            0x457 = {{ rejected = "not_our_subscriber" }}
            0x458 = {{ rejected = "barred" }}
            0x460 = {{ rejected = "carrier_refused" }}
            0x461 = {{ rejected = "carrier_refused" }}
            0x462 = {{ rejected = "carrier_refused" }}
            0x463 = {{ rejected = "carrier_refused" }}
            [smpp.errs]
            050 = "insufficient_balance"
            051 = "corporate_number"
            052 = "credit_debt"
            "#,
            self.relay.as_ref().filter(|_| name == CARRIER).map_or(carrier.smpp_address(), Relay::address),
            simulator.system_id,
        );
        let mut config: CarrierConfig = toml::from_str(&text).expect("a carrier");
        config.fees = self.setting.fees.clone();
        match over {
            Over::Smpp => config,
            over => {
                let callbacks = self.callbacks.local_addr().expect("an address");
                over_http::configured(over, name, config, carrier, callbacks, self.folder.path())
            }
        }
    }
}

fn webhook_client(timeout_ms: u64) -> WebClient {
    let (name, timeout) = ("ticket-service".parse().expect("a name"), Duration::from_millis(timeout_ms));
    let client = WebClientConfig { timeout, body_bytes_max: 1_024, ..WebClientConfig::new(name) };
    WebClient::new(client, None).expect("a client")
}
