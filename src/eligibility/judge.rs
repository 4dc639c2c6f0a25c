use serde::Serialize;

use super::{Fact, FactName, FactRule, FactValue, Facts, Limits, Rules, WhenUnknown};
use crate::{charge::Reason, clock::Timestamp, money::Money};

/// What is asked: may this subscriber make this purchase now? Everything that the rules look at is in here.
#[derive(Clone, Debug)]
pub struct Application<'a> {
    /// The carrier that would take the money; its rules apply.
    pub carrier: &'a str,
    /// What is known of the subscriber.
    pub facts: &'a Facts,
    /// The deny list that holds the number, if one does.
    pub denied_by: Option<&'a str>,
    /// What is to be bought.
    pub purchase: Purchase,
    /// What the subscriber bought before.
    pub spending: Spending,
    /// What was sold before, by those whose sales may be limited: the agency of the vehicle, the caller who asks.
    pub sales: Sales<'a>,
}

/// What is to be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purchase {
    /// Nothing yet: the question is about the subscriber alone. Rules about the vehicle are passed over, and the sums
    /// of the day and the month decline only where they are over the limit already.
    Enquiry,
    /// Something in a vehicle that nobody knows.
    UnknownVehicle,
    /// Fares in a vehicle.
    Fare {
        /// Whether an inspection has stopped sales there.
        sale_locked: bool,
        /// The whole amount, for all passengers that would be charged now. Err: why there is none.
        amount: Result<Money, Reason>,
    },
}

/// What the subscriber spent before this purchase. What is in doubt counts as spent (design M14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending {
    /// Since the day began in the carrier's time zone.
    pub today: Money,
    /// Since the month began in the carrier's time zone.
    pub this_month: Money,
    /// Purchases within the window of [`Limits::velocity`] that ends now.
    pub purchases_in_window: u32,
}

/// What was sold before this purchase. What is in doubt counts as sold (design M14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sales<'a> {
    /// By the agency of the vehicle; `None` if no vehicle is named.
    pub agency: Option<Sold<'a>>,
    /// By the caller of the API; `None` for a passenger's own message.
    pub caller: Option<Sold<'a>>,
}

/// What somebody sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sold<'a> {
    /// Who.
    pub by: &'a str,
    /// Since the day began in the carrier's time zone.
    pub today: Money,
}

/// The decision, and how every rule came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// May it go on?
    #[serde(flatten)]
    pub decision: Decision,
    /// One for each rule that was judged, in the order of judgement. The first that declines is the decision's reason.
    pub findings: Vec<Finding>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", content = "reason", rename_all = "snake_case")]
pub enum Decision {
    /// No rule declines.
    Allowed,
    /// Declined, and why.
    Declined(Reason),
}

/// How one rule came out, and on what grounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, by the reason that it declines with.
    pub rule: Reason,
    /// How it came out.
    pub outcome: Outcome,
    /// On what grounds.
    pub basis: Basis,
}

/// How a rule came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The rule has nothing against it.
    Allows,
    /// The rule declines.
    Declines,
}

/// What a rule looked at: the pieces of an explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Basis {
    /// The vehicle and its fare.
    Purchase,
    /// The deny lists.
    DenyList {
        /// The list that holds the number.
        list: Option<String>,
    },
    /// A fact.
    Fact {
        /// Which.
        name: FactName,
        /// What was said, by whom and when; `None` if nothing was.
        fact: Option<Fact>,
        /// How old that is, in seconds.
        age_seconds: Option<u64>,
        /// What it was worth: its value, or *unknown* if nothing was said or it is too old.
        counted_as: FactValue,
        /// The rule's bound on the age, in seconds.
        max_age_seconds: u64,
        /// What the rule makes of *unknown*.
        when_unknown: WhenUnknown,
    },
    /// The number of purchases.
    Velocity {
        /// Made within the window before this one.
        purchases: u32,
        /// So many are allowed.
        purchases_max: u32,
        /// The window, in seconds.
        window_seconds: u64,
    },
    /// A sum.
    Limit {
        /// Spent before this purchase.
        spent: Money,
        /// The price of this one; `None` if there is none.
        amount: Option<Money>,
        /// The most that may be spent.
        limit: Money,
    },
    /// What is sold in a day by an agency or by a caller of the API.
    Sales {
        /// The agency, or the caller.
        by: String,
        /// Sold before this purchase.
        sold: Money,
        /// The price of this one; `None` if there is none.
        amount: Option<Money>,
        /// The most that may be sold.
        limit: Money,
    },
}

