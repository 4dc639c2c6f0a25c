//! May this subscriber pay, and why: everything that the rules look at, gathered.

use std::time::Duration;

use tracing::warn;

use super::{Books, Gateway, Inner, opening::reason_of, sales::SalesBook};
use crate::{
    carrier::{Carrier, Route},
    clock::Timestamp,
    eligibility::{Application, FactName, FactRule, Facts, Limits, Purchase, Sales, Sold, Spending, Verdict, judge},
    money::Money,
    msisdn::Msisdn,
    store::{Seller, SpendingBound, StoreError},
    subscriber::Silent,
    transit::{VehicleCode, Zone},
};

/// Who asks whether a number can pay, and for what.
#[derive(Clone, Debug)]
pub struct Enquiry {
    /// The number.
    pub msisdn: Msisdn,
    /// The vehicle, if one passenger's fare in it is meant.
    pub vehicle: Option<VehicleCode>,
    /// The fare zone, where the vehicle's route has zones.
    pub zone: Option<Zone>,
    /// The caller of the API who would sell.
    pub caller: Option<String>,
}

/// Whether a number can pay, and why.
#[derive(Clone, Debug)]
pub struct Eligibility {
    /// The carrier that would be asked, and how that is known.
    pub route: Route,
    /// Who was asked for a fact and said nothing.
    pub silent: Vec<Silent>,
    /// The facts that nobody is configured to be asked for.
    pub unsourced: Vec<FactName>,
    /// What the rules say.
    pub verdict: Verdict,
}

/// What is asked of the rules.
pub(super) struct Question<'a> {
    pub(super) carrier: &'a Carrier,
    pub(super) msisdn: Msisdn,
    /// What was gathered; what is known anyhow is added.
    pub(super) facts: &'a Facts,
    pub(super) purchase: Purchase,
    pub(super) sales: Sales<'a>,
}

impl Gateway {
    /// Why a number can or cannot pay, with every fact, its source and its age. Those are asked who would be asked for a purchase,
    /// for as long. `None` if no carrier is known for the number. Nothing is bought.
    pub async fn eligibility(&self, enquiry: &Enquiry) -> Result<Option<Eligibility>, StoreError> {
        let inner = &self.0;
        let (books, now) = (inner.books.load_full(), inner.now());
        let (msisdn, until) = (enquiry.msisdn, inner.subscribers.until());
        let Some(route) = inner.route(msisdn, until).await else { return Ok(None) };
        let Some(carrier) = inner.carriers.get(&route.carrier) else { return Ok(None) };
        let rules = books.rules.facts(carrier.name().as_str());
        let gathered = inner.subscribers.gather(msisdn, carrier.name(), rules, (now, until)).await;
        let day_start = inner.day_start(carrier, now);
        let today = |seller| inner.sales.today(&seller, day_start, carrier.config().currency);
        let caller = enquiry.caller.as_deref();
        let caller = caller.map(|by| Sold { by, today: today(Seller::Caller(by.to_owned())) });
        let vehicle = enquiry.vehicle.as_ref().map(|code| books.catalogue.vehicle(code));
        let agency = vehicle.flatten().map(|vehicle| vehicle.route.agency.id.as_str());
        let agency = agency.map(|by| Sold { by, today: today(Seller::Agency(by.to_owned())) });
        let purchase = match vehicle {
            None => Purchase::Enquiry,
            Some(None) => Purchase::UnknownVehicle,
            Some(Some(vehicle)) => {
                let amount = books.catalogue.fare_on(&vehicle.route, &vehicle.route.fare_class, enquiry.zone, now);
                Purchase::Fare { sale_locked: false, amount: amount.map_err(reason_of) }
            }
        };
        let sales = Sales { agency, caller };
        let question = Question { carrier, msisdn, facts: &gathered.facts, purchase, sales };
        let verdict = inner.verdict(&books, &question, now).await?;
        let has_source = |rule: &FactRule| inner.subscribers.has_source(carrier.name(), rule.fact);
        let unsourced = rules.iter().filter(|rule| !has_source(rule)).map(|rule| rule.fact).collect();
        Ok(Some(Eligibility { route, silent: gathered.silent, unsourced, verdict }))
    }
}

impl Inner {
    /// Judges the rules over all that is known of a subscriber.
    pub(super) async fn verdict(
        &self,
        books: &Books,
        question: &Question<'_>,
        now: Timestamp,
    ) -> Result<Verdict, StoreError> {
        let Question { carrier, msisdn, facts: gathered, purchase, sales } = *question;
        let name = carrier.name().as_str();
        let spending = self.spending(books, carrier, msisdn, now).await?;
        let mut facts = self.subscribers.facts(msisdn, name, now);
        gathered.iter().for_each(|(name, fact)| facts.add(name, fact.clone()));
        let denied_by = self.subscribers.denied_by(msisdn, name);
        let application =
            Application { carrier: name, facts: &facts, denied_by: denied_by.as_deref(), purchase, spending, sales };
        Ok(judge(&books.rules, &application, now))
    }

