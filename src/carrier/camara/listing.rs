//! Looking for payments whose ids we never learned. Lists cannot be filtered by our reference, so the window of time around the
//! attempts is read page by page, the oldest first: what is new then comes at the end and shifts nothing. One list is read for all
//! attempts whose windows it covers.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use url::Url;

use super::{
    event,
    message::{Payment, below},
    profile::CamaraProfile,
};
use crate::{charge::Attempt, clock::Timestamp};

/// The window of time in which the payment of an attempt was created, if it was, by the clock that dates payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    /// After it no payment of the attempt can begin. `None` while the request may still be under way.
    pub(super) until: Option<Timestamp>,
    /// Whether that clock was known at the opening. By ours alone a payment can be found, and is never said to be lacking.
    pub(super) has_carrier_time: bool,
}

/// An attempt whose payment is looked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    wire_reference: String,
    /// Each that its payment may bear; the first is its own.
    references: Vec<String>,
    window: Window,
}

/// What is known of it after so many pages.
#[derive(Clone, Debug)]
pub(super) enum Looked {
    /// The payment that bears the reference.
    Found(Arc<Payment>),
    /// The whole window was read, and lacks it.
    Lacking,
    /// What was read is not the whole window, or not in order: it says nothing of what it lacks.
    Incomplete(&'static str),
}

/// A list under way.
#[derive(Debug)]
pub(super) struct Listing {
    /// By the order in which they were given; `None` once it is known what became of it.
    wanted: Vec<Option<Sought>>,
    by_reference: HashMap<String, Vec<usize>>,
    from: Timestamp,
    /// How far dates of creation may be from the clocks that we know of, and from the order of the list.
    tolerance: Duration,
    billing_url: Url,
    per_page: u32,
    pages_max: u32,
    page: u32,
    seen: HashSet<String>,
    /// The most that the carrier counted.
    total: Option<usize>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    before_last: Option<Timestamp>,
    latest: Option<Timestamp>,
    /// Why the list says nothing of what it lacks. What it shows can still be found.
    trouble: Option<&'static str>,
}

#[derive(Debug)]
struct Sought {
    window: Window,
    /// Pages read since the list came to its window.
    pages: u32,
}

impl Wanted {
    pub(super) fn new(profile: &CamaraProfile, attempt: &Attempt) -> Wanted {
        Wanted {
            wire_reference: attempt.wire_reference.clone(),
            references: event::references_of(attempt),
            window: Window::around(attempt, profile),
        }
    }

    /// What the carrier was given to tell it by.
    pub(super) fn wire_reference(&self) -> &str {
        &self.wire_reference
    }

    /// When its payment was created, if it was.
    pub(super) const fn window(&self) -> Window {
        self.window
    }
}

impl Window {
    /// From the attempt's opening to the end of its time under way inside the carrier.
    fn around(attempt: &Attempt, profile: &CamaraProfile) -> Window {
        let tolerance = profile.clock_tolerance();
        let in_flight = Duration::from_millis(attempt.contract.in_flight_delay_ms);
        let (ours, theirs) = (attempt.opened_at, attempt.carrier_time.unwrap_or(attempt.opened_at));
        // A request is sent at once, at worst with a token that is got twice. Only a process that stood still sends it later, and then
        // the doubt is as late.
        let sent_within = profile.response_timeout() * 4;
        let doubt_after = attempt.in_doubt_since.map(|at| at.since(ours).max(sent_within));
        Window {
            // What either clock allows: only if both were wrong is the payment outside.
            from: ours.min(theirs).minus(tolerance),
            until: doubt_after.map(|after| ours.max(theirs).plus(after).plus(in_flight).plus(tolerance)),
            has_carrier_time: attempt.carrier_time.is_some(),
        }
    }

    const fn lacking(&self) -> Looked {
        if self.has_carrier_time {
            Looked::Lacking
        } else {
            Looked::Incomplete("the carrier's clock was not known when the request was sent")
        }
    }
}

impl Listing {
    /// For all of these; their windows should follow each other without much between.
    pub(super) fn new(profile: &CamaraProfile, wanted: Vec<Wanted>) -> Listing {
        let from = wanted.iter().map(|one| one.window.from).min().unwrap_or(Timestamp::MAX);
        let mut by_reference: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, one) in wanted.iter().enumerate() {
            for reference in &one.references {
                by_reference.entry(reference.clone()).or_default().push(index);
            }
        }
        Listing {
            wanted: wanted.into_iter().map(|one| Some(Sought { window: one.window, pages: 0 })).collect(),
            by_reference,
            from,
            tolerance: profile.clock_tolerance(),
            billing_url: (*profile.billing_url).clone(),
            per_page: profile.list.per_page,
            pages_max: profile.list.pages_max,
            page: 1,
            seen: HashSet::new(),
            total: None,
            first: None,
            last: None,
            before_last: None,
            latest: None,
            trouble: None,
        }
    }

