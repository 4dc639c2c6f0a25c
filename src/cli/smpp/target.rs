//! Which SMSC is talked to, and as whom: from the configuration, from flags, or from both.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    carrier::BindConfig,
    charge::CarrierName,
    cli::{ConfigArgs, Failure},
    settings::{self, OneCarrier, Sources},
    smpp::{
        Bind, BindMode, Endpoint, Tls,
        receipt::{IdBase, MessageIdForm},
        text::DefaultAlphabet,
    },
};

/// A daemon on this machine answers at once.
const DAEMON_PATIENCE: Duration = Duration::from_millis(300);
/// SMPP's own port.
const PORT: u16 = 2775;

/// Which SMSC, and as whom. A flag goes over what the configuration says.
#[derive(Clone, Debug, Args)]
pub(super) struct TargetArgs {
    /// A carrier of the configuration; without it, --address, --system-id and --password-file are needed
    #[arg(long, value_name = "NAME")]
    carrier: Option<CarrierName>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Which of the carrier's binds to be; the first without it
    #[arg(long, value_name = "NAME", requires = "carrier")]
    bind: Option<String>,
    /// The SMSC
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Our name at the SMSC
    #[arg(long, value_name = "NAME")]
    system_id: Option<String>,
    /// File that holds the password and nothing else
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Which of the three binds
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// system_type of the bind
    #[arg(long, value_name = "TYPE")]
    system_type: Option<String>,
    /// interface_version of the bind, as 0x34
    #[arg(long, value_name = "NUMBER", value_parser = octet)]
    interface_version: Option<u8>,
    /// Seconds to wait for the connection, and for each answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    /// Go ahead, also where a running daemon may lose its bind or a message may take money
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Both ways
    Transceiver,
    /// To the SMSC only
    Transmitter,
    /// From the SMSC only
    Receiver,
}

/// An SMSC that can be bound to.
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) tls: Option<Tls>,
    pub(super) bind: Bind,
    pub(super) patience: Duration,
    /// Of a carrier of the configuration: what passengers write to.
    pub(super) short_number: Option<String>,
    pub(super) default_alphabet: DefaultAlphabet,
    /// How the configuration says that message ids are written.
    pub(super) message_id: Option<MessageIdForm>,
    pub(super) window: u16,
    operations: Option<SocketAddr>,
}

impl TargetArgs {
    /// Reads what is needed. Errors: the configuration is wrong, or something is neither there nor given.
    pub(super) fn target(&self) -> Result<Target, Failure> {
        let configured = self.carrier.as_ref().map(|name| {
            settings::load_carrier(&Sources::of_process(self.config.config.clone()), name).map_err(Failure::from)
        });
        let configured = configured.transpose()?;
        let config = configured.as_ref().map(|carrier| &carrier.config);
        let profile = config.and_then(|config| config.smpp.as_ref());
        if config.is_some() && profile.is_none() {
            return Err(Failure::usage("this carrier has no section smpp"));
        }
        let Some(address) = self.address.as_ref().or_else(|| profile.map(|profile| &profile.address)) else {
            return Err(Failure::usage("name a carrier with --carrier, or give --address"));
        };
        let mut bind = match &configured {
            Some(carrier) => self.configured_bind(carrier)?,
            None => Bind::default(),
        };
        match (&self.system_id, &configured) {
            (Some(system_id), _) => bind.system_id.clone_from(system_id),
            (None, Some(_)) => {}
            (None, None) => return Err(Failure::usage("name a carrier with --carrier, or give --system-id")),
        }
        match (&self.password_file, &configured) {
            (Some(file), _) => bind.password = settings::read_password(file).map_err(Failure::new)?.to_string(),
            (None, Some(_)) => {}
            (None, None) => return Err(Failure::usage("name a carrier with --carrier, or give --password-file")),
        }
        bind.mode = self.mode.map_or(bind.mode, BindMode::from);
        bind.interface_version = self.interface_version.unwrap_or(bind.interface_version);
        if let Some(system_type) = &self.system_type {
            bind.system_type.clone_from(system_type);
        }
        let tls = configured.as_ref().zip(profile).map(|(carrier, profile)| profile.tls(&carrier.links)).transpose();
        Ok(Target {
            endpoint: endpoint(address)?,
            tls: tls.map_err(|error| Failure::configuration(error.to_string()))?.flatten(),
            bind,
            patience: Duration::from_secs(self.timeout),
            short_number: config.map(|config| config.short_number.clone()),
            default_alphabet: profile.map(|profile| profile.default_alphabet).unwrap_or_default(),
            message_id: profile.map(|profile| profile.message_id),
            window: profile.map_or(10, |profile| profile.window),
            operations: configured.as_ref().map(|carrier| carrier.operations),
        })
    }

