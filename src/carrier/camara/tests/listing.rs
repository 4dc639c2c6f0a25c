use proptest::prelude::*;

use super::super::{
    listing::{Listing, Looked, Wanted, Window},
    lists::together,
    message::Payment,
};
use super::*;

/// Reads a list for these as a carrier would give it that makes pages no longer than `cap` and may tell the total.
fn read(wanted: Vec<Wanted>, payments: &[String], (cap, tells_total): (usize, bool), pages_max: u32) -> Vec<Looked> {
    let mut told: Vec<Option<Looked>> = wanted.iter().map(|_| None).collect();
    let mut listing = Listing::new(&profile_of(pages_max), wanted);
    let total = tells_total.then_some(payments.len());
    for page in 0.. {
        if !listing.is_open() {
            break;
        }
        let page = payments.iter().skip(page * cap).take(cap);
        let page: Vec<Payment> = page.map(|text| serde_json::from_str(text).unwrap()).collect();
        for (index, looked) in listing.take(page, total) {
            assert!(told[index].replace(looked).is_none(), "told twice");
        }
    }
    told.into_iter().map(|told| told.expect("each is told")).collect()
}

fn profile_of(pages_max: u32) -> CamaraProfile {
    profile("http://127.0.0.1:1", &format!("list = {{ per_page = 5, pages_max = {pages_max} }}"))
}

/// An attempt in doubt that was opened so long after the first, with a reference of its own.
fn opened_after(ms: u64, number: usize) -> Attempt {
    let charge = in_doubt(&charge(&profile_of(1)));
    let later = |at: Timestamp| at.plus(Duration::from_millis(ms));
    let first = attempt(&charge);
    Attempt {
        wire_reference: format!("ours-{number}"),
        opened_at: later(first.opened_at),
        carrier_time: first.carrier_time.map(later),
        in_doubt_since: first.in_doubt_since.map(later),
        ..first.clone()
    }
}

fn run(payments: &[String], cap: usize, tells_total: bool, pages_max: u32) -> Looked {
    let charge = in_doubt(&charge(&profile_of(pages_max)));
    let wanted = vec![Wanted::new(&profile_of(pages_max), attempt(&charge))];
    read(wanted, payments, (cap, tells_total), pages_max).remove(0)
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
            Looked::Found(found) => {
                prop_assert!(is_there);
                prop_assert_eq!(Some(found.payment_id.clone()), ours.map(|n| format!("p-{n}")));
            }
            Looked::Lacking => prop_assert!(!is_there),
            // Only for want of pages: one more than there are is needed to see the end.
            Looked::Incomplete(_) => prop_assert!(usize::try_from(pages_max).unwrap() <= payments.len().div_ceil(cap)),
        }
    }

    /// Several who look in one list hear what each would hear of a list of its own, but for what that one would have been spared.
    #[test]
    fn one_list_tells_all_that_lists_of_their_own_would(
        opened in prop::collection::vec((0_u64..300_000, prop::option::of(0_u64..90_000)), 1..8),
        others in prop::collection::vec(0_u64..500_000, 0..60),
        cap in 1_usize..7,
        tells_total in any::<bool>(),
    ) {
        let begin = NOW.minus(Duration::from_secs(30));
        let mut all: Vec<(Timestamp, String)> = Vec::new();
        for (n, (after, created)) in opened.iter().enumerate() {
            all.extend(created.map(|created| (NOW.plus(Duration::from_millis(after + created)), format!("ours-{n}"))));
        }
        all.extend(others.iter().enumerate().map(|(n, after)| (begin.plus(Duration::from_millis(*after)), format!("other-{n}"))));
        all.sort();
        let listed = |from: Timestamp| -> Vec<String> {
            let since = all.iter().filter(|(created, _)| *created >= from);
            since.map(|(created, reference)| {
                let own = [(WIRE_REFERENCE, reference.as_str()), (PAYMENT_ID, reference), ("2026-03-01T07:30:00.2Z", &created.to_string())];
                payment("succeeded", &own)
            }).collect()
        };
        let wanted: Vec<Wanted> =
            opened.iter().enumerate().map(|(n, (after, _))| Wanted::new(&profile_of(200), &opened_after(*after, n))).collect();
        let from = wanted.iter().map(|one| one.window().from).min().unwrap();
        let together = read(wanted.clone(), &listed(from), (cap, tells_total), 200);
        for ((n, one), together) in wanted.into_iter().enumerate().zip(together) {
            let from = one.window().from;
            let alone = read(vec![one], &listed(from), (cap, tells_total), 200).remove(0);
            let is_there = opened[n].1.is_some();
            match (together, alone) {
                (Looked::Found(together), Looked::Found(alone)) => {
                    prop_assert!(is_there);
                    prop_assert_eq!(&together.payment_id, &alone.payment_id);
                }
                (Looked::Lacking, Looked::Lacking) => prop_assert!(!is_there),
                (together, alone) => prop_assert!(false, "{:?} and {:?}", together, alone),
            }
        }
    }
}

/// A window from this second to that one, if it has an end.
fn window(from: u64, until: Option<u64>) -> Window {
    let at = |second| NOW.plus(Duration::from_secs(second));
    Window { from: at(from), until: until.map(at), has_carrier_time: true }
}