    /// Whether something is still looked for, so that the next page is to be asked for.
    pub(super) fn is_open(&self) -> bool {
        self.wanted.iter().any(Option::is_some)
    }

    /// Whether a page was taken in.
    pub(super) const fn has_begun(&self) -> bool {
        self.page > 1
    }

    /// The page to ask for.
    ///
    /// No end of the window is asked for: one that lies in the future is refused by some, and without one the list runs to the
    /// present of the carrier's own clock.
    pub(super) fn url(&self) -> Url {
        let mut url = below(&self.billing_url, &["payments"]);
        url.query_pairs_mut()
            .append_pair("page", &self.page.to_string())
            .append_pair("perPage", &self.per_page.to_string())
            .append_pair("paymentCreationDate.gte", &self.from.to_string())
            .append_pair("order", "asc");
        url
    }

    /// Takes in a page, with the number of payments in all where the carrier tells it (`X-Total-Count`). Returns what is known by it,
    /// each with its place among those that the list is read for.
    pub(super) fn take(&mut self, payments: Vec<Payment>, total: Option<usize>) -> Vec<(usize, Looked)> {
        // A count of what is on its own page ends no list: some carriers count the page.
        let total = believable(total, payments.len() + 1);
        let is_last = payments.is_empty();
        let mut found: HashMap<usize, Arc<Payment>> = HashMap::new();
        if total.is_some() && total < self.total {
            // What was read before has gone, and others have taken its place.
            self.trouble.get_or_insert("the list has become shorter");
        }
        self.total = self.total.max(total);
        for payment in payments {
            let ours = self.bearers(&payment);
            let trouble = self.trouble_with(&payment);
            self.trouble = self.trouble.or(trouble);
            let payment = Arc::new(payment);
            for index in ours {
                // Of two that bear it, which cannot be, the one that took the money is the one to know of.
                if found.get(&index).is_none_or(|known| known.payment_status != "succeeded") {
                    found.insert(index, payment.clone());
                }
            }
        }
        self.page += 1;
        // A list that goes the other way begins with what is newest.
        let goes_up = self.last > self.first;
        let is_counted_out = total.is_some_and(|total| self.seen.len() >= total);
        let mut known = Vec::new();
        for index in 0..self.wanted.len() {
            let Some(sought) = &mut self.wanted[index] else { continue };
            let window = sought.window;
            // By the last two of them, wherever a page ends: no stranger with a date of its own ends a window.
            let is_past =
                |until: Timestamp| goes_up && self.last.min(self.before_last) > Some(until.plus(self.tolerance));
            // One payment out of order is no reason to find none of those that follow; but nothing is lacking any more, whether its window
            // was come to or not.
            let lacking = || self.trouble.map_or_else(|| window.lacking(), Looked::Incomplete);
            let looked = if let Some(payment) = found.remove(&index) {
                Looked::Found(payment)
            } else if is_counted_out || window.until.is_some_and(is_past) {
                lacking()
            } else if is_last {
                // Without a count the first empty page is the end; with one, some are missing.
                if total.is_some() { Looked::Incomplete("pages are missing") } else { lacking() }
            } else {
                // Who is not come to waits, but not in a list that may go nowhere.
                sought.pages += u32::from(self.trouble.is_some() || self.latest >= Some(window.from));
                if sought.pages < self.pages_max {
                    continue;
                }
                Looked::Incomplete("more pages than one question may take")
            };
            self.wanted[index] = None;
            known.push((index, looked));
        }
        known
    }

    /// Who is looking for this payment. One that bears another's reference is nobody's business.
    fn bearers(&self, payment: &Payment) -> Vec<usize> {
        let Some(transaction) = &payment.amount_transaction else { return Vec::new() };
        let references = [&transaction.reference_code, &transaction.client_correlator];
        let looking = references.into_iter().flatten().filter_map(|known| self.by_reference.get(known));
        looking.flatten().copied().filter(|index| self.wanted[*index].is_some()).collect()
    }

    /// Takes note of a payment's place in the list, and says what is wrong with it.
    fn trouble_with(&mut self, payment: &Payment) -> Option<&'static str> {
        let is_new = self.seen.insert(payment.payment_id.clone());
        let created = payment.payment_creation_date.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
        let Some(created) = created else { return Some("a payment has no date of creation") };
        let is_in_order = self.latest.is_none_or(|latest| created.plus(self.tolerance) >= latest);
        self.first.get_or_insert(created);
        self.before_last = self.last.replace(created);
        self.latest = self.latest.max(Some(created));
        match (is_in_order, is_new) {
            (false, _) => Some("the list is not in order"),
            (true, false) => Some("pages overlap"),
            (true, true) => None,
        }
    }
}

/// A count that is less than it must be counts nothing: it ends no list.
pub(super) fn believable(total: Option<usize>, at_least: usize) -> Option<usize> {
    total.filter(|total| *total >= at_least)
}
