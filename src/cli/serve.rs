//! `smsbusd serve`: the daemon, from its configuration to its last answer.

use std::{
    collections::BTreeMap,
    future::pending,
    net::SocketAddr,
    time::{Duration, Instant},
};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    ConfigArgs, Exit, Failure, Outcome, logging, metering,
    migrate::store_failure,
    reload::reload,
    sources, systemd,
    watermark::{BooksLost, Watch, admit},
};
use crate::{
    api,
    carrier::{AtStart, Carrier, CarrierConfig, CarrierEvent, CarrierSecrets},
    charge::CarrierName,
    clock::Clock,
    gateway::{Gateway, Parts, StartError, divided},
    settings::{self, Configuration, InstancesSettings, Materials, Settings, Sources},
    store::{GroupCommit, Hold, Joining, Store, StoreError},
    subscriber::{Keeper, Subscribers},
};

/// How often we look whether the store is still there.
const STORE_LOOK: Duration = Duration::from_secs(5);
/// How often the metrics' own memory is tidied.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// How long the last commits may take once everything else has stopped.
const STORE_CLOSE_MAX: Duration = Duration::from_secs(5);

/// Runs the gateway until SIGTERM or SIGINT, then drains. SIGHUP rereads what can be reread.
///
/// Errors: a configuration that is wrong (78); an address or a store that cannot be opened; the loss of the store while it
/// runs: what cannot be written must not be sold, and a restart recovers.
pub async fn serve(args: &ConfigArgs) -> Outcome {
    let mut signals = Signals::install()?;
    let sources = args.sources();
    let configuration = settings::load(&sources, Clock::System.now())?;
    let log = logging::install(&configuration.settings.log)?;
    let metrics = metering::install()?;
    let daemon = Box::pin(Daemon::start(configuration, metrics, args))
        .await
        .inspect_err(|failure| error!("cannot start: {failure}"))?;
    // Without its store there is nothing to drain into: what was on its way is recovered at the next start.
    let end = daemon.run(&mut signals, &sources, &log).await.inspect_err(|failure| error!("{failure}"))?;
    tokio::select! {
        stopped = daemon.stop(&end) => {
            stopped?;
            match end {
                End::Asked { .. } => Ok(Exit::Done),
                // Begun anew, it is one of them again.
                End::Fenced => Err(Failure::new("the other instances took this one for dead and went on in its place")),
            }
        }
        () = signals.stop() => Err(Failure::new("ended at once by a second signal; what was on its way is in doubt")),
    }
}

