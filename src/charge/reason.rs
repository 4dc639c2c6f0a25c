use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a charge was declined by our rules or rejected by the carrier. The codes are part of the API and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The number belongs to a company; its balance is not the passenger's to spend.
    CorporateNumber,
    /// A trust payment (the carrier's credit) is not paid back yet.
    CreditDebt,
    /// Nothing was topped up since the number was activated.
    NoTopUpSinceActivation,
    /// The balance that came with the number has not been used yet.
    InitialBalanceUnused,
    /// The SIM was replaced within the last 24 hours.
    RecentSimSwap,
    /// The subscriber's limit for the day would be passed.
    DailyLimit,
    /// The subscriber's limit for the month would be passed.
    MonthlyLimit,
    /// Too many purchases in a short time.
    Velocity,
    /// The limit for what the agency sells in a day would be passed.
    AgencyDailyLimit,
    /// The limit for what the API caller sells in a day would be passed.
    CallerDailyLimit,
    /// The number is on the deny list.
    DeniedNumber,
    /// No vehicle has this code.
    UnknownVehicle,
    /// An inspection is going on in this vehicle; tickets cannot be bought until it ends.
    SaleLock,
    /// No fare is in force for this city and fare class.
    FareNotFound,
    /// The fare depends on the zone, and none was named.
    ZoneMissing,
    /// A zone was named, and the route has none.
    ZoneUnexpected,
    /// The route has no such zone.
    UnknownZone,
    /// No carrier is configured for this number.
    NoRoute,
    /// The carrier could not be reached before the ticket deadline. Nothing was sent, or what was sent did not happen.
    CarrierUnavailable,
    /// The balance does not cover the fare.
    InsufficientBalance,
    /// The number is not this carrier's subscriber (any more).
    NotOurSubscriber,
    /// The subscriber may not use paid messages: barred, blocked or switched off by the carrier.
    Barred,
    /// The charged message could not be delivered in time, so nothing was taken.
    NotDelivered,
    /// Our own account with the carrier is empty or blocked: not the passenger's fault.
    CarrierAccount,
    /// The one-time password was not given in time, or was not right.
    OtpExpired,
    /// The carrier refused the request itself (a wrong field, tariff or service): not the passenger's fault.
    CarrierRefused,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Reason; 26] = [
        Reason::CorporateNumber,
        Reason::CreditDebt,
        Reason::NoTopUpSinceActivation,
        Reason::InitialBalanceUnused,
        Reason::RecentSimSwap,
        Reason::DailyLimit,
        Reason::MonthlyLimit,
        Reason::Velocity,
        Reason::AgencyDailyLimit,
        Reason::CallerDailyLimit,
        Reason::DeniedNumber,
        Reason::UnknownVehicle,
        Reason::SaleLock,
        Reason::FareNotFound,
        Reason::ZoneMissing,
        Reason::ZoneUnexpected,
        Reason::UnknownZone,
        Reason::NoRoute,
        Reason::CarrierUnavailable,
        Reason::InsufficientBalance,
        Reason::NotOurSubscriber,
        Reason::Barred,
        Reason::NotDelivered,
        Reason::CarrierAccount,
        Reason::OtpExpired,
        Reason::CarrierRefused,
    ];

    /// Whether the carrier refuses us and our request, and says nothing of the subscriber.
    pub const fn is_of_our_request(self) -> bool {
        matches!(self, Reason::CarrierAccount | Reason::CarrierRefused | Reason::CarrierUnavailable)
    }

    /// The stable code, as in the API, the metrics and the configuration: `credit_debt`.
    pub const fn code(self) -> &'static str {
        match self {
            Reason::CorporateNumber => "corporate_number",
            Reason::CreditDebt => "credit_debt",
            Reason::NoTopUpSinceActivation => "no_top_up_since_activation",
            Reason::InitialBalanceUnused => "initial_balance_unused",
            Reason::RecentSimSwap => "recent_sim_swap",
            Reason::DailyLimit => "daily_limit",
            Reason::MonthlyLimit => "monthly_limit",
            Reason::Velocity => "velocity",
            Reason::AgencyDailyLimit => "agency_daily_limit",
            Reason::CallerDailyLimit => "caller_daily_limit",
            Reason::DeniedNumber => "denied_number",
            Reason::UnknownVehicle => "unknown_vehicle",
            Reason::SaleLock => "sale_lock",
            Reason::FareNotFound => "fare_not_found",
            Reason::ZoneMissing => "zone_missing",
            Reason::ZoneUnexpected => "zone_unexpected",
            Reason::UnknownZone => "unknown_zone",
            Reason::NoRoute => "no_route",
            Reason::CarrierUnavailable => "carrier_unavailable",
            Reason::InsufficientBalance => "insufficient_balance",
            Reason::NotOurSubscriber => "not_our_subscriber",
            Reason::Barred => "barred",
            Reason::NotDelivered => "not_delivered",
            Reason::CarrierAccount => "carrier_account",
            Reason::OtpExpired => "otp_expired",
            Reason::CarrierRefused => "carrier_refused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_what_serde_writes() {
        for reason in Reason::ALL {
            let json = serde_json::to_string(&reason).expect("a plain enum");
            assert_eq!(json, format!("\"{reason}\""));
        }
    }
}
