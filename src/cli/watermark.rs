//! How far the daemon has seen its books, noted outside of them: looked at before they are served, and kept while they are.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::{counter, gauge};
use tracing::{error, info, warn};

use super::{ConfigArgs, Failure, migrate::store_failure};
use crate::{
    clock::Clock,
    ledger::{Head, Writer},
    settings::Settings,
    store::{Admitted, Custody, RefusedBooks, Store, StoreError, Watermark, WatermarkFile},
};

/// The note lags behind the books by at most about this, and is written no more often.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Keeps the watermark of books that are served.
#[derive(Debug)]
pub(super) struct Watch {
    file: WatermarkFile,
    store: Store,
    generation: u32,
    /// What was noted last.
    noted: Mutex<Vec<(Writer, Head)>>,
}

/// The books are not those any more that were served.
#[derive(Debug)]
pub(super) struct BooksLost;

/// Looks whether the books are those that were served last. Returns how they stand.
///
/// Errors: they are older, or nobody can tell; status 78, because to try again does not help.
pub(super) async fn admit(settings: &Settings, args: &ConfigArgs) -> Result<Admitted, Failure> {
    let file = settings.store.watermark_file();
    let mut custody = Custody::visit(&settings.store.url).await.map_err(store_failure)?;
    let admitted = custody.admit(&settings.instances.name, file.as_ref(), Clock::System.now()).await;
    let admitted = admitted.map_err(|refused| refusal(&refused, Some(args)))?;
    let generation = admitted.generation;
    custody.close().await.map_err(store_failure)?;
    gauge!("books_generation").set(generation);
    match &file {
        Some(file) => {
            info!(generation, watermark = %file.path().display(), "the books are those that were served last")
        }
        None if settings.store.is_durable() => {
            warn!(
                generation,
                "no watermark is kept: that the database was put back to an older moment is not noticed; set store.watermark"
            );
        }
        None => {}
    }
    Ok(admitted)
}

/// Why books are not served, and what to do about it.
pub(super) fn refusal(refused: &RefusedBooks, args: Option<&ConfigArgs>) -> Failure {
    let config: Vec<String> =
        args.into_iter().flat_map(|args| &args.config).map(|file| format!(" --config {}", file.display())).collect();
    let command = format!("smsbusd restored{} --because WHY", config.concat());
    match refused {
        RefusedBooks::Behind { .. } => Failure::configuration(format!(
            "store: {refused}.\nWho paid in between would be charged again, so nothing is served. If a back-up was put back, and nothing newer is \
             left, run: {command}\ndocs/backup.md tells what it does."
        )),
        RefusedBooks::NoWatermark { .. } => Failure::configuration(format!(
            "store: {refused}.\nIf a back-up was put back, run: {command}\nIf only that file is gone, and the books are the last ones, run: \
             {command} --nothing-lost\ndocs/backup.md tells more."
        )),
        RefusedBooks::Unfinished { .. } => {
            Failure::configuration(format!("store: {refused}.\nNothing is served before it is. Run again: {command}"))
        }
        RefusedBooks::Store(error) => store_failure(error.clone()),
        RefusedBooks::Watermark(error) => Failure::configuration(format!(
            "store.watermark: {error}.\nWithout it nobody can tell whether the books are the last ones. If it is damaged, move it away; then run: \
             {command} --nothing-lost (or without that, if a back-up was put back)"
        )),
    }
}

impl Watch {
    /// For books that were admitted so; `None` where no watermark is kept.
    pub(super) fn new(settings: &Settings, store: Store, admitted: Admitted) -> Option<Watch> {
        let file = settings.store.watermark_file()?;
        let Admitted { generation, heads } = admitted;
        Some(Watch { file, store, generation, noted: Mutex::new(heads) })
    }

    /// Notes how far the books have come, again and again. Returns if they have lost what was noted: somebody has put them back, or a standby has
    /// taken over without the last commits.
    pub(super) async fn keep(&self) -> BooksLost {
        let mut interval = tokio::time::interval(NOTE_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            match self.note().await {
                Ok(true) => {}
                Ok(false) => return BooksLost,
                Err(error) => warn!(%error, "how far the books have come cannot be looked at; soon again"),
            }
        }
    }

    /// Notes how far the books have come, durably, if they have moved. `false` if they have lost what was noted.
    ///
    /// Errors: the store cannot be read. That the file cannot be written is told in the log, and is no reason not to sell.
    pub(super) async fn note(&self) -> Result<bool, StoreError> {
        let heads = self.store.heads().await?;
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if heads == noted {
            return Ok(true);
        }
        for (writer, head) in &noted {
            let is_end = heads.iter().any(|(other, end)| other == writer && end == head);
            if !is_end && !self.store.has_block(*writer, head).await? {
                error!(writer = writer.0, block = head.number, at = %head.at, "the books have lost a commit that was seen");
                return Ok(false);
            }
        }
        let watermark = Watermark::of(self.generation, &heads, Clock::System.now());
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.write(&watermark)).await;
        match written {
            Ok(Ok(())) => *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = heads,
            Ok(Err(error)) => {
                counter!("watermark_failures_total").increment(1);
                error!(%error, "how far the books have come cannot be noted: that they are put back would be noticed less exactly");
            }
            Err(error) => error!(%error, "the watermark was not written"),
        }
        Ok(true)
    }
}

impl BooksLost {
    /// Why the daemon ends.
    pub(super) fn failure(&self) -> Failure {
        Failure::configuration(
            "the books have lost commits that were seen: they were put back to an older moment, or a standby took over without them. \
             Nothing more is sold; the next start says what to do",
        )
    }
}
