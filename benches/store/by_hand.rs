//! The same rows without the engine: one by one, as most write them, and in batches over one connection, than which nothing is faster.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use smsbusd::store::{Opening, Settlement, Write};
use tokio::sync::Mutex;

use crate::{
    Latencies, Measured, charges,
    place::{Kind, Place},
    raw, rows,
    statements::{ByHand, Rows},
};

/// Plain statements, a transaction for each step of each charge. On PostgreSQL each client has a connection; SQLite has one that writes, for
/// which they wait.
pub(crate) async fn one_by_one(kind: &Kind, folder: &Path, clients: usize, count: usize) -> Measured {
    let place = Place::fresh(kind, folder).await;
    let charges: Arc<Vec<[Write; 2]>> = Arc::new(charges::make(count));
    let mut connections = Vec::new();
    match kind {
        Kind::Sqlite => {
            let one = Arc::new(Mutex::new(ByHand::Sqlite(place.sqlite().await)));
            connections.resize_with(clients, || one.clone());
        }
        Kind::Postgres { .. } => {
            for _ in 0..clients {
                connections.push(Arc::new(Mutex::new(ByHand::Postgres(place.postgres().await))));
            }
        }
    }
    let begun = Instant::now();
    let on_postgres = matches!(kind, Kind::Postgres { .. });
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let (connection, charges) = (connections[client].clone(), charges.clone());
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                let writer = i64::try_from(client + 1).unwrap();
                for (turn, writes) in (0..).zip(charges.iter().skip(client).step_by(clients)) {
                    let (opening, settlement) = parts(writes);
                    let asked = Instant::now();
                    alone(&connection, rows::openings(&[opening], on_postgres, (writer, 2 * turn + 1))).await;
                    latencies.push(asked.elapsed());
                    let asked = Instant::now();
                    alone(&connection, rows::settlements(&[settlement], (writer, 2 * turn + 2))).await;
                    latencies.push(asked.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Latencies::new();
    for task in tasks {
        task.await.unwrap().into_iter().for_each(|time| latencies.record(time));
    }
    let took = begun.elapsed();
    drop(connections);
    let rows = place.rows().await;
    place.drop().await;
    Measured { charges: count, took, latencies, rows }
}

async fn alone(connection: &Mutex<ByHand>, rows: Vec<Rows<'_>>) {
    let mut db = connection.lock().await;
    db.begin().await;
    db.write_plainly(rows).await;
    db.commit().await;
}

/// Set statements over one connection: one transaction for the openings, one for the settlements of each batch.
pub(crate) async fn batches(kind: &Kind, folder: &Path, batch: usize, count: usize) -> Measured {
    let place = Place::fresh(kind, folder).await;
    let charges = charges::make(count);
    let mut latencies = Latencies::new();
    let begun;
    match kind {
        Kind::Sqlite => {
            let mut db = place.sqlite().await;
            begun = Instant::now();
            for (turn, charges) in (0..).zip(charges.chunks(batch)) {
                let (openings, settlements): (Vec<_>, Vec<_>) = charges.iter().map(parts).unzip();
                latencies.record(raw::open(&mut db, &openings, 2 * turn + 1).await);
                latencies.record(raw::settle(&mut db, &settlements, 2 * turn + 2).await);
            }
        }
        Kind::Postgres { .. } => {
            let mut db = ByHand::Postgres(place.postgres().await);
            begun = Instant::now();
            for (turn, charges) in (0..).zip(charges.chunks(batch)) {
                let (openings, settlements): (Vec<_>, Vec<_>) = charges.iter().map(parts).unzip();
                latencies.record(together(&mut db, || rows::openings(&openings, true, (1, 2 * turn + 1))).await);
                latencies.record(together(&mut db, || rows::settlements(&settlements, (1, 2 * turn + 2))).await);
            }
        }
    }
    let took = begun.elapsed();
    let rows = place.rows().await;
    place.drop().await;
    Measured { charges: count, took, latencies, rows }
}

async fn together<'a>(db: &mut ByHand, rows: impl FnOnce() -> Vec<Rows<'a>>) -> Duration {
    let begun = Instant::now();
    db.begin().await;
    db.write_sets(rows()).await;
    db.commit().await;
    begun.elapsed()
}

fn parts(writes: &[Write; 2]) -> (&Opening, &Settlement) {
    match writes {
        [Write::Open(opening), Write::Settle(settlement)] => (opening, settlement),
        other => unreachable!("{other:?}"),
    }
}