#[test]
fn one_list_is_for_who_has_waited_longest_and_those_whose_windows_follow_each_other_about_it() {
    let read_for = |windows: &[Window]| together(windows).into_iter().collect::<Vec<_>>();
    assert_eq!(read_for(&[]), [0_usize; 0]);
    let chain = [window(100, Some(150)), window(40, Some(110)), window(140, Some(200)), window(210, Some(260))];
    assert_eq!(read_for(&chain), [0, 1, 2], "between 200 and 210 nobody looks at anything");
    let later = [window(100, Some(150)), window(0, Some(50)), window(140, None), window(190, Some(260))];
    assert_eq!(read_for(&later), [0, 2], "one without an end leads nowhere");
    let far =
        [window(1_000, Some(2_000)), window(840, Some(2_000)), window(850, Some(2_000)), window(1_151, Some(1_160))];
    assert_eq!(read_for(&far), [0, 2], "a list comes to its end while they wait");
}

/// Created so many seconds after [`NOW`], with this id as reference too.
fn created(second: u64, id: &str) -> Payment {
    let at = NOW.plus(Duration::from_secs(second)).to_string();
    let own = [(WIRE_REFERENCE, id), (PAYMENT_ID, id), ("2026-03-01T07:30:00.2Z", &at)];
    serde_json::from_str(&payment("succeeded", &own)).unwrap()
}

#[test]
fn a_list_that_goes_the_other_way_or_loses_what_was_read_says_nothing_of_what_it_lacks() {
    let begin = || Listing::new(&profile_of(9), vec![Wanted::new(&profile_of(9), &opened_after(0, 0))]);
    // The newest first, all of them within the tolerance and long after the window: what follows may be anything.
    let mut backwards = begin();
    assert!(backwards.take(vec![created(902, "a"), created(901, "b"), created(900, "c")], None).is_empty());
    assert!(backwards.take(vec![created(800, "d")], None).is_empty());
    let known = backwards.take(vec![], None);
    assert!(matches!(known[..], [(0, Looked::Incomplete("the list is not in order"))]), "{known:?}");
    let mut shorter = begin();
    assert!(shorter.take(vec![created(0, "a"), created(1, "b")], Some(6)).is_empty());
    let known = shorter.take(vec![created(4, "e"), created(5, "f"), created(6, "g")], Some(5));
    assert!(matches!(known[..], [(0, Looked::Incomplete("the list has become shorter"))]), "{known:?}");
}

/// What is out of order once may hide a payment anywhere, also of those whose windows the list has not come to; but what it shows
/// further on is there.
#[test]
fn m05_a_list_that_is_out_of_order_once_still_shows_payments_and_lacks_none() {
    let wanted = [0, 200_000, 200_000].into_iter().zip(0..).map(|(ms, number)| opened_after(ms, number));
    let wanted: Vec<Wanted> = wanted.map(|attempt| Wanted::new(&profile_of(9), &attempt)).collect();
    for odd in [created(0, "b"), Payment { payment_creation_date: None, ..created(60, "b") }] {
        let mut listing = Listing::new(&profile_of(9), wanted.clone());
        assert!(listing.take(vec![created(60, "a"), odd], None).is_empty());
        let known = listing.take(vec![created(199, "c"), created(200, "ours-1")], None);
        let [(0, Looked::Incomplete(_)), (1, Looked::Found(found))] = &known[..] else { panic!("{known:?}") };
        assert_eq!(found.payment_id, "ours-1");
        let known = listing.take(vec![], None);
        assert!(matches!(known[..], [(2, Looked::Incomplete(_))]), "{known:?}");
        assert!(!listing.is_open());
    }
}

/// A stranger's payment with a date far ahead is not the end of what was read for, wherever it stands on its page.
#[test]
fn m05_one_date_far_ahead_ends_no_window() {
    for behind_it in [None, Some(created(1, "c"))] {
        let mut listing = Listing::new(&profile_of(9), vec![Wanted::new(&profile_of(9), &opened_after(0, 0))]);
        let page = [created(0, "a"), created(90_000, "b")].into_iter().chain(behind_it);
        assert!(listing.take(page.collect(), None).is_empty());
        let known = listing.take(vec![created(2, "ours-0")], None);
        assert!(matches!(known[..], [(0, Looked::Found(_))]), "{known:?}");
    }
}

#[test]
fn a_list_in_trouble_takes_no_more_pages_than_one_question_may() {
    let wanted = [0, 200_000].into_iter().zip(0..).map(|(ms, number)| opened_after(ms, number));
    let wanted: Vec<Wanted> = wanted.map(|attempt| Wanted::new(&profile_of(4), &attempt)).collect();
    let undated = || vec![Payment { payment_creation_date: None, ..created(0, "b") }];
    let always_the_same = || vec![created(0, "a"), created(1, "b")];
    for page in [undated as fn() -> Vec<Payment>, always_the_same] {
        let mut listing = Listing::new(&profile_of(4), wanted.clone());
        let mut pages = 0;
        while listing.is_open() {
            listing.take(page(), None);
            pages += 1;
        }
        assert!(pages <= 5, "{pages} pages of {:?}", page());
    }
}
