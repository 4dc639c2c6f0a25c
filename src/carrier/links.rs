//! How a carrier's SMSC is reached: addresses, binds, TLS, and how patiently. Configuration, and what of it comes from files.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::profile::SmppProfile;
use crate::{
    charge::CarrierName,
    smpp::{self, BindMode, BreakerConfig, Endpoint, LinkConfig, PoolConfig, Reconnect, SessionConfig, TlsMaterials},
};

/// Binds that one carrier may have.
const BINDS_MAX: usize = 32;

/// One bind, with a window and a life of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindConfig {
    /// Its name in metrics, logs and readiness: no other bind of the carrier has it.
    pub name: String,
    /// What it carries.
    #[serde(default)]
    pub mode: Mode,
    /// Requests that may wait for their response at once; that of the carrier if left out.
    #[serde(default)]
    pub window: Option<u16>,
    /// Messages a second that the contract allows on this bind alone.
    #[serde(default)]
    pub tps: Option<u32>,
    /// Our name at the SMSC, where it is another than that of the other binds.
    #[serde(default)]
    pub system_id: Option<String>,
    /// The password to that name.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// What a bind carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Both directions.
    #[default]
    Transceiver,
    /// What we send.
    Transmitter,
    /// What comes from passengers, and receipts.
    Receiver,
}

impl From<Mode> for BindMode {
    fn from(mode: Mode) -> BindMode {
        match mode {
            Mode::Transceiver => BindMode::Transceiver,
            Mode::Transmitter => BindMode::Transmitter,
            Mode::Receiver => BindMode::Receiver,
        }
    }
}

/// The version of SMPP that we bind with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InterfaceVersion {
    /// What nearly every SMSC speaks.
    #[default]
    #[serde(rename = "3.4")]
    V34,
    /// With `billing_identification` and `congestion_state`. An SMSC that says it speaks an older one is not bound to.
    #[serde(rename = "5.0")]
    V50,
}

impl InterfaceVersion {
    const fn octet(self) -> u8 {
        match self {
            InterfaceVersion::V34 => 0x34,
            InterfaceVersion::V50 => 0x50,
        }
    }
}

/// TLS around the links. The server's name and certificate are always checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The name that the server's certificate must bear; the host of the address if left out.
    pub server_name: Option<String>,
    /// The authorities that may have signed that certificate (PEM); those that the system trusts if left out.
    pub authorities_file: Option<PathBuf>,
    /// Our own certificate with its chain (PEM), where the SMSC asks for one.
    pub certificate_file: Option<PathBuf>,
    /// Its private key (PEM).
    pub key_file: Option<PathBuf>,
}

/// When a carrier that takes messages and answers nothing is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerProfile {
    /// So many failures in a row, without one definite answer in between, open the circuit breaker.
    pub failures_max: u32,
    /// How long it stays open the first time; twice as long each time that the trial message fails. In milliseconds.
    pub pause_ms: u64,
    /// The longest that it stays open, in milliseconds.
    pub pause_ms_max: u64,
}

impl Default for BreakerProfile {
    fn default() -> BreakerProfile {
        BreakerProfile { failures_max: 10, pause_ms: 5_000, pause_ms_max: 60_000 }
    }
}

/// What a carrier is reached with and no configuration may hold: read from the files that it names.
#[derive(Clone, Default)]
pub struct LinkSecrets {
    /// The password of the carrier's `system_id`.
    pub password: Zeroizing<String>,
    /// Passwords of binds that have one of their own, by the bind's name.
    pub bind_passwords: BTreeMap<String, Zeroizing<String>>,
    /// For TLS.
    pub tls: TlsMaterials,
}

impl LinkSecrets {
    /// With one password for all binds.
    pub fn password(password: &str) -> LinkSecrets {
        LinkSecrets { password: Zeroizing::new(password.to_owned()), ..LinkSecrets::default() }
    }
}

