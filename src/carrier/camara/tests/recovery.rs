use super::*;

pub(super) const LIST: &str = "GET /carrier-billing/v0.5/payments?";
const RETRIEVE: &str = "GET /carrier-billing/v0.5/payments/AK234rfweSBuWGFUEWFGWEVWRV";

/// So many payments of others, a second apart, the first so many seconds after the window's begin.
pub(super) fn others(count: usize, from: i64) -> Vec<String> {
    let begin = NOW.minus(Duration::from_secs(30)).unix_seconds();
    let one = |n: usize| {
        let created = Timestamp::from_unix_seconds(begin + from + i64::try_from(n).unwrap()).to_string();
        payment(
            "succeeded",
            &[
                (PAYMENT_ID, &format!("other-{from}-{n}")),
                (WIRE_REFERENCE, "somebody-else"),
                ("2026-03-01T07:30:00.2Z", &created),
            ],
        )
    };
    (0..count).map(one).collect()
}

pub(super) fn list(payments: &[String]) -> String {
    format!("[{}]", payments.join(","))
}

#[tokio::test]
async fn a_payment_whose_id_is_known_is_retrieved() {
    let scene = Scene::new("").await;
    let charge = heard(&scene.charge(), Finding::Accepted { carrier_id: some_id() });
    scene.server.says(RETRIEVE, 200, payment("succeeded", &[]));
    let finding = scene.carrier.query(&charge, attempt(&charge)).await;
    assert_eq!(finding, Some(Finding::Charged { carrier_id: some_id(), amount: Some(Money::kzt(8_000)) }));
    assert_eq!(scene.server.lines(), [RETRIEVE]);
    assert_eq!(scene.server.asked()[0].headers["x-correlator"], WIRE_REFERENCE);
}

#[tokio::test]
async fn an_error_of_the_question_says_nothing() {
    let scene = Scene::new("").await;
    let known = heard(&scene.charge(), Finding::Accepted { carrier_id: some_id() });
    let unknown = in_doubt(&scene.charge());
    for (status, body) in [
        (400, error(400, "INVALID_ARGUMENT", "x")),
        (400, error(400, "CARRIER_BILLING.TOO_MANY_MATCHING_RECORDS", "x")),
        (400, error(400, "CARRIER_BILLING.INVALID_DATE_RANGE", "x")),
        (400, error(400, "OUT_OF_RANGE", "x")),
        (401, error(401, "UNAUTHENTICATED", "x")),
        (403, error(403, "PERMISSION_DENIED", "x")),
        (404, "no such page".into()),
        (404, error(404, "IDENTIFIER_NOT_FOUND", "x")),
        (500, String::new()),
        (200, "<html>".into()),
        (200, "{}".into()),
        (200, payment("succeeded", &[(":80,", ":8,")])),
        (200, payment("succeeded", &[(PAYMENT_ID, "another")])),
        (200, payment("settled", &[])),
        (302, String::new()),
    ] {
        scene.server.says(RETRIEVE, status, body.clone());
        assert_eq!(scene.carrier.query(&known, attempt(&known)).await, Some(Finding::Nothing), "{status} {body}");
        scene.server.says(LIST, status, body.clone());
        assert_eq!(scene.carrier.query(&unknown, attempt(&unknown)).await, Some(Finding::Nothing), "{status} {body}");
    }
    scene.server.hangs_up(LIST);
    assert_eq!(scene.carrier.query(&unknown, attempt(&unknown)).await, Some(Finding::Nothing));
}

#[tokio::test]
async fn a_lost_answer_is_found_by_our_reference_in_the_window_page_by_page() {
    let scene = Scene::new("list = { per_page = 3 }").await;
    let charge = in_doubt(&scene.charge());
    scene.server.says(LIST, 200, list(&others(3, 0)));
    let mut page = others(1, 10);
    page.push(payment("succeeded", &[]));
    scene.server.says(LIST, 200, list(&page));
    let finding = scene.carrier.query(&charge, attempt(&charge)).await;
    assert_eq!(finding, Some(Finding::Charged { carrier_id: some_id(), amount: Some(Money::kzt(8_000)) }));
    assert_eq!(
        scene.server.lines(),
        [
            "GET /carrier-billing/v0.5/payments?page=1&perPage=3&paymentCreationDate.gte=2026-03-01T07%3A29%3A30.000Z&order=asc",
            "GET /carrier-billing/v0.5/payments?page=2&perPage=3&paymentCreationDate.gte=2026-03-01T07%3A29%3A30.000Z&order=asc",
        ]
    );
}

