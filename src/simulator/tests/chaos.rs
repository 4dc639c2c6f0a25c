//! A chaos from its begin to its end, against a client that reads and answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{peer::Peer, *};

fn short(seed: u64, weathers: Vec<Weather>) -> ChaosConfig {
    ChaosConfig {
        seed,
        length_ms: 900,
        calm_at_end_ms: 300,
        spell_ms: DelayRange { min: 60, max: 120 },
        weathers,
        ..ChaosConfig::default()
    }
}

#[tokio::test]
async fn chaos_tells_its_weather_and_leaves_no_faults_but_those_of_others() {
    let simulator = start(quick()).await;
    let own = FaultRule::for_number(number(9), 1, Fault::Nack);
    simulator.set_fault(own.clone()).expect("valid");
    let mut told = Vec::new();
    let report = simulator.chaos(short(5, Weather::ALL.to_vec()), |spell| told.push(spell.clone())).await;
    let report = report.expect("it plays");
    assert!(report.completed && report.is_clean(), "{report:?}");
    assert!(told.len() >= 6, "{told:?}");
    assert_eq!(told.last().map(|spell| spell.weather), Some(Weather::Calm));
    assert_eq!(simulator.faults(), [own]);
    assert!(simulator.listeners().iter().all(|listener| listener.open));
    let mut again = Vec::new();
    simulator.chaos(short(5, Weather::ALL.to_vec()), |spell| again.push(spell.clone())).await.expect("it plays");
    assert_eq!(told, again);
}

#[tokio::test]
async fn passengers_send_and_their_texts_are_counted() {
    let simulator = start(quick()).await;
    let mut peer = Peer::bound(&simulator).await;
    let mut config = short(1, vec![Weather::Calm]);
    config.passengers = Some(Passengers { per_second: 50, ..Passengers::new(3, vec!["1234".into()]) });
    let read = Arc::new(Mutex::new(Vec::new()));
    let reader = {
        let read = Arc::clone(&read);
        tokio::spawn(async move {
            loop {
                let mo = peer.receive().await;
                read.lock().expect("no panic").push(mo.source_addr.as_str().to_owned());
            }
        })
    };
    let report = simulator.chaos(config, |_| {}).await.expect("it plays");
    reader.abort();
    let passengers = report.passengers.expect("there were some");
    assert!(passengers.sent >= 10, "{passengers:?}");
    let numbers: std::collections::BTreeSet<String> = read.lock().expect("no panic").iter().cloned().collect();
    assert!(numbers.iter().all(|number| number.starts_with("7701555000")), "{numbers:?}");
    assert_eq!(passengers.sent, passengers.acknowledged + passengers.on_their_way());
}

#[tokio::test]
async fn chaos_is_one_at_a_time_and_ends_when_it_is_no_longer_waited_for() {
    let simulator = start(quick()).await;
    let long = ChaosConfig { spell_ms: DelayRange::exactly(400), ..short(1, vec![Weather::ShutListener]) };
    let (first, second) = (simulator.clone(), simulator.clone());
    let config = long.clone();
    let playing = tokio::spawn(async move { first.chaos(config, |_| {}).await });
    assert!(second.wait_until(LIMIT, |simulator| !simulator.listeners()[0].open).await);
    assert_eq!(second.chaos(long.clone(), |_| {}).await, Err(ChaosError::Already));
    playing.abort();
    assert!(second.wait_until(LIMIT, |simulator| simulator.listeners()[0].open).await);
    let unplayable = ChaosConfig { weathers: vec![], ..long };
    assert!(matches!(second.chaos(unplayable, |_| {}).await, Err(ChaosError::Value { key: "weathers", .. })));
}

#[tokio::test]
async fn a_simulator_that_is_shut_down_ends_its_chaos() {
    let simulator = start(quick()).await;
    let config = ChaosConfig { length_ms: 60_000, ..short(1, vec![Weather::Calm]) };
    let playing = {
        let simulator = simulator.clone();
        tokio::spawn(async move { simulator.chaos(config, |_| {}).await })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    simulator.shutdown().await;
    let report = playing.await.expect("no panic").expect("it plays");
    assert!(!report.completed);
}