    /// When the day of `now` began in the carrier's time zone.
    pub(super) fn day_start(&self, carrier: &Carrier, now: Timestamp) -> Timestamp {
        now.zoned(carrier.zone()).start_of_day().map_or(now.minus(Duration::from_secs(86_400)), moment)
    }

    /// What the subscriber spent, as far as a limit asks for it.
    async fn spending(
        &self,
        books: &Books,
        carrier: &Carrier,
        msisdn: Msisdn,
        now: Timestamp,
    ) -> Result<Spending, StoreError> {
        let limits = books.rules.limits(carrier.name().as_str());
        let currency = carrier.config().currency;
        let lag = Duration::from_secs(carrier.config().settlement_lag_seconds);
        let spent_since = async |since: Option<Timestamp>| match since {
            Some(since) => self.store.spent(msisdn, since, now.minus(lag)).await,
            None => Ok(Default::default()),
        };
        let [day, month, window] = self.spending_begins(limits, carrier, now);
        Ok(Spending {
            today: Money::new(spent_since(day).await?.minor, currency),
            this_month: Money::new(spent_since(month).await?.minor, currency),
            purchases_in_window: spent_since(window).await?.purchases,
        })
    }

    /// What the limits leave to the subscriber beside this purchase, where other daemons may sell to the same subscriber meanwhile. In one daemon a
    /// subscriber's purchases come one after another.
    pub(super) fn bounds(&self, books: &Books, carrier: &Carrier, amount: Money, now: Timestamp) -> Vec<SpendingBound> {
        if self.attendance.is_none() {
            return Vec::new();
        }
        let limits = books.rules.limits(carrier.name().as_str());
        let doubt_since = now.minus(Duration::from_secs(carrier.config().settlement_lag_seconds));
        let [day, month, window] = self.spending_begins(limits, carrier, now);
        let bound = |since: Option<Timestamp>, minor_max: Option<i64>, purchases_max: Option<u32>| SpendingBound {
            since: since.unwrap_or(now),
            doubt_since,
            minor_max: minor_max.map_or(i64::MAX, |limit| limit.saturating_sub(amount.minor)),
            purchases_max: purchases_max.map_or(u32::MAX, |limit| limit.saturating_sub(1)),
        };
        let velocity = limits.velocity.map(|velocity| velocity.purchases_max);
        let all = [
            day.map(|_| bound(day, limits.daily_minor, None)),
            month.map(|_| bound(month, limits.monthly_minor, None)),
            window.map(|_| bound(window, None, velocity)),
        ];
        all.into_iter().flatten().collect()
    }

    /// When the day, the month and the window of velocity began, each where there is a limit for it.
    fn spending_begins(&self, limits: &Limits, carrier: &Carrier, now: Timestamp) -> [Option<Timestamp>; 3] {
        let day = limits.daily_minor.map(|_| self.day_start(carrier, now));
        let month = now.zoned(carrier.zone()).first_of_month().and_then(|first| first.start_of_day());
        let month = month.ok().filter(|_| limits.monthly_minor.is_some()).map(moment);
        [day, month, limits.velocity.as_ref().map(|velocity| now.minus(velocity.window()))]
    }

    /// Reads what other daemons sold (M14).
    pub(super) async fn look_up_sales_of_others(&self) {
        if self.attendance.is_none() || !self.sales.others_are_due() {
            return;
        }
        match self.store.sales_of_others(SalesBook::since(self.now())).await {
            Ok(sales) => self.sales.set_others(sales),
            Err(error) => warn!(%error, "what other instances sold cannot be read: what was known of it counts still"),
        }
    }

    /// Looks up which doubts are so old that they count as sold no more (M14).
    pub(super) async fn look_up_overdue_sales(&self) -> Result<(), StoreError> {
        let now = self.now();
        if !self.sales.look_up_is_due(now) {
            return Ok(());
        }
        let mut overdue = Vec::new();
        for (name, carrier) in &self.carriers {
            let lag = Duration::from_secs(carrier.config().settlement_lag_seconds);
            overdue.extend(self.store.overdue_sales(name, SalesBook::since(now), now.minus(lag)).await?);
        }
        self.sales.set_overdue(overdue, now);
        Ok(())
    }
}

fn moment(zoned: jiff::Zoned) -> Timestamp {
    Timestamp::from_unix_ms(zoned.timestamp().as_millisecond())
}
