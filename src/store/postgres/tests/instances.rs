//! Several daemons on one database.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::{
    charge::{Event, Reference},
    clock::Timestamp,
    store::{
        Census, IncomingSms, InstanceId, InstanceStanding, Instances, Opening, Sales, Seller, SpendingBound,
        contract::fixture::{FARE, advance, charge_of, doubtful, mo, msisdn, turned_down},
    },
};

fn instances(store: &Store) -> &Instances {
    store.instances().expect("a server serves several")
}

async fn named_store(url: &str, name: &str) -> Store {
    Store::open_as(url, named(name)).await.unwrap()
}

/// Waits until the lease of who gives no sign of life has run out.
async fn is_late(of: &Store, other: InstanceId) -> Census {
    for _ in 0..100 {
        let census = instances(of).beat().await.unwrap();
        if census.peers.iter().any(|peer| peer.id == other && peer.is_late) {
            return census;
        }
        tokio::time::sleep(A_WHILE / 3).await;
    }
    panic!("its lease of a second does not run out");
}

fn standing(census: &Census, id: InstanceId) -> Option<InstanceStanding> {
    census.peers.iter().find(|peer| peer.id == id).map(|peer| peer.standing)
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_fenced_daemon_begins_nothing_and_still_writes_what_it_learns() {
    let url = new_schema("fenced").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    let charge = run(&one, charge_at(1, 0), [(1, open_attempt())]).await;
    let waiting = charge_at(2, 0);
    commit(&one, open_write(&waiting)).await;
    let id = instances(&one).me();
    assert!(!instances(&other).fence(id).await.unwrap(), "its lease is good");
    assert_eq!(standing(&is_late(&other, id).await, id), Some(InstanceStanding::Live));
    assert!(instances(&other).fence(id).await.unwrap());
    assert!(!instances(&other).fence(id).await.unwrap(), "once is enough");
    assert!(instances(&one).beat().await.unwrap().is_fenced);

    let refused = one.commit(&[open_write(&charge_at(3, 0))]).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    let opens = settlement(&waiting, open_attempt(), 2);
    let refused = one.commit(&[Write::Settle(Box::new(opens))]).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    let learned = settlement(&charge, accepted("a1", "id"), 3);
    let outcome = one.commit(&[Write::Settle(Box::new(learned))]).await.unwrap();
    assert!(matches!(outcome.as_slice(), [Outcome::Settled { .. }]), "{outcome:?}");
    assert_eq!(Store::audit(&url, &[]).await.unwrap().flaws, []);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn what_is_open_or_due_of_one_that_is_gone_is_adopted_once_and_then_it_is_forgotten() {
    let url = new_schema("adopted").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    let open = run(&one, charge_at(1, 0), [(1, open_attempt())]).await;
    commit(&one, open_write(&charge_at(2, 0))).await;
    run(&one, charge_at(3, 0), [(1, open_attempt()), (2, paid("a1"))]).await;
    let own = charge_at(4, 0);
    commit(&other, open_write(&own)).await;
    let id = instances(&one).me();
    let due = async |store: &Store| -> Vec<_> {
        let due = store.due_charges(at(1_000_000), 10).await.unwrap();
        due.into_iter().map(|charge| charge.reference).collect()
    };
    assert_eq!(due(&other).await, [own.reference], "each looks after its own");
    one.close().await;
    assert_eq!(standing(&instances(&other).beat().await.unwrap(), id), Some(InstanceStanding::Left));
    assert_eq!(orphans(&other, id).await, [open.reference, reference(2)]);
    assert_eq!(orphans(&other, InstanceId::NOBODY).await, [], "it is there still");
    adopt_all(&other, id).await;
    assert_eq!(orphans(&other, id).await, []);
    assert_eq!(due(&other).await.len(), 3);
    instances(&other).bury(id).await.unwrap();
    assert_eq!(standing(&instances(&other).beat().await.unwrap(), id), None);
}

async fn orphans(store: &Store, of: InstanceId) -> Vec<Reference> {
    let references = instances(store).charges_of(of).await.unwrap();
    let orphans = instances(store).orphans(&references).await.unwrap();
    assert!(orphans.iter().map(|orphan| orphan.reference).eq(references));
    orphans.into_iter().map(|orphan| orphan.charge.unwrap().reference).collect()
}

async fn adopt_all(store: &Store, of: InstanceId) {
    let references = instances(store).charges_of(of).await.unwrap();
    instances(store).adopt(of, &references).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn what_is_in_doubt_of_one_that_is_gone_is_adopted_without_being_read() {
    let url = new_schema("doubts").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    for n in 1..=5 {
        run(&one, charge_at(n, 0), [(1, open_attempt()), (u64::from(n) / 2 + 2, doubtful("d"))]).await;
    }
    let own = run(&other, charge_at(6, 0), [(1, open_attempt()), (2, doubtful("d"))]).await;
    let id = instances(&one).me();
    one.close().await;
    assert_eq!(orphans(&other, id).await, [], "nobody waits for them");
    let due = async || other.due_charges(at(1_000_000), 10).await.unwrap().len();
    assert_eq!((due().await, own.state.is_open()), (1, true));
    assert_eq!(instances(&other).adopt_in_doubt(id).await.unwrap(), 5);
    assert_eq!(instances(&other).adopt_in_doubt(id).await.unwrap(), 0, "once");
    assert_eq!(due().await, 6);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn what_falls_due_of_a_charge_that_had_ended_is_looked_after_by_who_made_it_due() {
    let url = new_schema("due_again").await;
    let one = named_store(&url, "one").await;
    let Event::OpenAttempt { carrier, wire_reference, mut contract, carrier_time } = open_attempt() else { panic!() };
    contract.can_refund = true;
    let opened = Event::OpenAttempt { carrier, wire_reference, contract, carrier_time };
    let ended = run(&one, charge_at(1, 0), [(1, opened), (2, paid("a1"))]).await;
    let id = instances(&one).me();
    one.close().await;
    let other = named_store(&url, "other").await;
    adopt_all(&other, id).await;
    instances(&other).bury(id).await.unwrap();
    assert_eq!(ended.due_at(), None, "nobody has anything to do with it");
    let refund = Event::RequestRefund { refund: reference(9), amount: FARE, by: None };
    let refunding = advance(&other, ended, [(5, refund)]).await;
    assert!(refunding.due_at().is_some());
    let due = other.due_charges(at(1_000_000), 10).await.unwrap();
    assert_eq!(due.len(), 1, "{due:?}");
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn what_nobody_looks_after_any_more_is_found() {
    let url = new_schema("nobodys").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    let open = run(&one, charge_at(1, 0), [(1, open_attempt())]).await;
    raw(&url).await.execute("UPDATE charges SET instance = 999").await.unwrap();
    assert_eq!(orphans(&other, InstanceId::NOBODY).await, [open.reference]);
    adopt_all(&other, InstanceId::NOBODY).await;
    assert_eq!(other.due_charges(at(1_000_000), 10).await.unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_lease_is_one_daemons_at_a_time_and_free_once_that_is_gone() {
    let url = new_schema("leases").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let mut taken = instances(&one).take(&names(&["a", "b"])).await.unwrap();
    taken.sort();
    assert_eq!(taken, ["a", "b"]);
    assert_eq!(instances(&other).take(&names(&["a", "c"])).await.unwrap(), ["c"]);
    assert_eq!(instances(&one).take(&names(&["a"])).await.unwrap(), ["a"], "what is ours already is ours");
    instances(&one).give_back(&names(&["a", "c"])).await.unwrap();
    assert_eq!(instances(&other).take(&names(&["a", "b"])).await.unwrap(), ["a"]);
    let id = instances(&one).me();
    is_late(&other, id).await;
    assert_eq!(instances(&other).take(&names(&["b"])).await.unwrap(), [] as [&str; 0], "it may use it still");
    assert!(instances(&other).fence(id).await.unwrap());
    assert_eq!(instances(&other).take(&names(&["b"])).await.unwrap(), ["b"]);
    assert_eq!(instances(&one).take(&names(&["d"])).await.unwrap(), [] as [&str; 0], "who is fenced takes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a server: scripts/postgres"]
async fn a_message_that_comes_over_two_daemons_at_once_is_kept_once() {
    let url = new_schema("turns").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    for n in 0..50_u8 {
        let message =
            |id: u8| Write::KeepMo(IncomingSms { fingerprint: [n; 32], msisdn: msisdn(n), ..mo(id, "1234", 1) });
        let (first, second) = ([message(2 * n)], [message(2 * n + 1)]);
        let (first, second) = tokio::join!(one.commit(&first), other.commit(&second));
        let kept = [first, second].into_iter().flat_map(Result::unwrap).filter(|outcome| *outcome == Outcome::MoKept);
        assert_eq!(kept.count(), 1, "message {n}");
    }
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_day_of_several_writers_is_closed_once_no_clock_is_so_far_behind() {
    let url = new_schema("days").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    let day = 86_400;
    let midnight = day - u64::try_from(at(0).unix_seconds()).unwrap() % day;
    let opened_at = |n: u8, second: u64| charge_at(n, midnight + second);
    commit(&one, open_write(&charge_at(1, 1))).await;
    commit(&other, open_write(&charge_at(2, 2))).await;
    commit(&one, open_write(&opened_at(3, 60))).await;
    let roots = async || Store::daily_roots(&url, 10).await.unwrap();
    assert_eq!(roots().await, [], "the other's clock may be a minute behind");
    commit(&other, open_write(&charge_at(4, midnight - 5))).await;
    commit(&one, open_write(&opened_at(5, 601))).await;
    let closed = roots().await;
    assert_eq!(closed.len(), 1);
    // One goes on and the other stands still.
    commit(&one, open_write(&opened_at(6, day + 601))).await;
    commit(&other, open_write(&opened_at(7, 2 * day + 601))).await;
    assert_eq!(roots().await.len(), 3);
    assert_eq!(Store::audit(&url, &closed).await.unwrap().flaws, []);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn who_comes_by_the_name_of_one_that_is_gone_takes_its_place_at_once() {
    let url = new_schema("successor").await;
    let (first, mut db) = (named_store(&url, "one").await, raw(&url).await);
    commit(&first, open_write(&charge_at(1, 0))).await;
    let lose = "SELECT pg_terminate_backend(pid) FROM pg_locks
                WHERE locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint)
                      = hashtextextended('smsbusd:' || current_schema() || ':one', 0)";
    db.execute(lose).await.unwrap();
    let second = named_store(&url, "one").await;
    commit(&second, open_write(&charge_at(2, 0))).await;
    assert_eq!(orphans(&second, instances(&first).me()).await.len(), 1);
    assert!(matches!(first.commit(&[open_write(&charge_at(3, 0))]).await, Err(StoreError::Closed)));
    let writers = "SELECT count(DISTINCT writer) FROM chain";
    let writers: i64 = db.fetch_one(writers).await.unwrap().try_get(0).unwrap();
    assert_eq!(writers, 1, "the chain goes on");
    assert_eq!(Store::audit(&url, &[]).await.unwrap().flaws, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a server: scripts/postgres"]
async fn m14_purchases_at_two_daemons_at_once_do_not_pass_a_limit_together() {
    let url = new_schema("limits").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    let none_before = SpendingBound { since: at(0), doubt_since: at(0), minor_max: 0, purchases_max: 0 };
    for subscriber in 0..40_u8 {
        let bounded = |n: u8| {
            let charge = charge_of(n, subscriber, n, 1);
            [Write::Open(Box::new(Opening { bounds: vec![none_before], ..opening(&charge) }))]
        };
        let (first, second) = (bounded(2 * subscriber), bounded(2 * subscriber + 1));
        let (first, second) = tokio::join!(one.commit(&first), other.commit(&second));
        let outcomes: Vec<Outcome> = [first, second].into_iter().flat_map(Result::unwrap).collect();
        let opened = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Opened { .. }));
        assert_eq!(opened.count(), 1, "subscriber {subscriber}: {outcomes:?}");
    }
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn m14_each_daemon_reads_what_the_others_sold() {
    let url = new_schema("sold").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    let first = charge_of(1, 1, 1, 0);
    assert_eq!(
        one.commit(&[Write::Open(Box::new(opening(&first)))]).await.unwrap(),
        [Outcome::Opened { superseded: None }]
    );
    let second = charge_of(2, 2, 2, 0);
    assert_eq!(
        other.commit(&[Write::Open(Box::new(opening(&second)))]).await.unwrap(),
        [Outcome::Opened { superseded: None }]
    );
    let sum = |sales: Vec<Sales>| -> i64 {
        let of_agency = sales.iter().filter(|sales| matches!(sales.seller, Seller::Agency(_)));
        of_agency.map(|sales| sales.amount.minor).sum()
    };
    let since = Sales::quarter_of(at(0));
    for store in [&one, &other] {
        assert_eq!(sum(store.sales(since).await.unwrap()), FARE.minor);
        assert_eq!(sum(store.sales_of_others(since).await.unwrap()), FARE.minor);
    }
    // Who settles it may be another than who opened it.
    advance(&other, first, [(1, open_attempt()), (2, turned_down("e1"))]).await;
    assert_eq!(sum(one.sales(since).await.unwrap()), FARE.minor);
    assert_eq!(sum(one.sales_of_others(since).await.unwrap()), 0);
    assert_eq!(sum(other.sales(since).await.unwrap()), 0);
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_sign_of_life_tells_what_the_database_s_clock_shows() {
    let store = named_store(&new_schema("clock").await, "one").await;
    let clock = instances(&store).beat().await.unwrap().clock.expect("it is not fenced");
    let now = Timestamp::from_unix_ms(
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap(),
    );
    assert_eq!(clock.apart_ms(now, Instant::now()).abs() / 100, 0, "it is this machine's");
    let ahead = now.plus(Duration::from_secs(3_600));
    assert!((3_599_000..=3_600_100).contains(&clock.apart_ms(ahead, Instant::now())));
}

/// The sessions that wait for this one's lock.
async fn held_up_by(holds: &mut PgConnection) -> Vec<i32> {
    let waiting = "SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    let rows = sqlx::query(waiting).fetch_all(holds).await.unwrap();
    rows.iter().map(|row| row.try_get(0).unwrap()).collect()
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn who_gave_up_a_sign_of_life_that_the_server_still_works_on_gives_the_next_under_its_name() {
    let url = new_schema("given_up").await;
    let store = named_store(&url, "one").await;
    // A session that waits hears nothing of the end of its client, whether it waits for a lock or for a standby.
    let mut holds = raw(&url).await;
    holds.execute("BEGIN").await.unwrap();
    holds.execute("SELECT * FROM instances FOR UPDATE").await.unwrap();
    tokio::time::timeout(A_WHILE, instances(&store).beat()).await.expect_err("it must be held up");
    let left_over = held_up_by(&mut holds).await;
    assert_eq!(left_over.len(), 1, "{left_over:?}");
    let again = tokio::spawn({
        let store = store.clone();
        async move { instances(&store).beat().await }
    });
    tokio::time::sleep(2 * A_WHILE).await;
    let waiting = held_up_by(&mut holds).await;
    assert!(waiting.len() == 1 && waiting != left_over, "{left_over:?} then {waiting:?}");
    holds.execute("COMMIT").await.unwrap();
    assert!(!again.await.unwrap().unwrap().is_fenced);
    commit(&store, open_write(&charge_at(1, 0))).await;
}

#[tokio::test]
#[ignore = "needs a server: scripts/postgres"]
async fn a_name_is_free_once_its_lease_has_run_out_even_if_its_session_is_there_and_who_had_it_is_fenced() {
    let url = new_schema("left_over").await;
    let (one, other) = (named_store(&url, "one").await, named_store(&url, "other").await);
    let charge = run(&one, charge_at(1, 0), [(1, open_attempt())]).await;
    is_late(&other, instances(&one).me()).await;
    let successor = named_store(&url, "one").await;
    assert!(instances(&successor).has_displaced() && !instances(&one).has_displaced());
    assert!(instances(&one).beat().await.is_err() || instances(&one).beat().await.unwrap().is_fenced);
    assert!(instances(&one).beat().await.unwrap().is_fenced, "and it knows it from then on");
    let refused = one.commit(&[open_write(&charge_at(2, 0))]).await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(!instances(&successor).beat().await.unwrap().is_fenced);
    commit(&successor, open_write(&charge_at(3, 0))).await;
    assert_eq!(orphans(&successor, instances(&one).me()).await, [charge.reference]);
    one.close().await;
    assert!(!instances(&successor).beat().await.unwrap().is_fenced, "who is fenced takes nothing with it");
}
