//! A file with rows in every table, and everything that can be asked of a store.

use sqlx::{AssertSqlSafe, ConnectOptions, Row, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{
    charge::{Channel, Event, Finding, HomeSource},
    eligibility::{FactName, FactValue},
    money::Money,
    msisdn::Msisdn,
    passenger::{Language, MoPart},
    store::{
        Custody, EventPlace, FailedDelivery, FailedFilter, IncomingSms, KeyGuard, Opening, OutgoingSms, Replay, Reread,
        Restore, Store, StoreError, WebhookEnd, WebhookProgress, WebhookStanding, Write,
        contract::{
            fixture::{
                FARE, accepted, advance, at, carrier, charge_at, commit, doubtful, evidence, key, mo, msisdn, open,
                open_attempt, opening, paid, receipt, reference, run, settlement, sms, turned_down, vehicle,
                with_words,
            },
            known::{home, stored_fact},
            random,
        },
    },
};

/// What others may write, each kind of character.
pub(super) const ODD: &str = "қазақша \"1\" \\ \u{0}\u{1}\u{7f}\u{2028}\u{1f68c}";
const DAY: u64 = 86_400;

/// A store that has been served, and is closed.
pub(super) struct Filled {
    folder: TempDir,
    /// Everything that could be asked of it.
    pub(super) answers: Vec<String>,
    /// When the last of it was written.
    pub(super) second: u64,
}

impl Filled {
    /// With rows in every table.
    pub(super) async fn new() -> Filled {
        Filled::with_places_after(0).await
    }

    /// With a journal that begins after this place.
    pub(super) async fn with_places_after(place: i64) -> Filled {
        let filled = Filled { folder: tempfile::tempdir().unwrap(), answers: Vec::new(), second: 3 * DAY };
        let store = filled.open().await.unwrap();
        if place > 0 {
            let skip = format!("INSERT INTO sqlite_sequence (name, seq) VALUES ('journal', {place})");
            filled.change(&skip).await;
        }
        let second = random::leave_something(&store, 60).await;
        assert!(second < DAY);
        store.close().await;
        filled.restore(second).await;
        let store = filled.open().await.unwrap();
        fill(&store, DAY).await;
        run(&store, charge_at(90, filled.second - 9), [(filled.second, open_attempt())]).await;
        // As a version wrote it that did not know when messages were kept.
        filled.change("UPDATE mos SET kept_at = NULL WHERE kept_at = received_at AND text LIKE 'text%'").await;
        let answers = answers(&store, filled.second).await;
        store.close().await;
        Filled { answers, ..filled }
    }

    /// As if it had been put back from a back-up.
    async fn restore(&self, second: u64) {
        let mut custody = Custody::take(&self.url()).await.unwrap();
        let (by, because) = ("aigul".into(), "the disk".into());
        let restore = Restore { at: at(second), lost_until: at(second), after: 0, by, because };
        let begun = custody.begin(&restore).await.unwrap();
        custody.finish(begun.number, at(second)).await.unwrap();
        custody.close().await.unwrap();
        let store = self.open().await.unwrap();
        let reread = Reread { generation: begun.number, at: at(second), payments: 3, unknown: 1 };
        store.keep_reread(&carrier(), &reread).await.unwrap();
        store.close().await;
    }

    pub(super) fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("store.db").display())
    }

    pub(super) async fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.url()).await
    }

    /// The one file without those beside it, elsewhere: who puts it away takes no more along.
    pub(super) fn put_away(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(self.folder.path().join("store.db"), folder.path().join("store.db")).unwrap();
        folder
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(self.folder.path().join("store.db"))
    }

    /// Past the store.
    pub(super) async fn change(&self, sql: &str) {
        let mut db = self.options().connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await.unwrap();
    }

    pub(super) async fn count(&self, table: &str) -> i64 {
        let mut db = self.options().connect().await.unwrap();
        let query = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query(query).fetch_one(&mut db).await.unwrap().get(0)
    }
}

/// What random batches leave empty, or plain.
async fn fill(store: &Store, day: u64) {
    charges(store, day).await;
    texts(store, day).await;
    commit(store, Write::SetLanguage { msisdn: msisdn(40), language: Language::Kk }).await;
    commit(store, Write::LeaseSerials { vehicle: vehicle(40), day: "2026-03-02".into(), count: 7 }).await;
    commit(store, Write::WatchMos { carrier: "kcell".parse().unwrap(), at: at(day) }).await;
    commit(store, Write::KeepFacts(vec![stored_fact(40, FactName::CreditDebt, FactValue::Unknown, day)])).await;
    commit(store, Write::KeepHomes(vec![home(40, Some("kcell"), HomeSource::LookUp, day)])).await;
    let standing = WebhookStanding {
        cursor: store.settled_end().await.unwrap(),
        failing_since: Some(at(day)),
        disabled: Some((WebhookEnd::Gone, at(day + 1))),
        replay: Some(Replay { cursor: 2, until: 5 }),
    };
    let failed = |entry, due_at| FailedDelivery {
        place: EventPlace { entry, part: 1 },
        event_type: "charge.charged".into(),
        reference: reference(40),
        failed_at: at(day),
        tries: 3,
        due_at,
        why: ODD.into(),
    };
    let failed = vec![failed(3, None), failed(4, Some(at(day + 9)))];
    let progress = WebhookProgress { name: "one".into(), standing, failed, removed: Vec::new() };
    commit(store, Write::MoveWebhook(Box::new(progress))).await;
}

