use super::super::meaning::{Meanings, Operation};
use super::*;
use crate::charge::{Doubt, Reason, Retry};
use proptest::prelude::*;

fn meanings() -> Meanings {
    Meanings::new(&profile("http://127.0.0.1:1", ""))
}

/// A finding in a few words.
fn short(finding: &Finding) -> String {
    match finding {
        Finding::Rejected { reason, retry: Retry::Never, .. } => format!("no: {reason}"),
        Finding::Rejected { retry: Retry::SameCarrier, .. } => "again".into(),
        Finding::Rejected { reason, retry: Retry::OtherCarrier, .. } => format!("elsewhere: {reason}"),
        Finding::Doubtful { cause: Doubt::Duplicate } => "asked before".into(),
        Finding::Doubtful { .. } => "in doubt".into(),
        Finding::OtpNeeded { .. } => "wrong password".into(),
        Finding::Cancelled => "cancelled".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn every_error_of_the_files_has_its_meaning() {
    use Operation::{Cancel, Confirm, Refund, Take, Validate};
    #[rustfmt::skip]
    let rows: &[(Operation, u16, &str, &str, &str)] = &[
        (Take, 400, "INVALID_ARGUMENT", "Client specified an invalid argument, request body or query param.", "no: carrier_refused"),
        (Take, 400, "INVALID_ARGUMENT", "Currency is unknown or not authorized.", "no: carrier_refused"),
        (Take, 400, "INVALID_ARGUMENT", "clientCorrelator already exist on server.", "asked before"),
        (Take, 400, "INVALID_ARGUMENT", "Expected property is missing: paymentId.", "no: carrier_refused"),
        (Take, 400, "INVALID_CREDENTIAL", "Only Access token is supported", "no: carrier_refused"),
        (Take, 400, "INVALID_TOKEN", "Only bearer token is supported", "no: carrier_refused"),
        (Take, 400, "INVALID_SINK", "sink not valid for the specified protocol", "no: carrier_refused"),
        (Take, 401, "UNAUTHENTICATED", "Request not authenticated.", "again"),
        (Take, 403, "PERMISSION_DENIED", "Client does not have sufficient permissions.", "no: carrier_account"),
        (Take, 403, "CARRIER_BILLING.PAYMENT_DENIED", "Payment denied by business.", "no: barred"),
        (Take, 403, "CARRIER_BILLING.PAYMENT_DENIED", "User is blocked due to PENDING DEBT", "no: credit_debt"),
        (Take, 403, "CARRIER_BILLING.PAYMENT_DENIED", "some debt", "no: insufficient_balance"),
        (Take, 404, "IDENTIFIER_NOT_FOUND", "phoneNumber not found.", "elsewhere: not_our_subscriber"),
        (Take, 404, "NOT_FOUND", "The specified resource is not found.", "no: carrier_refused"),
        (Take, 409, "ALREADY_EXISTS", "The resource that a client tried to create already exists.", "asked before"),
        (Take, 409, "ALREADY_EXISTS", "Another session is created for the same UE", "asked before"),
        (Take, 409, "CONFLICT", "", "asked before"),
        (Take, 422, "SERVICE_NOT_APPLICABLE", "The service is not available for the provided identifier.", "no: barred"),
        (Take, 422, "MISSING_IDENTIFIER", "The phone number cannot be identified.", "no: carrier_refused"),
        (Take, 422, "UNNECESSARY_IDENTIFIER", "The phone number is already identified by the access token.", "no: carrier_refused"),
        // By the profile of these tests.
        (Take, 422, "CARRIER_BILLING.UNAUTHORIZED_AMOUNT", "Unauthorized amount requested.", "no: daily_limit"),
        (Take, 422, "CARRIER_BILLING.USER_AMOUNT_THRESHOLD_OVERPASSED", "Unauthorized payment request.", "no: monthly_limit"),
        (Take, 429, "TOO_MANY_REQUESTS", "Rate limit reached.", "again"),
        (Take, 500, "INTERNAL", "Unknown server error.", "in doubt"),
        (Take, 503, "UNAVAILABLE", "Service Unavailable.", "in doubt"),
        (Take, 504, "TIMEOUT", "Request timeout exceeded.", "in doubt"),
        (Validate, 400, "CARRIER_BILLING.INVALID_CODE", "Invalid code.", "wrong password"),
        (Validate, 400, "CARRIER_BILLING.VALIDATION_FAILED", "the maximum number of attempts have been consumed.", "no: otp_expired"),
        (Validate, 400, "CARRIER_BILLING.INVALID_AUTHORIZATION_ID", "Invalid authorizationId.", "in doubt"),
        (Validate, 409, "ALREADY_EXISTS", "Payment already validated", "asked before"),
        (Confirm, 403, "CARRIER_BILLING.PAYMENT_DENIED", "Payment denied by business.", "no: barred"),
        (Confirm, 403, "PERMISSION_DENIED", "", "in doubt"),
        (Confirm, 404, "NOT_FOUND", "The specified resource is not found.", "in doubt"),
        (Confirm, 409, "CARRIER_BILLING.PAYMENT_CONFIRMED", "Payment has been confirmed.", "asked before"),
        (Confirm, 409, "CARRIER_BILLING.PAYMENT_CANCELLED", "Payment has been cancelled.", "cancelled"),
        (Confirm, 422, "SERVICE_NOT_APPLICABLE", "", "in doubt"),
        (Confirm, 429, "TOO_MANY_REQUESTS", "", "again"),
        (Cancel, 403, "PERMISSION_DENIED", "", "in doubt"),
        (Cancel, 404, "NOT_FOUND", "", "in doubt"),
        (Cancel, 409, "CARRIER_BILLING.PAYMENT_CONFIRMED", "Payment has been confirmed.", "asked before"),
        (Cancel, 409, "CARRIER_BILLING.PAYMENT_CANCELLED", "Payment has been cancelled.", "cancelled"),
        (Refund, 400, "INVALID_ARGUMENT", "clientCorrelator already exist on server.", "asked before"),
        (Refund, 400, "INVALID_ARGUMENT", "Client specified an invalid argument.", "no: carrier_refused"),
        (Refund, 403, "CARRIER_BILLING_REFUND.REFUND_DENIED", "Refund denied by business.", "no: carrier_refused"),
        (Refund, 403, "CARRIER_BILLING_REFUND.PAYMENT_NOT_ELIGIBLE_FOR_REFUND", "Payment not eligible for refund.", "no: carrier_refused"),
        (Refund, 403, "PERMISSION_DENIED", "", "no: carrier_account"),
        (Refund, 404, "NOT_FOUND", "", "no: carrier_refused"),
        (Refund, 409, "ALREADY_EXISTS", "", "asked before"),
        (Refund, 422, "CARRIER_BILLING_REFUND.UNAUTHORIZED_AMOUNT", "", "no: carrier_refused"),
        (Refund, 422, "CARRIER_BILLING_REFUND.USER_AMOUNT_THRESHOLD_OVERPASSED", "", "no: carrier_refused"),
        (Refund, 422, "CARRIER_BILLING_REFUND.INVALID_PAYMENT_STATUS", "Payment is not yet completed.", "no: carrier_refused"),
        (Refund, 422, "CARRIER_BILLING_REFUND.TAXES_MANAGEMENT_MISMATCH", "", "no: carrier_refused"),
        (Refund, 422, "CARRIER_BILLING_REFUND.REFUND_DETAILS_MISMATCH", "", "no: carrier_refused"),
        (Refund, 429, "TOO_MANY_REQUESTS", "", "again"),
        (Refund, 500, "INTERNAL", "", "in doubt"),
    ];
    for (operation, status, code, message, expected) in rows {
        let finding = meanings().of_error(*operation, *status, error(*status, code, message).as_bytes());
        assert_eq!(short(&finding), *expected, "{operation:?} {status} {code} {message}");
    }
}

#[test]
fn what_is_kept_of_the_carriers_words_is_bounded_and_plain() {
    let message = "no\u{0}\n".repeat(1_000);
    let finding = meanings().of_error(Operation::Take, 403, error(403, "PERMISSION_DENIED", &message).as_bytes());
    let (reason, _, detail) = rejection(&finding);
    assert_eq!(reason, Reason::CarrierAccount);
    assert!(detail.len() <= 200 && !detail.contains(char::is_control), "{detail}");
}

proptest! {
    #[test]
    fn no_error_whatever_it_says_is_a_charge(status in 300_u16..600, body in ".{0,200}") {
        for operation in [Operation::Take, Operation::Validate, Operation::Confirm, Operation::Cancel, Operation::Refund] {
            let taken = matches!(
                meanings().of_error(operation, status, body.as_bytes()),
                Finding::Charged { .. } | Finding::Accepted { .. } | Finding::Reserved { .. } | Finding::NotSent
            );
            prop_assert!(!taken);
        }
    }

    #[test]
    fn a_payment_is_charged_only_with_our_amount_number_and_reference(
        amount in prop_oneof![Just("80".to_owned()), Just("80.00".to_owned()), "[0-9]{1,4}(\\.[0-9]{1,3})?"],
        number in prop_oneof![Just("+77011234567".to_owned()), "\\+7701123456[0-9]"],
        correlator in prop_oneof![Just(WIRE_REFERENCE.to_owned()), "[a-z0-9-]{0,20}"],
        status in prop_oneof![Just("succeeded"), Just("processing"), Just("SUCCEEDED"), Just("denied")],
    ) {
        let replace = [(":80,", format!(":{amount},")), ("+77011234567", number.clone()), (WIRE_REFERENCE, correlator.clone())];
        let replace: Vec<(&str, &str)> = replace.iter().map(|(from, to)| (*from, to.as_str())).collect();
        let charge = charge(&profile("http://127.0.0.1:1", ""));
        let Ok(payment) = serde_json::from_str(&payment(status, &replace)) else { return Ok(()) };
        let finding = meanings().of_payment(&payment, &charge, attempt(&charge));
        let fits = Money::parse_major(&amount, Currency::Kzt) == Ok(Money::kzt(8_000))
            || amount.parse::<f64>() == Ok(80.0);
        let ours = fits && number == "+77011234567" && correlator == WIRE_REFERENCE && status == "succeeded";
        prop_assert_eq!(matches!(finding, Ok(Finding::Charged { .. })), ours);
    }
}
