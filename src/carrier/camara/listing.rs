//! Looking for a payment whose id we never learned. Lists cannot be filtered by our reference, so the window of time around the
//! attempt is read page by page, the oldest first: what is new then comes at the end and shifts nothing.

use std::{collections::HashSet, time::Duration};

use url::Url;

use super::{
    meaning::bears,
    message::{Payment, below},
    profile::CamaraProfile,
};
use crate::{charge::Attempt, clock::Timestamp};

/// The window of time in which the payment of an attempt was created, if it was, by the clock that dates payments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    from: Timestamp,
    /// After it no payment of the attempt can begin. `None` while the request may still be under way.
    until: Option<Timestamp>,
    /// How far dates of creation may be from the clocks that we know of, and from the order of the list.
    tolerance: Duration,
    /// Whether that clock was known at the opening. By ours alone a payment can be found, and is never said to be lacking.
    has_carrier_time: bool,
}

impl Window {
    /// From the attempt's opening to the end of its time under way inside the carrier.
    fn around(attempt: &Attempt, profile: &CamaraProfile) -> Window {
        let tolerance = Duration::from_millis(profile.list.clock_tolerance_ms);
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
            tolerance,
            has_carrier_time: attempt.carrier_time.is_some(),
        }
    }
}

/// What is known after so many pages.
#[derive(Debug)]
pub(super) enum Progress {
    /// The payment that bears the reference.
    Found(Box<Payment>),
    /// Ask for this page next.
    Next(Url),
    /// The whole window was read, and lacks it.
    Lacking,
    /// What was read is not the whole window, or not in order: it says nothing of what it lacks.
    Incomplete(&'static str),
}

/// A listing under way.
#[derive(Debug)]
pub(super) struct Listing {
    window: Window,
    wire_reference: String,
    billing_url: Url,
    per_page: u32,
    pages_max: u32,
    page: u32,
    seen: HashSet<String>,
    latest: Option<Timestamp>,
}

impl Listing {
    pub(super) fn new(profile: &CamaraProfile, attempt: &Attempt) -> Listing {
        Listing {
            window: Window::around(attempt, profile),
            wire_reference: attempt.wire_reference.clone(),
            billing_url: (*profile.billing_url).clone(),
            per_page: profile.list.per_page,
            pages_max: profile.list.pages_max,
            page: 1,
            seen: HashSet::new(),
            latest: None,
        }
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
            .append_pair("paymentCreationDate.gte", &self.window.from.to_string())
            .append_pair("order", "asc");
        url
    }

    /// Takes in a page, with the number of payments in all where the carrier tells it (`X-Total-Count`).
    pub(super) fn take(&mut self, payments: Vec<Payment>, total: Option<usize>) -> Progress {
        // A count of what is on its own page ends no list: some carriers count the page.
        let total = believable(total, payments.len() + 1);
        let is_last = payments.is_empty();
        let mut is_past_window = false;
        let mut found: Option<Payment> = None;
        for payment in payments {
            let Some(created) = payment.payment_creation_date.as_deref().and_then(|at| at.parse::<Timestamp>().ok())
            else {
                if bears(&payment, &self.wire_reference) {
                    return Progress::Found(Box::new(payment));
                }
                return Progress::Incomplete("a payment has no date of creation");
            };
            let is_ours = bears(&payment, &self.wire_reference);
            let tolerance = self.window.tolerance;
            if !is_ours && self.latest.is_some_and(|latest| created.plus(tolerance) < latest) {
                return Progress::Incomplete("the list is not in order");
            }
            self.latest = self.latest.max(Some(created));
            // What comes after this one may be a little older.
            is_past_window |= self.window.until.is_some_and(|until| created > until.plus(tolerance));
            if !self.seen.insert(payment.payment_id.clone()) && !is_ours {
                return Progress::Incomplete("pages overlap");
            }
            // Of two that bear it, which cannot be, the one that took the money is the one to know of.
            if is_ours && found.as_ref().is_none_or(|found| found.payment_status != "succeeded") {
                found = Some(payment);
            }
        }
        if let Some(payment) = found {
            return Progress::Found(Box::new(payment));
        }
        let is_counted_out = total.is_some_and(|total| self.seen.len() >= total);
        if is_past_window || is_counted_out {
            return self.lacking();
        }
        if is_last {
            // Without a count the first empty page is the end; with one, some are missing.
            return if total.is_some() { Progress::Incomplete("pages are missing") } else { self.lacking() };
        }
        if self.page >= self.pages_max {
            return Progress::Incomplete("more pages than one question may take");
        }
        self.page += 1;
        Progress::Next(self.url())
    }

    const fn lacking(&self) -> Progress {
        if self.window.has_carrier_time {
            Progress::Lacking
        } else {
            Progress::Incomplete("the carrier's clock was not known when the request was sent")
        }
    }
}

/// A count that is less than it must be counts nothing: it ends no list.
pub(super) fn believable(total: Option<usize>, at_least: usize) -> Option<usize> {
    total.filter(|total| *total >= at_least)
}
