use proptest::prelude::*;

use super::super::{
    listing::{Listing, Progress},
    message::Payment,
};
use super::*;

/// Lists as a carrier would, which makes pages no longer than `cap` and may tell the total.
fn run(payments: &[String], cap: usize, tells_total: bool, pages_max: u32) -> Progress {
    let profile = profile("http://127.0.0.1:1", &format!("list = {{ per_page = 5, pages_max = {pages_max} }}"));
    let charge = in_doubt(&charge(&profile));
    let mut listing = Listing::new(&profile, attempt(&charge));
    let total = tells_total.then_some(payments.len());
    for page in 0.. {
        let page = payments.iter().skip(page * cap).take(cap);
        let page: Vec<Payment> = page.map(|text| serde_json::from_str(text).unwrap()).collect();
        match listing.take(page, total) {
            Progress::Next(_) => {}
            end => return end,
        }
    }
    unreachable!("it ends")
}

proptest! {
    #[test]
    fn a_payment_in_the_window_is_found_and_is_never_said_to_be_lacking(
        // Some carriers date what they take in at once a little out of order.
        steps in prop::collection::vec((0_u32..20_000, 0_u32..30_000), 0..40),
        ours in prop::option::of(0_usize..40),
        cap in 1_usize..7,
        tells_total in any::<bool>(),
        pages_max in 1_u32..30,
    ) {
        let begin = NOW.minus(Duration::from_secs(30));
        let mut at = begin;
        let mut payments = Vec::new();
        let mut is_there = false;
        for (n, (gap, back)) in steps.iter().enumerate() {
            at = at.plus(Duration::from_millis((*gap).into()));
            let dated = at.minus(Duration::from_millis((*back).into())).max(begin);
            let is_ours = ours == Some(n) && dated <= NOW.plus(Duration::from_secs(90));
            is_there |= is_ours;
            let reference = if is_ours { WIRE_REFERENCE.to_owned() } else { format!("other-{n}") };
            payments.push(payment("succeeded", &[
                (WIRE_REFERENCE, &reference),
                (PAYMENT_ID, &format!("p-{n}")),
                ("2026-03-01T07:30:00.2Z", &dated.to_string()),
            ]));
        }
        match run(&payments, cap, tells_total, pages_max) {
            Progress::Found(found) => {
                prop_assert!(is_there);
                prop_assert_eq!(Some(found.payment_id), ours.map(|n| format!("p-{n}")));
            }
            Progress::Lacking => prop_assert!(!is_there),
            // Only for want of pages: one more than there are is needed to see the end.
            Progress::Incomplete(_) => prop_assert!(usize::try_from(pages_max).unwrap() <= payments.len().div_ceil(cap)),
            Progress::Next(_) => unreachable!("it has ended"),
        }
    }
}
