//! What the ticket service needs to issue a fiscal receipt. Issuing it is the ticket service's duty.

use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

use super::EventAmount;
use crate::{
    charge::Order,
    clock::Timestamp,
    money::{Money, Percentage},
    store::{ToldRefund, ToldSeller},
};

/// What a fiscal receipt needs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Fiscal {
    /// Whether something was sold, or a sale was given back.
    pub operation: FiscalOperation,
    /// Who sold it.
    pub seller: FiscalSeller,
    /// What was sold. Not where a part of a sale was given back: the amount is all that is known of a part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub items: Vec<FiscalItem>,
    /// What was paid or given back.
    pub total: EventAmount,
    /// The value-added tax in the total, where the agency owes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vat: Option<FiscalVat>,
    /// When, in the time zone of the city.
    #[schema(example = "2026-03-01T12:30:00+05:00")]
    pub at: String,
    /// By which means: the balance of a mobile phone.
    #[schema(example = "mobile_balance")]
    pub means: &'static str,
}

/// Whether something was sold, or a sale was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FiscalOperation {
    /// A sale.
    Sale,
    /// A sale that was given back, whole or in part.
    SaleReturn,
}

/// An agency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FiscalSeller {
    /// Its id.
    pub agency: String,
    /// Its name at the time of the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its number with the tax authority, where the catalogue knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "010140000123")]
    pub tax_id: Option<String>,
}

/// The value-added tax in an amount.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FiscalVat {
    /// The rate that was in force when the charge was opened.
    #[schema(value_type = String, example = "16")]
    pub percent: Percentage,
    /// The tax that the total includes: of a sale rounded half away from zero; of what goes back so that all of it adds up to the sale's.
    pub amount: EventAmount,
}

/// A line of a receipt.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FiscalItem {
    /// The fare class of the ride.
    #[schema(example = "standard")]
    pub fare_class: String,
    /// The route.
    #[schema(example = "92")]
    pub route: String,
    /// How many rides.
    pub quantity: u8,
    /// What one costs.
    pub unit_price: EventAmount,
    /// What all cost.
    pub total: EventAmount,
}

impl Fiscal {
    /// The sale that `order` was. `None` for a test number, which pays nothing.
    pub(super) fn sale(order: &Order, seller: Option<&ToldSeller>, at: Timestamp) -> Option<Fiscal> {
        let vat_minor = seller.map_or(0, |seller| seller.fare_vat.included_in(order.amount.minor));
        Fiscal::of(FiscalOperation::Sale, order, order.amount, vat_minor, seller, at)
    }

    /// The return of a sale. `None` where the refund gives no sale back.
    pub(super) fn sale_return(
        order: &Order,
        refund: &ToldRefund,
        seller: Option<&ToldSeller>,
        at: Timestamp,
    ) -> Option<Fiscal> {
        let returned = Fiscal::of(FiscalOperation::SaleReturn, order, refund.amount, refund.vat_minor, seller, at);
        returned.filter(|_| refund.of_sale)
    }

    fn of(
        operation: FiscalOperation,
        order: &Order,
        total: Money,
        vat_minor: i64,
        seller: Option<&ToldSeller>,
        at: Timestamp,
    ) -> Option<Fiscal> {
        let zone = seller.and_then(|seller| TimeZone::get(seller.time_zone.as_deref()?).ok()).unwrap_or(TimeZone::UTC);
        let whole = total == order.amount;
        total.is_positive().then(|| Fiscal {
            operation,
            seller: FiscalSeller {
                agency: order.agency.clone(),
                name: seller.map(|seller| seller.name.clone()),
                tax_id: seller.and_then(|seller| seller.tax_id.clone()),
            },
            items: FiscalItem::of(order).filter(|_| whole).into_iter().collect(),
            total: total.into(),
            vat: seller.and_then(|seller| FiscalVat::of(seller.fare_vat, Money::new(vat_minor, total.currency))),
            at: at.zoned(&zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            means: "mobile_balance",
        })
    }
}

impl FiscalVat {
    /// `None` where the fare has no tax in it.
    fn of(percent: Percentage, amount: Money) -> Option<FiscalVat> {
        (!percent.is_zero()).then(|| FiscalVat { percent, amount: amount.into() })
    }
}

impl FiscalItem {
    /// `None` for an amount that is no multiple of its passengers.
    fn of(order: &Order) -> Option<FiscalItem> {
        let passengers = i64::from(order.passengers);
        let is_multiple = order.amount.minor.checked_rem(passengers) == Some(0);
        let unit = order.amount.minor.checked_div(passengers).filter(|_| is_multiple)?;
        Some(FiscalItem {
            fare_class: order.fare_class.clone(),
            route: order.route.clone(),
            quantity: order.passengers,
            unit_price: Money::new(unit, order.amount.currency).into(),
            total: order.amount.into(),
        })
    }
}