#[tokio::test]
async fn a_complete_list_that_lacks_it_is_evidence_and_an_incomplete_one_is_not() {
    let scene = Scene::new("list = { per_page = 3, pages_max = 2 }").await;
    let charge = in_doubt(&scene.charge());
    let query = async || scene.carrier.query(&charge, attempt(&charge)).await.unwrap();
    let complete = |complete| Finding::NotFound { complete, asked_at: None };
    // The first empty page is the end.
    scene.server.says(LIST, 200, "[]");
    assert_eq!(query().await, complete(true));
    // The count says that this is all. On its own page alone it may count the page.
    let all = |total: usize| vec![("x-total-count", total.to_string())];
    scene.server.says_with(LIST, 200, all(2), list(&others(2, 0)));
    scene.server.says_with(LIST, 200, all(2), "[]");
    assert_eq!(query().await, complete(true));
    scene.server.says_with(LIST, 200, all(5), list(&others(3, 0)));
    scene.server.says_with(LIST, 200, all(5), list(&others(2, 5)));
    assert_eq!(query().await, complete(true));
    // There is no such page, so those before it were all.
    for (status, code) in [(400, "OUT_OF_RANGE"), (404, "NOT_FOUND")] {
        scene.server.says(LIST, 200, list(&others(2, 0)));
        scene.server.says(LIST, status, error(status, code, "no such page"));
        assert_eq!(query().await, complete(true), "{status}");
    }
    // The count says that there are more, and they do not come.
    scene.server.says_with(LIST, 200, all(5), list(&others(2, 0)));
    scene.server.says_with(LIST, 200, all(5), "[]");
    assert_eq!(query().await, complete(false));
    // Past the end of the window: twelve seconds until it is sent, a minute inside the carrier, thirty seconds either side, and thirty
    // by which the list may be out of order.
    scene.server.says(LIST, 200, list(&others(2, 160)));
    scene.server.says(LIST, 200, list(&others(2, 163)));
    assert_eq!(query().await, complete(true));
    // More pages than it may take.
    scene.server.says(LIST, 200, list(&others(3, 0)));
    scene.server.says(LIST, 200, list(&others(3, 5)));
    assert_eq!(query().await, complete(false));
    // The same page again: whatever `page` means there, something may be hidden.
    scene.server.says(LIST, 200, list(&others(3, 0)));
    scene.server.says(LIST, 200, list(&others(3, 0)));
    assert_eq!(query().await, complete(false));
    // A count that is less than what the page lists ends nothing: what follows does.
    scene.server.says_with(LIST, 200, all(0), list(&others(2, 0)));
    scene.server.says_with(LIST, 200, all(0), list(&others(2, 0)));
    assert_eq!(query().await, complete(false));
    // Not in order, by more than the clock may be wrong; by less it is read on.
    let out_of_order = |by| [others(1, by), others(1, 0)].concat();
    scene.server.says(LIST, 200, list(&out_of_order(31)));
    scene.server.says(LIST, 200, "[]");
    assert_eq!(query().await, complete(false));
    scene.server.says(LIST, 200, list(&out_of_order(30)));
    scene.server.says(LIST, 200, "[]");
    assert_eq!(query().await, complete(true));
    assert_eq!(scene.server.lines().len(), 23);
}

#[tokio::test]
async fn while_the_request_may_still_be_under_way_the_window_has_no_end() {
    let scene = Scene::new("").await;
    let charge = scene.charge();
    scene.server.says(LIST, 200, list(&others(2, 100_000)));
    scene.server.says(LIST, 200, list(&[payment("processing", &[("2026-03-01T07:30:00.2Z", "2026-03-03T07:30:00Z")])]));
    let finding = scene.carrier.query(&charge, attempt(&charge)).await;
    assert_eq!(finding, Some(Finding::Accepted { carrier_id: some_id() }));
}