impl std::fmt::Debug for LinkSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSecrets")
    }
}

impl SmppProfile {
    /// The binds: those configured, or one transceiver by the name of the `system_id`.
    pub fn binds(&self) -> Vec<BindConfig> {
        if self.binds.is_empty() {
            let name = self.system_id.clone();
            return vec![BindConfig {
                name,
                mode: Mode::Transceiver,
                window: None,
                tps: None,
                system_id: None,
                password_file: None,
            }];
        }
        self.binds.clone()
    }

    /// What `bind` says of itself to the SMSC.
    pub fn bind_fields(&self, bind: &BindConfig, secrets: &LinkSecrets) -> smpp::Bind {
        let password = secrets.bind_passwords.get(&bind.name).unwrap_or(&secrets.password);
        smpp::Bind {
            mode: bind.mode.into(),
            system_id: bind.system_id.clone().unwrap_or_else(|| self.system_id.clone()),
            password: password.to_string(),
            system_type: self.system_type.clone(),
            interface_version: self.interface_version.octet(),
            ..smpp::Bind::default()
        }
    }

    /// TLS as configured, with what the files hold; `None` for links in the clear. Errors: it cannot be used.
    pub fn tls(&self, secrets: &LinkSecrets) -> Result<Option<smpp::Tls>, smpp::TlsError> {
        self.tls.as_ref().map(|tls| smpp::Tls::new(&secrets.tls, tls.server_name.as_deref())).transpose()
    }

    /// What is wrong with how the SMSC is reached, each with its key.
    pub(super) fn link_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |fine: bool, problem: String| {
            if !fine {
                problems.push(problem);
            }
        };
        check(endpoint(&self.address).is_some(), "address: want host:port".into());
        let fallback = self.fallback_address.as_deref();
        check(fallback.is_none_or(|address| endpoint(address).is_some()), "fallback_address: want host:port".into());
        check(self.binds.len() <= BINDS_MAX, format!("binds: at most {BINDS_MAX}"));
        let binds = self.binds();
        check(
            binds.iter().any(|bind| bind.mode != Mode::Receiver),
            "binds: one must send, or nothing is charged".into(),
        );
        check(
            binds.iter().any(|bind| bind.mode != Mode::Transmitter),
            "binds: one must receive, or neither messages nor receipts come".into(),
        );
        for (n, bind) in self.binds.iter().enumerate() {
            let unique = self.binds.iter().filter(|other| other.name == bind.name).count() == 1;
            check(unique && !bind.name.is_empty(), format!("binds[{n}].name: each bind wants a name of its own"));
            check(
                bind.window.is_none_or(|window| (1..=1_000).contains(&window)),
                format!("binds[{n}].window: 1 to 1000"),
            );
            check(bind.tps.is_none_or(|tps| (1..=100_000).contains(&tps)), format!("binds[{n}].tps: 1 to 100000"));
            let system_id = bind.system_id.as_ref();
            check(
                system_id.is_none_or(|id| (1..=15).contains(&id.len())),
                format!("binds[{n}].system_id: 1 to 15 characters (SMPP 3.4, 5.2.1)"),
            );
            check(
                bind.password_file.is_none() || system_id.is_some(),
                format!("binds[{n}].password_file: it goes with a system_id of the bind's own"),
            );
        }
        if let Some(tls) = &self.tls {
            let both = tls.certificate_file.is_some() == tls.key_file.is_some();
            check(both, "tls: certificate_file and key_file go together".into());
        }
        check((1..=10_000).contains(&self.breaker.failures_max), "breaker.failures_max: 1 to 10000".into());
        let pauses = 100..=3_600_000;
        check(pauses.contains(&self.breaker.pause_ms), "breaker.pause_ms: 100 to 3600000".into());
        check(pauses.contains(&self.breaker.pause_ms_max), "breaker.pause_ms_max: 100 to 3600000".into());
        problems
    }
}