    /// The bind of the configuration that was asked for, or its first.
    fn configured_bind(&self, carrier: &OneCarrier) -> Result<Bind, Failure> {
        let Some(profile) = &carrier.config.smpp else {
            return Err(Failure::usage("this carrier has no section smpp"));
        };
        let binds = profile.binds();
        let wanted = |bind: &&BindConfig| self.bind.as_ref().is_none_or(|name| bind.name == *name);
        match binds.iter().find(wanted) {
            Some(bind) => Ok(profile.bind_fields(bind, &carrier.links)),
            None => {
                let names: Vec<&str> = binds.iter().map(|bind| bind.name.as_str()).collect();
                Err(Failure::usage(format!("--bind: the carrier has no such bind, but {}", names.join(", "))))
            }
        }
    }

    /// Says on the standard error what a second bind may do, and refuses without `--yes` if a daemon with this configuration
    /// runs here.
    pub(super) async fn warn(&self, target: &Target) -> Result<(), Failure> {
        let Target { endpoint, bind, .. } = target;
        eprintln!(
            "smsbusd: binding as {} at {endpoint}. An SMSC that allows one bind only refuses it with ESME_RALYBND (0x05) while a \
             daemon is bound, or ends the daemon's bind.",
            bind.system_id
        );
        let Some(operations) = target.operations.filter(|_| !self.yes) else { return Ok(()) };
        match timeout(DAEMON_PATIENCE, TcpStream::connect(operations)).await {
            Ok(Ok(_running)) => Err(Failure::usage(format!(
                "a daemon runs here (something answers at operations.listen, {operations}) and may lose its bind; add --yes to go ahead"
            ))),
            _ => Ok(()),
        }
    }
}

impl Target {
    /// The ways in which the id of a response may come back in a receipt: as configured, then all that the field knows.
    pub(super) fn message_id_forms(&self) -> Vec<MessageIdForm> {
        use IdBase::{AsIs, Decimal, Hex};
        const FIELD: [[IdBase; 3]; 6] = [
            [AsIs, AsIs, AsIs],
            [Hex, Decimal, Decimal],
            [Hex, Decimal, Hex],
            [Decimal, Hex, Hex],
            [Decimal, Hex, Decimal],
            [Hex, Hex, Hex],
        ];
        let form =
            |[response, receipt_text, receipt_tlv]: [IdBase; 3]| MessageIdForm { response, receipt_text, receipt_tlv };
        self.message_id.into_iter().chain(FIELD.map(form)).collect()
    }
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

fn endpoint(address: &str) -> Result<Endpoint, Failure> {
    let wrong = || Failure::usage(format!("--address: {address:?} is not HOST:PORT"));
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => Ok(Endpoint::new(host, port.parse().map_err(|_| wrong())?)),
        Some(_) => Err(wrong()),
        None => Ok(Endpoint::new(address, PORT)),
    }
}

/// `52` or `0x34`.
pub(super) fn octet(text: &str) -> Result<u8, String> {
    let read = match text.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16),
        None => text.parse(),
    };
    read.map_err(|_| "a number from 0 to 255, or from 0x00 to 0xFF".to_owned())
}
