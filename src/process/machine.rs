//! A simulated machine: its processes' tasks, chance and connections, all of which end with it or follow from a seed.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand::{
    RngExt, SeedableRng,
    distr::{
        Distribution, StandardUniform,
        uniform::{SampleRange, SampleUniform},
    },
    rngs::StdRng,
};
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;

use crate::carrier::web::{Outcome, WebRequest};

tokio::task_local! {
    static MACHINE: Machine;
}

/// A future of whatever kind.
pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a machine can reach.
pub(crate) trait Network: Send + Sync {
    /// A connection to the SMSC of this name.
    fn connect(&self, host: &str) -> Boxed<io::Result<DuplexStream>>;
    /// What comes of a request over HTTP.
    fn exchange(&self, request: WebRequest) -> Boxed<Outcome>;
}

/// One machine, on which one process runs until it is killed. Clones are the same machine.
#[derive(Clone)]
pub(crate) struct Machine(Arc<Inner>);

struct Inner {
    killed: CancellationToken,
    dice: Mutex<StdRng>,
    network: Arc<dyn Network>,
}

impl Machine {
    /// A machine that draws its chance from `seed`.
    pub(crate) fn new(seed: u64, network: Arc<dyn Network>) -> Machine {
        let dice = Mutex::new(StdRng::seed_from_u64(seed));
        Machine(Arc::new(Inner { killed: CancellationToken::new(), dice, network }))
    }

    /// The machine that the current task runs on; `None` for the one under the test itself.
    pub(crate) fn current() -> Option<Machine> {
        MACHINE.try_with(Machine::clone).ok()
    }

    /// Ends its process as `kill -9` would: none of its tasks gets any further, and all that they hold is gone.
    pub(crate) fn kill(&self) {
        self.0.killed.cancel();
    }

    /// Returns once it is killed.
    pub(crate) async fn killed(&self) {
        self.0.killed.cancelled().await;
    }

    /// Whether it was killed.
    pub(crate) fn is_killed(&self) -> bool {
        self.0.killed.is_cancelled()
    }

    /// Runs `work` as a part of its process. `None` once it is killed.
    pub(crate) async fn run<F: Future>(&self, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.0.killed.cancelled() => None,
            output = MACHINE.scope(self.clone(), work) => Some(output),
        }
    }

    /// A task that never ends once its machine is killed.
    pub(super) async fn own<F: Future>(self, task: F) -> F::Output {
        match self.run(task).await {
            Some(output) => output,
            None => std::future::pending().await,
        }
    }

    pub(super) fn random<T>(&self) -> T
    where
        StandardUniform: Distribution<T>,
    {
        self.dice().random()
    }

    pub(super) fn random_range<T, R>(&self, range: R) -> T
    where
        T: SampleUniform,
        R: SampleRange<T>,
    {
        self.dice().random_range(range)
    }

    pub(super) async fn connect(&self, host: &str) -> io::Result<DuplexStream> {
        self.0.network.connect(host).await
    }

    /// What comes of a request over HTTP.
    pub(crate) async fn exchange(&self, request: WebRequest) -> Outcome {
        self.0.network.exchange(request).await
    }

    fn dice(&self) -> MutexGuard<'_, StdRng> {
        self.0.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine(killed: {})", self.is_killed())
    }
}