#[tokio::test]
async fn a_payment_that_the_carrier_no_longer_knows_by_its_id_is_looked_for() {
    let scene = Scene::new("").await;
    let charge = heard(&scene.charge(), Finding::Accepted { carrier_id: some_id() });
    scene.server.says(RETRIEVE, 404, error(404, "NOT_FOUND", "The specified resource is not found."));
    scene.server.says(LIST, 200, list(&[payment("cancelled", &[])]));
    assert_eq!(scene.carrier.query(&charge, attempt(&charge)).await, Some(Finding::Cancelled));
}

#[tokio::test]
async fn our_reference_on_another_subscribers_payment_says_nothing() {
    let scene = Scene::new("").await;
    let charge = in_doubt(&scene.charge());
    scene.server.says(LIST, 200, list(&[payment("succeeded", &[("+77011234567", "+77011234568")])]));
    assert_eq!(scene.carrier.query(&charge, attempt(&charge)).await, Some(Finding::Nothing));
}

/// After an outage thousands look for payments of the same minutes.
#[tokio::test]
async fn one_list_is_read_for_all_who_look_for_payments_of_the_same_time() {
    let scene = Scene::new("").await;
    let charges: Vec<Charge> = (0..60)
        .map(|n| {
            let mut charge = in_doubt(&scene.charge());
            charge.attempts[0].wire_reference = format!("ours-{n}");
            charge
        })
        .collect();
    // Whatever each reader is asked, until those who wait have gathered behind it.
    for _ in 0..16 {
        let ours = |n: usize| [(WIRE_REFERENCE, format!("ours-{n}")), (PAYMENT_ID, format!("p-{n}"))];
        let page: Vec<String> = (0..60)
            .step_by(2)
            .map(|n| {
                let [reference, id] = ours(n);
                payment("succeeded", &[(reference.0, &reference.1), (id.0, &id.1)])
            })
            .collect();
        scene.server.says(LIST, 200, list(&page));
        scene.server.says(LIST, 200, "[]");
    }
    let asked = charges.into_iter().map(|charge| {
        let carrier = scene.carrier.clone();
        tokio::spawn(async move { carrier.query(&charge, attempt(&charge)).await })
    });
    for (n, found) in asked.collect::<Vec<_>>().into_iter().enumerate() {
        let id = format!("p-{n}");
        match found.await.unwrap() {
            Some(Finding::Charged { carrier_id, .. }) => assert_eq!((n % 2, carrier_id), (0, Some(id))),
            found => assert_eq!((n % 2, found), (1, Some(Finding::NotFound { complete: true, asked_at: None }))),
        }
    }
    assert!(scene.server.lines().len() <= 16, "{} requests for 60 questions", scene.server.lines().len());
}

/// Those before the gap and those after it have lists of their own: what lies between is nobody's.
#[tokio::test]
async fn a_time_that_nobody_looks_at_is_not_read() {
    let scene = Scene::new("").await;
    let early = in_doubt(&scene.charge());
    let mut late = early.clone();
    late.attempts[0].wire_reference = "late".into();
    let hours = Duration::from_secs(7_200);
    late.attempts[0].opened_at = NOW.plus(hours);
    late.attempts[0].carrier_time = Some(NOW.plus(hours));
    late.attempts[0].in_doubt_since = Some(NOW.plus(hours));
    scene.server.says("gte=2026-03-01T07%3A29%3A30.000Z", 200, "[]");
    scene.server.says("gte=2026-03-01T09%3A29%3A30.000Z", 200, "[]");
    let (early, late) =
        tokio::join!(scene.carrier.query(&early, attempt(&early)), scene.carrier.query(&late, attempt(&late)));
    let lacking = Some(Finding::NotFound { complete: true, asked_at: None });
    assert_eq!((early, late), (lacking.clone(), lacking));
}