/// The signals that the daemon knows. From their installation on, none of them kills.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn install() -> Result<Signals, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")));
        Ok(Signals {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Everything that runs.
struct Daemon {
    settings: Settings,
    _hold: Hold,
    store: Store,
    writer: GroupCommit,
    watch: Option<Watch>,
    gateway: Gateway,
    api: Listener,
    callbacks: Option<Listener>,
    instances: Option<Listener>,
    operations: Listener,
}

/// Why it stops in good order.
enum End {
    /// By a signal, which was announced for so long.
    Asked { announced: Duration },
    /// Others go on in its place.
    Fenced,
}

/// A listener's task, and how it is told to stop.
struct Listener {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Daemon {
    /// Opens everything, takes up what an earlier process left open, and listens. Carriers may still be coming up.
    async fn start(
        configuration: Configuration,
        metrics: PrometheusHandle,
        args: &ConfigArgs,
    ) -> Result<Daemon, Failure> {
        let Configuration { settings, materials } = configuration;
        // An address that is taken is found out before anything else is touched.
        let api_listener = listen("api.listen", settings.api.listen).await?;
        let operations_listener = listen("operations.listen", settings.operations.listen).await?;
        let calls_back = settings.carriers.values().any(CarrierConfig::calls_back);
        let callbacks_listener =
            if calls_back { Some(listen("callbacks.listen", settings.callbacks.listen).await?) } else { None };
        let instances_listener = match settings.instances.listen {
            Some(address) => Some(listen("instances.listen", address).await?),
            None => None,
        };
        let hold = Hold::take(&settings.store.url).map_err(store_failure)?;
        // Books of an older moment are not served: who paid since would be charged again.
        let admitted = admit(&settings, args).await?;
        let store = Store::open_as(&settings.store.url, joining(&settings)).await.map_err(store_failure)?;
        let writer = GroupCommit::start(store.clone(), settings.store.group_commit());
        let watch = Watch::new(&settings, store.clone(), admitted);
        let gateway = Box::pin(start_gateway(&settings, materials, store.clone(), writer.clone())).await?;
        tokio::spawn(systemd::feed_watchdog(store.clone()));
        tokio::spawn(keep_up(metrics.clone()));
        let operations = Listener::spawn("operations", operations_listener, |listener, stop| {
            api::serve_operations(listener, gateway.clone(), metrics, stop)
        });
        let api = Listener::spawn("api", api_listener, |listener, stop| {
            api::serve(listener, settings.api.config.clone(), gateway.clone(), stop)
        });
        let callbacks = callbacks_listener.map(|listener| {
            Listener::spawn("callbacks", listener, |listener, stop| {
                api::serve_callbacks(listener, gateway.clone(), stop)
            })
        });
        let instances = instances_listener.map(|listener| {
            Listener::spawn("instances", listener, |listener, stop| {
                api::serve_instances(listener, gateway.clone(), stop)
            })
        });
        Ok(Daemon { settings, _hold: hold, store, writer, watch, gateway, api, callbacks, instances, operations })
    }

    /// Works until a signal ends it, or the loss of something that it cannot do without.
    async fn run(&self, signals: &mut Signals, sources: &Sources, log: &logging::LogHandle) -> Result<End, Failure> {
        let carriers = self.settings.carriers.keys().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let status = format!("selling through {carriers}");
        info!(version = env!("CARGO_PKG_VERSION"), carriers, "ready");
        systemd::ready(&status);
        let mut store_lost = std::pin::pin!(self.store_lost());
        let mut books_lost = std::pin::pin!(watch(self.watch.as_ref()));
        let mut announced: Option<Instant> = None;
        let announce = Duration::from_secs(self.settings.process.announce_seconds);
        let Signals { terminate, interrupt, hang_up } = signals;
        loop {
            let stop = async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            let asked = |announced: Option<Instant>| End::Asked {
                announced: announced.map_or(Duration::ZERO, |at| at.elapsed()),
            };
            tokio::select! {
                () = stop => {
                    if announce.is_zero() || announced.is_some() {
                        return Ok(asked(announced));
                    }
                    info!(seconds = announce.as_secs(), "a stop is announced: not ready any more, and selling on");
                    systemd::stopping();
                    self.gateway.announce_stop();
                    announced = Some(Instant::now());
                }
                () = announced_for(announced, announce) => return Ok(asked(announced)),
                () = self.gateway.fenced() => return Ok(End::Fenced),
                _ = hang_up.recv() => {
                    systemd::reloading();
                    reload(sources, &self.settings, &self.gateway, log).await;
                    systemd::ready(&status);
                }
                () = &mut store_lost => {
                    return Err(Failure::new("the store's writer has ended, so nothing can be sold any more; the log says why"));
                }
                lost = &mut books_lost => return Err(lost.failure()),
                () = self.api.ended() => return Err(Failure::new("the API has stopped listening; the log says why")),
                () = ended(self.callbacks.as_ref()) => {
                    return Err(Failure::new("the callbacks listener has stopped; the log says why"));
                }
                () = ended(self.instances.as_ref()) => {
                    return Err(Failure::new("the listener for other instances has stopped; the log says why"));
                }
                () = self.operations.ended() => {
                    return Err(Failure::new("the operations listener has stopped; the log says why"));
                }
            }
        }
    }

    /// Takes nothing new, lets what is on its way be answered, and closes the store. Within the configured limit.
    ///
    /// Errors: the books have lost what was seen of them.
    async fn stop(&self, end: &End) -> Result<(), Failure> {
        systemd::stopping();
        let announced = if let End::Asked { announced } = end { *announced } else { Duration::ZERO };
        let limit = Duration::from_secs(self.settings.process.drain_seconds_max).saturating_sub(announced);
        info!(limit_seconds = limit.as_secs(), "stopping: answers on their way are awaited");
        // Whoever waits for an outcome at the API gets it from the gateway while that drains.
        // What carriers say until the end is taken in.
        tokio::join!(self.gateway.stop(limit), self.api.close(limit));
        if let Some(instances) = &self.instances {
            instances.close(Duration::from_secs(1)).await;
        }
        if let Some(callbacks) = &self.callbacks {
            callbacks.close(Duration::from_secs(1)).await;
        }
        self.operations.close(Duration::from_secs(1)).await;
        let mut are_whole = true;
        if let Some(watch) = &self.watch {
            are_whole = watch.note().await.unwrap_or_else(|error| {
                warn!(%error, "how far the books have come could not be looked at once more");
                true
            });
        }
        if tokio::time::timeout(STORE_CLOSE_MAX, self.store.close()).await.is_err() {
            error!("the store did not close in time");
        }
        info!("stopped");
        if are_whole { Ok(()) } else { Err(BooksLost.failure()) }
    }

    /// Returns when nothing can be written any more: a writer has panicked.
    async fn store_lost(&self) {
        loop {
            tokio::select! {
                () = self.writer.ended() => return,
                () = tokio::time::sleep(STORE_LOOK) => {
                    if matches!(self.store.ping().await, Err(StoreError::Closed)) {
                        return;
                    }
                }
            }
        }
    }
}

impl Listener {
    fn spawn<F>(
        name: &'static str,
        listener: TcpListener,
        serve: impl FnOnce(TcpListener, CancellationToken) -> F,
    ) -> Listener
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        if let Ok(address) = listener.local_addr() {
            info!(listener = name, %address, "listening");
        }
        let stop = CancellationToken::new();
        let serving = serve(listener, stop.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                error!(listener = name, %error, "it serves no longer");
            }
        });
        Listener { task, stop }
    }

    /// Returns when the task has ended without having been told to.
    async fn ended(&self) {
        while !self.task.is_finished() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if self.stop.is_cancelled() {
            pending().await
        }
    }

    /// Takes no new connections, and waits until those that are there have ended.
    async fn close(&self, limit: Duration) {
        self.stop.cancel();
        let finished = async {
            while !self.task.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // What is not answered by then is cut off; its charge goes on.
        let _ = tokio::time::timeout(limit, finished).await;
    }
}

/// Returns if the books have lost what was seen of them; never where nothing is noted.
async fn watch(watch: Option<&Watch>) -> BooksLost {
    match watch {
        Some(watch) => watch.keep().await,
        None => pending().await,
    }
}

/// Returns once a stop was announced for long enough; never if none was.
async fn announced_for(announced: Option<Instant>, announce: Duration) {
    match announced {
        Some(at) => tokio::time::sleep(announce.saturating_sub(at.elapsed())).await,
        None => pending().await,
    }
}

/// Returns when a listener has ended; never if there is none.
async fn ended(listener: Option<&Listener>) {
    match listener {
        Some(listener) => listener.ended().await,
        None => pending().await,
    }
}

/// How this daemon comes to a database that others may be served by, too.
fn joining(settings: &Settings) -> Joining {
    let InstancesSettings { name, lease_seconds, .. } = &settings.instances;
    Joining {
        name: name.clone(),
        address: settings.instances.reached_at(),
        divides: divided(&settings.carriers, settings.webhooks.keys()).into_iter().map(|kind| kind.name).collect(),
        lease: Duration::from_secs(*lease_seconds),
        restores: false,
    }
}

async fn listen(key: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| Failure::new(format!("{key}: cannot listen on {address}: {error}")))
}