/// The links of the carrier `name`, to be opened. `tls` is shared by all of them.
pub(super) fn pool_config(
    name: &CarrierName,
    profile: &SmppProfile,
    secrets: &LinkSecrets,
    tls: Option<&smpp::Tls>,
) -> PoolConfig {
    let addresses = [Some(&profile.address), profile.fallback_address.as_ref()];
    let endpoints: Vec<Endpoint> = addresses.into_iter().flatten().filter_map(|address| endpoint(address)).collect();
    let link = |bind: &BindConfig| {
        let mut session = SessionConfig::new(name.as_str(), bind.name.as_str(), profile.bind_fields(bind, secrets));
        session.window = bind.window.unwrap_or(profile.window).into();
        session.response_timeout = profile.response_timeout();
        // Answers under way are worth as long a wait at the end as at any other time; the process has a limit of its own.
        session.unbind_timeout = profile.response_timeout();
        session.enquire_after = Duration::from_millis(profile.enquire_after_ms);
        session.version_min = needs_version_5(profile).then(|| InterfaceVersion::V50.octet());
        let mut link = LinkConfig::new(endpoints.clone(), session);
        link.tls = tls.cloned();
        link.tps = bind.tps;
        let longest = Duration::from_millis(profile.reconnect_ms_max);
        link.reconnect = Reconnect {
            first: Reconnect::default().first.min(longest),
            longest,
            already_bound: Duration::from_millis(profile.already_bound_wait_ms),
        };
        link
    };
    let mut pool = PoolConfig::new(profile.binds().iter().map(link).collect(), profile.tps);
    pool.breaker = BreakerConfig {
        failures_max: profile.breaker.failures_max,
        pause: Duration::from_millis(profile.breaker.pause_ms),
        pause_max: Duration::from_millis(profile.breaker.pause_ms_max),
    };
    pool
}

/// An SMSC of an older version would pass over what says that the message costs something, and deliver it for nothing.
fn needs_version_5(profile: &SmppProfile) -> bool {
    profile.tariffs.iter().any(|tariff| tariff.billing_identification.is_some())
}

/// What the binds of `running` say of themselves from their next bind on, now that `new` has been read. A bind that has another
/// name there, or is another account, stays as it is until a restart: that account's password is not its own.
pub(super) fn rebinds(running: &SmppProfile, new: &SmppProfile, secrets: &LinkSecrets) -> Vec<(String, smpp::Bind)> {
    let new: Vec<(String, smpp::Bind)> =
        new.binds().iter().map(|bind| (bind.name.clone(), new.bind_fields(bind, secrets))).collect();
    let fields = |bind: BindConfig| {
        let fields = running.bind_fields(&bind, secrets);
        let (_, new) = new.iter().find(|(name, new)| *name == bind.name && new.system_id == fields.system_id)?;
        Some((bind.name, smpp::Bind { password: new.password.clone(), ..fields }))
    };
    running.binds().into_iter().filter_map(fields).collect()
}

