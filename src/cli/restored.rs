//! `smsbusd restored`: the books were put back from a back-up, and go on as another generation.

use clap::Args;
use fail::fail_point;

use super::{
    ConfigArgs, Exit, Failure, Outcome, migrate::store_failure, output::print, serve::open_carriers, watermark::refusal,
};
use crate::{
    carrier::AtStart,
    clock::{Clock, Timestamp},
    gateway::{Declared, declare_in_doubt},
    settings::{self, Configuration, Settings},
    store::{BooksStanding, Custody, Generation, Hold, Joining, Restore, Store, Watermark, WatermarkFile},
};

/// `smsbusd restored`
#[derive(Clone, Debug, Args)]
pub struct RestoredArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Why: it is kept in the books
    #[arg(long, value_name = "TEXT")]
    because: String,
    /// Who says so: it is kept in the books
    #[arg(long, value_name = "NAME", env = "USER")]
    by: String,
    /// Until when commits may have been made that are lost; the present moment, if left out
    #[arg(long, value_name = "MOMENT", conflicts_with = "nothing_lost")]
    lost_until: Option<Timestamp>,
    /// The books were not put back: only the note of how far they were seen is gone
    #[arg(long)]
    nothing_lost: bool,
}

/// Begins another generation of books that were put back to an older moment, and declares in doubt all that was under way then. Nobody may be
/// served meanwhile. Ended in the middle, it is run again, and goes on where it was.
///
/// Errors: a configuration that is wrong; a store that a daemon serves, or that fails.
pub async fn restored(args: &RestoredArgs) -> Outcome {
    let now = Clock::System.now();
    let configuration = settings::load(&args.config.sources(), now)?;
    let settings = &configuration.settings;
    let mut custody = Custody::take(&settings.store.url).await.map_err(store_failure)?;
    let name = settings.instances.name.as_str();
    let standing = custody.standing(name).await.map_err(store_failure)?;
    let file = settings.store.watermark_file();
    if args.nothing_lost {
        return nothing_lost(custody, (name, file.as_ref()), args).await;
    }
    let watermark = match &file {
        Some(file) => file.read().map_err(|error| Failure::new(error.to_string()))?,
        None => None,
    };
    let restore = restore(args, &standing, watermark.as_ref(), now)?;
    let begun = custody.begin(&restore).await.map_err(store_failure)?;
    fail_point!("restore-after-begin");
    let pending = custody.pending().await.map_err(store_failure)?;
    // A file stays ours until the end. A server serves nobody meanwhile: the generation is not finished.
    let hold = custody.close().await.map_err(store_failure)?;
    let declared = Box::pin(declare(&configuration, &pending, begun.number)).await?;
    fail_point!("restore-before-finish");
    finish(settings, (name, file.as_ref()), begun.number, hold).await?;
    tell(&begun, &declared)?;
    Ok(Exit::Done)
}

fn restore(
    args: &RestoredArgs,
    standing: &BooksStanding,
    watermark: Option<&Watermark>,
    now: Timestamp,
) -> Result<Restore, Failure> {
    let lost_until = args.lost_until.unwrap_or(now);
    if lost_until > now {
        return Err(Failure::usage(format!("--lost-until: {lost_until} lies ahead; it is {now}")));
    }
    for (until, what) in [
        (standing.latest(), "the last commit in the books is of"),
        (watermark.and_then(Watermark::latest), "commits were seen up to"),
    ] {
        if let Some(until) = until.filter(|until| args.lost_until.is_some() && lost_until < *until) {
            return Err(Failure::usage(format!("--lost-until: {lost_until} is too early: {what} {until}")));
        }
    }
    let after = watermark.map_or(0, |watermark| watermark.generation).max(standing.generation());
    Ok(Restore { at: now, lost_until, after, by: args.by.clone(), because: args.because.clone() })
}

/// The daemon makes a new note when it starts.
async fn nothing_lost(
    mut custody: Custody,
    (name, file): (&str, Option<&WatermarkFile>),
    args: &RestoredArgs,
) -> Outcome {
    let noted = file.map(WatermarkFile::read).transpose().map_err(|error| Failure::new(error.to_string()))?;
    if noted.flatten().is_some() {
        let path = file.map(|file| file.path().display().to_string()).unwrap_or_default();
        return Err(Failure::usage(format!(
            "--nothing-lost: {path} tells how far the books were seen; whether anything is lost is told by it, and by nobody else"
        )));
    }
    custody.forget_watermark(name).await.map_err(store_failure)?;
    custody.close().await.map_err(store_failure)?;
    print(format!(
        "{} says that nothing was lost ({}): the next start notes anew how far it sees the books.",
        args.by, args.because
    ))?;
    Ok(Exit::Done)
}

async fn declare(
    configuration: &Configuration,
    pending: &[crate::charge::Reference],
    generation: u32,
) -> Result<Declared, Failure> {
    let Configuration { settings, materials } = configuration;
    // Nothing is bound, and nothing is sent.
    let (carriers, _events) = open_carriers(AtStart::Wait, &settings.carriers, &materials.carriers)?;
    let joining =
        Joining { name: format!("{} (restored)", settings.instances.name), restores: true, ..Joining::default() };
    let store = Store::open_as(&settings.store.url, joining).await.map_err(store_failure)?;
    let now = Clock::System.now();
    let declared = declare_in_doubt(&store, pending, &carriers, &settings.vat, (generation, now)).await;
    store.close().await;
    declared
        .map_err(|error| Failure::new(format!("not everything is in doubt yet: {error}; run the same command again")))
}

async fn finish(
    settings: &Settings,
    (name, file): (&str, Option<&WatermarkFile>),
    generation: u32,
    hold: Hold,
) -> Result<(), Failure> {
    let mut custody = Custody::visit(&settings.store.url).await.map_err(store_failure)?;
    let now = Clock::System.now();
    custody.finish(generation, now).await.map_err(store_failure)?;
    let admitted = custody.admit(name, file, now).await;
    admitted.map_err(|refused| refusal(&refused, None))?;
    custody.close().await.map_err(store_failure)?;
    drop(hold);
    Ok(())
}

fn tell(begun: &Generation, declared: &Declared) -> Result<(), Failure> {
    let Generation { number, restored_to, lost_until, .. } = begun;
    let from = restored_to.map_or_else(|| "their beginning".into(), |at| at.to_string());
    print(format!(
        "The books are in generation {number}. What was committed from {from} to {lost_until} is lost to them."
    ))?;
    print(format!(
        "In doubt now: {} charges, of which {} had not been sent as far as the books know; {} refunds. Their carriers are asked \
         once the daemon serves again.",
        declared.charges, declared.unsent, declared.refunds
    ))?;
    if declared.before > 0 {
        print(format!("{} were declared in doubt by a run before this one.", declared.before))?;
    }
    Ok(())
}
