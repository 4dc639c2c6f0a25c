use super::*;
use crate::charge::{Asked, Doubt, Reason, Retry, Validation};

const CONFIRM: &str = "POST /carrier-billing/v0.5/payments/AK234rfweSBuWGFUEWFGWEVWRV/confirm";
const CANCEL: &str = "POST /carrier-billing/v0.5/payments/AK234rfweSBuWGFUEWFGWEVWRV/cancel";
const VALIDATE: &str = "POST /carrier-billing/v0.5/payments/AK234rfweSBuWGFUEWFGWEVWRV/validate";
const RETRIEVE: &str = "GET /carrier-billing/v0.5/payments/AK234rfweSBuWGFUEWFGWEVWRV";

async fn two_steps() -> Scene {
    Scene::new("two_step = true").await
}

/// Reserved, and asked to be confirmed.
fn reserved(scene: &Scene) -> Charge {
    let charge = heard(&scene.charge(), Finding::Reserved { carrier_id: some_id() });
    assert_eq!(attempt(&charge).asked, Asked::Confirm);
    charge
}

#[tokio::test]
async fn the_amount_is_reserved_confirmed_and_then_known_to_be_taken() {
    let scene = two_steps().await;
    scene.server.says("POST /carrier-billing/v0.5/payments/prepare", 201, payment("reserved", &[]));
    let evidence = scene.take(&scene.charge()).await;
    assert_eq!(evidence.finding, Finding::Reserved { carrier_id: some_id() });
    let charge = reserved(&scene);
    scene.server.says(CONFIRM, 202, "");
    scene.server.says(RETRIEVE, 200, payment("succeeded", &[]));
    let finding = scene.carrier.confirm(scene.slot(), &charge, attempt(&charge)).await;
    assert_eq!(finding, Finding::Charged { carrier_id: some_id(), amount: Some(Money::kzt(8_000)) });
    assert_eq!(scene.server.lines()[1..], [CONFIRM, RETRIEVE]);
    assert_eq!(scene.server.asked()[1].body, r#"{"phoneNumber":"+77011234567"}"#);
}

#[tokio::test]
async fn a_confirmation_that_says_nothing_of_the_money_yet_is_accepted() {
    let scene = two_steps().await;
    let charge = reserved(&scene);
    for (status, body) in [
        (200, payment("reserved", &[])),
        (200, payment("processing", &[])),
        (500, String::new()),
        (404, error(404, "NOT_FOUND", "The specified resource is not found.")),
        (200, payment("succeeded", &[(":80,", ":800,")])),
    ] {
        scene.server.says(CONFIRM, 202, "");
        scene.server.says(RETRIEVE, status, body.clone());
        let finding = scene.carrier.confirm(scene.slot(), &charge, attempt(&charge)).await;
        assert_eq!(finding, Finding::Accepted { carrier_id: some_id() }, "{status} {body}");
    }
}

#[tokio::test]
async fn a_lost_confirmation_or_cancellation_is_in_doubt() {
    let scene = two_steps().await;
    let charge = reserved(&scene);
    scene.server.hangs_up(CONFIRM);
    let finding = scene.carrier.confirm(scene.slot(), &charge, attempt(&charge)).await;
    assert_eq!(finding, Finding::Doubtful { cause: Doubt::LinkLost });
    scene.server.says(CANCEL, 500, "");
    let finding = scene.carrier.cancel(scene.slot(), &charge, attempt(&charge)).await;
    assert_eq!(finding, Finding::Doubtful { cause: Doubt::UnclearAnswer });
}

#[tokio::test]
async fn what_was_confirmed_or_cancelled_before_is_told_by_the_payment() {
    let scene = two_steps().await;
    let charge = reserved(&scene);
    let confirmed = || error(409, "CARRIER_BILLING.PAYMENT_CONFIRMED", "Payment has been confirmed.");
    let cancelled = || error(409, "CARRIER_BILLING.PAYMENT_CANCELLED", "Payment has been cancelled.");
    let taken = Finding::Charged { carrier_id: some_id(), amount: Some(Money::kzt(8_000)) };
    scene.server.says(CONFIRM, 409, confirmed());
    scene.server.says(RETRIEVE, 200, payment("succeeded", &[]));
    assert_eq!(scene.carrier.confirm(scene.slot(), &charge, attempt(&charge)).await, taken);
    scene.server.says(CANCEL, 409, confirmed());
    scene.server.says(RETRIEVE, 200, payment("succeeded", &[]));
    assert_eq!(scene.carrier.cancel(scene.slot(), &charge, attempt(&charge)).await, taken);
    scene.server.says(CONFIRM, 409, cancelled());
    assert_eq!(scene.carrier.confirm(scene.slot(), &charge, attempt(&charge)).await, Finding::Cancelled);
    scene.server.says(CANCEL, 409, cancelled());
    assert_eq!(scene.carrier.cancel(scene.slot(), &charge, attempt(&charge)).await, Finding::Cancelled);
}

#[tokio::test]
async fn a_cancellation_is_believed_when_the_payment_says_so() {
    let scene = two_steps().await;
    let charge = reserved(&scene);
    scene.server.says(CANCEL, 202, "");
    scene.server.says(RETRIEVE, 200, payment("cancelled", &[]));
    assert_eq!(scene.carrier.cancel(scene.slot(), &charge, attempt(&charge)).await, Finding::Cancelled);
    scene.server.says(CANCEL, 202, "");
    scene.server.says(RETRIEVE, 200, payment("reserved", &[]));
    let finding = scene.carrier.cancel(scene.slot(), &charge, attempt(&charge)).await;
    assert_eq!(finding, Finding::Accepted { carrier_id: some_id() });
}

#[tokio::test]
async fn a_confirmation_denied_by_business_is_definite_and_other_refusals_are_not() {
    let scene = two_steps().await;
    let charge = reserved(&scene);
    scene.server.says(
        CONFIRM,
        403,
        error(403, "CARRIER_BILLING.PAYMENT_DENIED", "Payment denied by business: pending debt"),
    );
    let finding = scene.carrier.confirm(scene.slot(), &charge, attempt(&charge)).await;
    assert_eq!((rejection(&finding).0, rejection(&finding).1), (Reason::CreditDebt, Retry::Never));
    for (status, code) in [
        (400, "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (404, "IDENTIFIER_NOT_FOUND"),
        (422, "MISSING_IDENTIFIER"),
    ] {
        scene.server.says(CONFIRM, status, error(status, code, "x"));
        let finding = scene.carrier.confirm(scene.slot(), &charge, attempt(&charge)).await;
        assert_eq!(finding, Finding::Doubtful { cause: Doubt::UnclearAnswer }, "{status} {code}");
    }
    scene.server.says(CONFIRM, 429, error(429, "TOO_MANY_REQUESTS", "Rate limit reached."));
    let finding = scene.carrier.confirm(scene.slot(), &charge, attempt(&charge)).await;
    assert_eq!(rejection(&finding).1, Retry::SameCarrier);
}

/// A payment that waits for a password.
async fn waiting_for_password(scene: &Scene) -> Charge {
    let info = r#""validationInfo":{"action":"validate","authorizationId":"Fn34o8g239v3wrb3t"},"paymentStatus""#;
    scene.server.says("/payments/prepare", 201, payment("pending_validation", &[(r#""paymentStatus""#, info)]));
    let charge = scene.charge();
    let evidence = scene.take(&charge).await;
    let validation = Some(Validation::Password { authorization_id: "Fn34o8g239v3wrb3t".into() });
    assert_eq!(evidence.finding, Finding::OtpNeeded { carrier_id: some_id(), validation });
    heard(&charge, evidence.finding)
}

#[tokio::test]
async fn a_password_is_passed_on_and_a_wrong_one_may_be_tried_again() {
    let scene = two_steps().await;
    let charge = waiting_for_password(&scene).await;
    scene.server.says(VALIDATE, 400, error(400, "CARRIER_BILLING.INVALID_CODE", "Invalid code."));
    let finding = scene.carrier.validate(scene.slot(), &charge, attempt(&charge), "000000").await;
    assert_eq!(finding, Finding::OtpNeeded { carrier_id: None, validation: None });
    scene.server.says(VALIDATE, 204, "");
    scene.server.says(RETRIEVE, 200, payment("reserved", &[]));
    let finding = scene.carrier.validate(scene.slot(), &charge, attempt(&charge), "352673").await;
    assert_eq!(finding, Finding::Reserved { carrier_id: some_id() });
    assert_eq!(scene.server.asked()[2].body, r#"{"authorizationId":"Fn34o8g239v3wrb3t","code":"352673"}"#);
}

#[tokio::test]
async fn no_more_passwords_end_the_attempt_and_trouble_with_one_says_nothing_of_the_money() {
    let scene = two_steps().await;
    let charge = waiting_for_password(&scene).await;
    let message = "the maximum number of attempts have been consumed for this validation.";
    scene.server.says(VALIDATE, 400, error(400, "CARRIER_BILLING.VALIDATION_FAILED", message));
    let finding = scene.carrier.validate(scene.slot(), &charge, attempt(&charge), "1").await;
    assert_eq!((rejection(&finding).0, rejection(&finding).1), (Reason::OtpExpired, Retry::Never));
    for (status, code) in [
        (400, "INVALID_ARGUMENT"),
        (400, "CARRIER_BILLING.INVALID_AUTHORIZATION_ID"),
        (404, "NOT_FOUND"),
        (500, "INTERNAL"),
    ] {
        scene.server.says(VALIDATE, status, error(status, code, "x"));
        let finding = scene.carrier.validate(scene.slot(), &charge, attempt(&charge), "1").await;
        assert_eq!(finding, Finding::Nothing, "{status} {code}");
    }
    scene.server.says(VALIDATE, 409, error(409, "ALREADY_EXISTS", "Payment already validated"));
    scene.server.says(RETRIEVE, 200, payment("denied", &[]));
    let finding = scene.carrier.validate(scene.slot(), &charge, attempt(&charge), "1").await;
    assert_eq!(rejection(&finding).1, Retry::Never);
    scene.server.says(VALIDATE, 429, error(429, "TOO_MANY_REQUESTS", "Rate limit reached."));
    let finding = scene.carrier.validate(scene.slot(), &charge, attempt(&charge), "1").await;
    assert_eq!(finding, Finding::Nothing);
}

#[tokio::test]
async fn another_process_validates_with_what_the_charge_knows() {
    let scene = two_steps().await;
    let charge = waiting_for_password(&scene).await;
    let after_restart = open(scene.carrier.profile());
    scene.server.says(VALIDATE, 204, "");
    scene.server.says(RETRIEVE, 200, payment("reserved", &[]));
    let slot = after_restart.try_reserve().unwrap();
    let finding = after_restart.validate(slot, &charge, attempt(&charge), "352673").await;
    assert_eq!(finding, Finding::Reserved { carrier_id: some_id() });
}

#[tokio::test]
async fn without_a_word_on_how_to_agree_no_password_is_passed_on() {
    let scene = two_steps().await;
    for info in ["", r#""validationInfo":{"action":"open","validationURL":"javascript:alert(1)"},"#] {
        let status = format!(r#"{info}"paymentStatus""#);
        scene.server.says("/payments/prepare", 201, payment("pending_validation", &[(r#""paymentStatus""#, &status)]));
        let charge = scene.charge();
        let charge = heard(&charge, scene.take(&charge).await.finding);
        assert_eq!(attempt(&charge).validation, None, "{info}");
        let finding = scene.carrier.validate(scene.slot(), &charge, attempt(&charge), "352673").await;
        assert_eq!(finding, Finding::Nothing);
    }
    assert_eq!(scene.server.lines().len(), 2);
}

#[tokio::test]
async fn how_to_agree_may_be_told_while_the_payment_is_still_being_prepared() {
    let scene = two_steps().await;
    let info = r#""validationInfo":{"action":"validate","authorizationId":"a-1"},"paymentStatus""#;
    scene.server.says("/payments/prepare", 201, payment("processing", &[(r#""paymentStatus""#, info)]));
    let charge = scene.charge();
    let charge = heard(&charge, scene.take(&charge).await.finding);
    assert_eq!(attempt(&charge).validation, Some(Validation::Password { authorization_id: "a-1".into() }));
}

#[tokio::test]
async fn a_page_to_agree_on_is_told_and_takes_no_password() {
    let scene = two_steps().await;
    let info = r#""validationInfo":{"action":"open","validationURL":"https://my-payment-service.com/validate/358y"},"paymentStatus""#;
    scene.server.says("/payments/prepare", 201, payment("pending_validation", &[(r#""paymentStatus""#, info)]));
    let charge = scene.charge();
    let charge = heard(&charge, scene.take(&charge).await.finding);
    let url = "https://my-payment-service.com/validate/358y".to_owned();
    assert_eq!(attempt(&charge).validation, Some(Validation::Page { url }));
    let finding = scene.carrier.validate(scene.slot(), &charge, attempt(&charge), "352673").await;
    assert_eq!(finding, Finding::Nothing);
}