/// `host:port`; an IPv6 address stands in brackets.
fn endpoint(address: &str) -> Option<Endpoint> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some(())?;
    Some(Endpoint::new(host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::{ChargedAt, test_profile};

    fn with(toml: &str) -> SmppProfile {
        let mut table = toml::Table::try_from(test_profile(ChargedAt::Submission)).expect("a table");
        table.extend(toml.parse::<toml::Table>().expect("TOML"));
        table.try_into().expect("a profile")
    }

    fn pool(profile: &SmppProfile) -> PoolConfig {
        let mut secrets = LinkSecrets::password("all");
        secrets.bind_passwords.insert("own".into(), Zeroizing::new("mine".into()));
        pool_config(&"kcell".parse().expect("a name"), profile, &secrets, None)
    }

    #[test]
    fn without_binds_there_is_one_transceiver() {
        let pool = pool(&test_profile(ChargedAt::Submission));
        let [link] = pool.links.as_slice() else { panic!("{pool:?}") };
        assert_eq!((link.session.name.as_str(), link.session.bind.mode), ("smsbus", BindMode::Transceiver));
    }

    #[test]
    fn binds_may_differ_in_mode_window_rate_and_credentials() {
        let profile = with(
            r#"
            fallback_address = "[::1]:2776"
            binds = [
                { name = "out", mode = "transmitter", window = 50, tps = 20 },
                { name = "own", mode = "receiver", system_id = "smsbus-rx", password_file = "x" },
            ]"#,
        );
        assert_eq!(profile.link_problems(), Vec::<String>::new());
        let pool = pool(&profile);
        let [out, own] = pool.links.as_slice() else { panic!("{pool:?}") };
        assert_eq!((out.session.bind.mode, out.session.window, out.tps), (BindMode::Transmitter, 50, Some(20)));
        assert_eq!((out.session.bind.system_id.as_str(), out.session.bind.password.as_str()), ("smsbus", "all"));
        assert_eq!((own.session.bind.system_id.as_str(), own.session.bind.password.as_str()), ("smsbus-rx", "mine"));
        let endpoints: Vec<String> = out.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(endpoints, ["127.0.0.1:2775", "::1:2776"]);
    }

    #[test]
    fn what_cannot_work_is_named() {
        let problems = with(
            r#"
            address = "nowhere"
            binds = [{ name = "a", mode = "receiver" }, { name = "a", mode = "receiver", window = 0, password_file = "x" }]
            tls = { certificate_file = "only.pem" }"#,
        )
        .link_problems();
        assert_eq!(
            problems,
            [
                "address: want host:port",
                "binds: one must send, or nothing is charged",
                "binds[0].name: each bind wants a name of its own",
                "binds[1].name: each bind wants a name of its own",
                "binds[1].window: 1 to 1000",
                "binds[1].password_file: it goes with a system_id of the bind's own",
                "tls: certificate_file and key_file go together",
            ]
        );
    }

    #[test]
    fn a_password_that_is_read_again_is_used_by_the_bind_of_its_own_account_only() {
        let profile = |binds: &str| with(&format!("binds = [{binds}]"));
        let running = profile(
            r#"{ name = "a" }, { name = "own", system_id = "smsbus-rx", password_file = "x" }, { name = "gone", system_id = "b", password_file = "y" }"#,
        );
        let mut secrets = LinkSecrets::password("all");
        secrets.bind_passwords.insert("own".into(), Zeroizing::new("mine".into()));
        let passwords = |new: &SmppProfile| -> Vec<(String, String, String)> {
            let bind = |(name, bind): (String, smpp::Bind)| (name, bind.system_id, bind.password);
            rebinds(&running, new, &secrets).into_iter().map(bind).collect()
        };
        let expected = [("a", "smsbus", "all"), ("own", "smsbus-rx", "mine")]
            .map(|(name, id, password)| (name.to_owned(), id.to_owned(), password.to_owned()));
        let own = r#"{ name = "a" }, { name = "own", system_id = "smsbus-rx", password_file = "x" }"#;
        assert_eq!(passwords(&profile(own)), expected);
        let another = r#"{ name = "a" }, { name = "own", system_id = "other", password_file = "x" }"#;
        assert_eq!(passwords(&profile(another)), expected[..1]);
        let another_account = SmppProfile { system_id: "another".into(), ..profile(own) };
        assert_eq!(passwords(&another_account), expected[1..]);
    }

    #[test]
    fn a_bill_in_version_5_is_sent_to_nobody_who_does_not_speak_it() {
        let profile = with(
            r#"
            interface_version = "5.0"
            tariffs = [{ billing_identification = { format = 128, value = "BUS{major}" } }]"#,
        );
        let link = &pool(&profile).links[0];
        assert_eq!((link.session.version_min, link.session.bind.interface_version), (Some(0x50), 0x50));
    }
}
