//! Lists of payments and of refunds: filters, order and pages.

use axum::{http::HeaderValue, response::Response};

use crate::{
    clock::Timestamp,
    simulator::http::{CamaraConfig, desk::Call, failure::Failure, form::Form},
};

/// How a list calls its parameters.
#[derive(Debug)]
pub(super) struct Listed {
    from: &'static str,
    to: &'static str,
    status: &'static str,
    statuses: &'static [&'static str],
}

/// `retrievePayments`
pub(super) const PAYMENTS: Listed = Listed {
    from: "paymentCreationDate.gte",
    to: "paymentCreationDate.lte",
    status: "paymentStatus",
    statuses: &["processing", "pending_validation", "denied", "reserved", "succeeded", "cancelled"],
};

/// `retrieveRefunds`
pub(super) const REFUNDS: Listed = Listed {
    from: "refundCreationDate.gte",
    to: "refundCreationDate.lte",
    status: "refundStatus",
    statuses: &["processing", "denied", "succeeded"],
};

/// What a client wants listed.
#[derive(Debug)]
pub(super) struct Wanted {
    page: usize,
    per_page: usize,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    ascending: bool,
    statuses: Vec<String>,
    merchant: Option<String>,
}

/// A part of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    last: usize,
    total: usize,
}

impl Listed {
    /// Reads the query. Errors: what is wrong with it.
    pub(super) fn wanted(&self, call: &Call, now: Timestamp) -> Result<Wanted, Failure> {
        let query = Form::query(call);
        let names = ["page", "perPage", self.from, self.to, "order", self.status, "merchantIdentifier"];
        query.only(&names).map_err(Failure::Malformed)?;
        let moment = |name: &'static str| {
            let parsed = query.get(name).map(str::parse::<Timestamp>).transpose();
            parsed.map_err(|error| Failure::Malformed(format!("{name}: {error}")))
        };
        let (from, to) = (moment(self.from)?, moment(self.to)?);
        // Without an end, the end is now.
        if from.is_some_and(|from| from > to.unwrap_or(now)) {
            return Err(Failure::DateRange);
        }
        let ascending = match query.get("order") {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(other) => return Err(Failure::Malformed(format!("order: {other:?}"))),
        };
        let statuses: Vec<String> = query.all(self.status).map(str::to_owned).collect();
        if let Some(unknown) = statuses.iter().find(|status| !self.statuses.contains(&status.as_str())) {
            return Err(Failure::Malformed(format!("{}: {unknown:?}", self.status)));
        }
        Ok(Wanted {
            page: count(&query, "page", 1)?,
            per_page: count(&query, "perPage", 10)?,
            from,
            to,
            ascending,
            statuses,
            merchant: query.get("merchantIdentifier").map(str::to_owned),
        })
    }
}

impl Wanted {
    pub(super) fn matches(&self, created_at: Timestamp, status: &str, merchant: Option<&str>) -> bool {
        self.from.is_none_or(|from| created_at >= from)
            && self.to.is_none_or(|to| created_at <= to)
            && (self.statuses.is_empty() || self.statuses.iter().any(|wanted| wanted == status))
            && self.merchant.as_deref().is_none_or(|wanted| merchant == Some(wanted))
    }

    /// The wanted page of what matches, by its time of creation. Errors: a page that may not be, or too many matches.
    pub(super) fn page<T>(
        &self,
        matching: impl Iterator<Item = T>,
        created_at: impl Fn(&T) -> Timestamp,
        config: &CamaraConfig,
    ) -> Result<Page<T>, Failure> {
        let most = usize::try_from(config.per_page_max).unwrap_or(usize::MAX);
        if self.page == 0 || self.per_page == 0 || self.per_page > most {
            return Err(Failure::OutOfRange);
        }
        let mut all: Vec<T> = matching.collect();
        let list_max = config.list_max.map(|max| usize::try_from(max).unwrap_or(usize::MAX));
        if list_max.is_some_and(|max| all.len() > max) {
            return Err(Failure::TooManyRecords);
        }
        // Requests that are carried out at once are not always taken in in the order of their times.
        all.sort_by_key(created_at);
        if !self.ascending {
            all.reverse();
        }
        let total = all.len();
        let before = self.per_page.saturating_mul(self.page - 1);
        let items: Vec<T> = all.into_iter().skip(before).take(self.per_page).collect();
        Ok(Page { last: if items.is_empty() { 0 } else { before + items.len() }, items, total })
    }
}

impl<T> Page<T> {
    /// Says how many there are, and the place of the page's last among them, from 1 on.
    pub(super) fn with_headers(&self, mut response: Response) -> Response {
        response.headers_mut().insert("x-total-count", HeaderValue::from(self.total));
        response.headers_mut().insert("content-last-key", HeaderValue::from(self.last));
        response
    }
}

fn count(query: &Form, name: &'static str, default: usize) -> Result<usize, Failure> {
    let Some(text) = query.get(name) else { return Ok(default) };
    let number: i64 = text.parse().map_err(|_| Failure::Malformed(format!("{name}: {text:?} is no integer")))?;
    usize::try_from(number).map_err(|_| Failure::OutOfRange)
}