async fn start_gateway(
    settings: &Settings,
    materials: Materials,
    store: Store,
    writer: GroupCommit,
) -> Result<Gateway, Failure> {
    let at_start = if store.instances().is_some() { AtStart::Wait } else { AtStart::Use };
    let (carriers, events) = open_carriers(at_start, &settings.carriers, &materials.carriers)?;
    let keeper = settings.facts.keeper(&settings.routing);
    let keeper = Keeper::start(store.clone(), writer.clone(), Clock::System, keeper);
    let asked = (materials.sources, materials.look_up);
    let asked = sources::open(settings, &carriers, &materials.carriers, asked)?;
    let subscribers = Subscribers::open(materials.lists, &settings.facts, asked, (store.clone(), keeper));
    let parts = Parts {
        config: settings.gateway.clone(),
        clock: Clock::System,
        store,
        writer,
        carriers,
        books: materials.books,
        subscribers,
        routing: settings.routing.clone(),
        ticketing: settings.ticketing.clone(),
        keyring: materials.keyring,
        secrets: materials.secrets,
        mo_webhook: materials.mo_webhook,
        vat: settings.vat.clone(),
        webhooks: materials.webhooks,
        exchange: materials.exchange,
    };
    Gateway::start(parts, events).await.map_err(|error| match error {
        StartError::Config(_) => Failure::configuration(error.to_string()),
        StartError::Recovery(_) => Failure::new(error.to_string()),
    })
}

type Events = Vec<(CarrierName, tokio::sync::mpsc::Receiver<CarrierEvent>)>;

pub(super) fn open_carriers(
    at_start: AtStart,
    configs: &BTreeMap<CarrierName, CarrierConfig>,
    secrets: &BTreeMap<CarrierName, CarrierSecrets>,
) -> Result<(Vec<Carrier>, Events), Failure> {
    let (mut carriers, mut events) = (Vec::new(), Vec::new());
    for (name, config) in configs {
        let secrets = secrets.get(name).cloned().unwrap_or_default();
        let (carrier, receiver) = Carrier::open_to(at_start, name.clone(), config.clone(), &secrets)
            .map_err(|error| Failure::configuration(error.to_string()))?;
        carriers.push(carrier);
        events.push((name.clone(), receiver));
    }
    Ok((carriers, events))
}

async fn keep_up(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(METRICS_UPKEEP).await;
        metrics.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_the_writer_is_noticed_and_not_before() {
        let store = Store::open("memory:").await.expect("memory");
        let writer = GroupCommit::start(store, Default::default());
        let early = tokio::time::timeout(Duration::from_millis(20), writer.ended()).await;
        assert!(early.is_err(), "it has not ended");
        writer.close().await;
        let noticed = tokio::time::timeout(Duration::from_secs(10), writer.ended()).await;
        assert!(noticed.is_ok());
    }
}