/// Judges every rule in its order: what makes the purchase impossible for anybody (vehicle, sale lock, fare), the deny
/// lists, the facts in their configured order, velocity, the limits of the day and the month, and what the agency and
/// the caller may sell.
pub fn judge(rules: &Rules, application: &Application<'_>, now: Timestamp) -> Verdict {
    let limits = rules.limits(application.carrier);
    let mut findings = Vec::with_capacity(14);
    findings.extend(judge_purchase(application.purchase));
    findings.push(judge_deny_list(application.denied_by));
    findings.extend(rules.facts(application.carrier).iter().map(|rule| judge_fact(rule, application.facts, now)));
    findings.extend(judge_velocity(limits, application));
    findings.extend(judge_sums(limits, application));
    findings.extend(judge_sales(rules, application));
    let declining = findings.iter().find(|finding| finding.outcome == Outcome::Declines);
    let decision = declining.map_or(Decision::Allowed, |finding| Decision::Declined(finding.rule));
    Verdict { decision, findings }
}

fn judge_purchase(purchase: Purchase) -> impl Iterator<Item = Finding> {
    let checks = match purchase {
        Purchase::Enquiry => [None, None, None],
        Purchase::UnknownVehicle => [Some((Reason::UnknownVehicle, true)), None, None],
        Purchase::Fare { sale_locked, amount } => [
            Some((Reason::UnknownVehicle, false)),
            Some((Reason::SaleLock, sale_locked)),
            Some((amount.err().unwrap_or(Reason::FareNotFound), amount.is_err())),
        ],
    };
    checks.into_iter().flatten().map(|(rule, declines)| Finding::new(rule, declines, Basis::Purchase))
}

fn judge_deny_list(denied_by: Option<&str>) -> Finding {
    Finding::new(Reason::DeniedNumber, denied_by.is_some(), Basis::DenyList { list: denied_by.map(str::to_owned) })
}

fn judge_fact(rule: &FactRule, facts: &Facts, now: Timestamp) -> Finding {
    let fact = facts.get(rule.fact);
    let counted_as = fact.map_or(FactValue::Unknown, |fact| rule.worth(fact, now));
    let declines = match counted_as {
        FactValue::True => true,
        FactValue::False => false,
        FactValue::Unknown => rule.when_unknown == WhenUnknown::Decline,
    };
    let basis = Basis::Fact {
        name: rule.fact,
        age_seconds: fact.map(|fact| now.since(fact.observed_at).as_secs()),
        fact: fact.cloned(),
        counted_as,
        max_age_seconds: rule.max_age_seconds,
        when_unknown: rule.when_unknown,
    };
    Finding::new(rule.fact.reason(), declines, basis)
}

fn judge_velocity(limits: &Limits, application: &Application<'_>) -> Option<Finding> {
    let velocity = limits.velocity?;
    let purchases = application.spending.purchases_in_window;
    let basis =
        Basis::Velocity { purchases, purchases_max: velocity.purchases_max, window_seconds: velocity.window_seconds };
    Some(Finding::new(Reason::Velocity, purchases >= velocity.purchases_max, basis))
}

fn judge_sums(limits: &Limits, application: &Application<'_>) -> impl Iterator<Item = Finding> {
    let amount = application.purchase.amount();
    let Spending { today, this_month, .. } = application.spending;
    let sums =
        [(Reason::DailyLimit, today, limits.daily_minor), (Reason::MonthlyLimit, this_month, limits.monthly_minor)];
    let currency = limits.currency;
    sums.into_iter().filter_map(move |(rule, spent, limit)| {
        let limit = Money::new(limit?, currency);
        let basis = Basis::Limit { spent, amount, limit };
        Some(Finding::new(rule, passes(spent, amount, limit), basis))
    })
}

fn judge_sales(rules: &Rules, application: &Application<'_>) -> impl Iterator<Item = Finding> {
    let amount = application.purchase.amount();
    let Sales { agency, caller } = application.sales;
    let agency = agency.and_then(|sold| Some((Reason::AgencyDailyLimit, sold, rules.agency(sold.by)?)));
    let caller = caller.and_then(|sold| Some((Reason::CallerDailyLimit, sold, rules.caller(sold.by)?)));
    agency.into_iter().chain(caller).map(move |(rule, Sold { by, today: sold }, limit)| {
        let limit = Money::new(limit.daily_minor, limit.currency);
        let basis = Basis::Sales { by: by.to_owned(), sold, amount, limit };
        Finding::new(rule, passes(sold, amount, limit), basis)
    })
}

/// Whether the sum would be over the limit. What cannot be added or compared (another currency, an overflow) is over
/// it: a limit that cannot be checked must not let money through.
fn passes(spent: Money, amount: Option<Money>, limit: Money) -> bool {
    let sum = spent.checked_add(amount.unwrap_or(Money::zero(spent.currency)));
    sum.and_then(|sum| limit.checked_sub(sum)).map_or(true, |left| left.minor < 0)
}

impl Purchase {
    /// What it would take; `None` if there is nothing that could be bought.
    fn amount(self) -> Option<Money> {
        match self {
            Purchase::Fare { amount, .. } => amount.ok(),
            Purchase::Enquiry | Purchase::UnknownVehicle => None,
        }
    }
}

impl Finding {
    fn new(rule: Reason, declines: bool, basis: Basis) -> Finding {
        Finding { rule, outcome: if declines { Outcome::Declines } else { Outcome::Allows }, basis }
    }
}