/// Sold by SMS and over the API, with odd texts wherever others write, in doubt, given back, and contradicted.
async fn charges(store: &Store, day: u64) {
    let mut by_sms = charge_at(40, day);
    // Accounts are named after it: PostgreSQL could not keep a sale of one whose name has the character of code 0.
    by_sms.order.agency = ODD.replace('\0', "");
    by_sms.order.channel = Channel::Sms { carrier: carrier() };
    let guard = KeyGuard { key: ODD.into(), ..key("") };
    open(store, Opening { guard, ..opening(&by_sms) }).await;
    let by_sms = advance(store, by_sms, [(day + 1, open_attempt()), (day + 2, accepted(ODD, ODD))]).await;
    let done = with_words(settlement(&by_sms, paid("e2"), day + 3), ODD);
    commit(store, Write::Settle(Box::new(done))).await;
    let events = [(day + 1, open_attempt()), (day + 2, doubtful("e1"))];
    run(store, charge_at(41, day), events).await;
    let ask = Event::RequestRefund { refund: reference(42).derive("refund", 0), amount: FARE, by: None };
    run(store, charge_at(42, day), [(day + 1, open_attempt()), (day + 2, paid("e1")), (day + 3, ask)]).await;
    let wrong = Finding::Charged { carrier_id: None, amount: Some(Money::kzt(9_000)) };
    let events = [(day + 1, open_attempt()), (day + 2, evidence("e1", wrong)), (day + 3, turned_down("e2"))];
    run(store, charge_at(43, day), events).await;
}

/// Texts to and from passengers, and what nobody owns.
async fn texts(store: &Store, day: u64) {
    let messages = vec![OutgoingSms { text: ODD.into(), reference: Some(reference(44)), ..sms(44, 4, day) }];
    open(store, Opening { messages, ..opening(&charge_at(44, day)) }).await;
    let odd = IncomingSms { text: ODD.into(), destination: ODD.into(), ..mo(45, "odd", day) };
    commit(store, Write::KeepMo(odd)).await;
    let part = Some(MoPart { reference_number: 300, wide: true, total: 2, number: 1 });
    commit(store, Write::KeepMo(IncomingSms { part, ..mo(46, "wide", day) })).await;
    let parked = [receipt(ODD, Some("id\u{0}9"), day), receipt("r9", Some(ODD), day + 1)];
    for receipt in parked {
        commit(store, Write::Park(receipt)).await;
    }
    commit(store, Write::ReportUnowned { id: ODD.into(), at: at(day + 2) }).await;
}

/// Everything that can be asked of a store, as text.
pub(super) async fn answers(store: &Store, second: u64) -> Vec<String> {
    let mut all = random::everything(store, second).await;
    for n in (0..8).chain(40..=46) {
        let mut words = store.words(reference(n)).await.unwrap();
        words.sort_by(|one, other| one.0.cmp(&other.0));
        all.push(format!("{words:?}"));
        all.push(format!("{:?}", store.charge(reference(n)).await.unwrap()));
        all.push(format!("{:?}", store.journal(reference(n)).await.unwrap()));
        all.push(format!("{:?}", store.mo(reference(n)).await.unwrap()));
        all.push(format!("{:?}", store.ticket(reference(n)).await.unwrap()));
        let to: Msisdn = msisdn(n);
        all.push(format!("{:?}", store.messages_to(to, at(0), 99).await.unwrap()));
        all.push(format!("{:?}", store.open_parts(to).await.unwrap()));
        all.push(format!("{:?}", store.language(to).await.unwrap()));
    }
    all.push(format!("{:?}", store.owner(&carrier(), ODD).await.unwrap()));
    all.push(format!("{:?}", store.parked_for(&carrier(), ODD, 9).await.unwrap()));
    all.push(format!("{:?}", store.key(&KeyGuard { key: ODD.into(), ..key("") }).await.unwrap()));
    all.push(format!("{:?}", store.webhook("one").await.unwrap()));
    for filter in [FailedFilter::Waiting, FailedFilter::GivenUp] {
        all.push(format!("{:?}", store.failed_deliveries("one", filter, 9).await.unwrap()));
    }
    all.push(format!("{:?}", store.settled_end().await.unwrap()));
    all.push(format!("{:?}", store.settled_journal(0, 999).await.unwrap()));
    all
}
