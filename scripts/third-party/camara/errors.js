'use strict';
// What the gateway is to make of every error that the files name, by the name of the error's example there. An error that is not
// here fails the run: then the file has one that nobody has thought of.

const rejected = (reason) => ({ state: 'rejected', reason });
/** Not processed: the same is asked for again, and goes through. */
const AGAIN = { again: true };
/** The carrier was asked before, and it was done: it is asked what became of it. */
const ASKED_BEFORE = { done: true };
/** It may have been done: it is asked what became of it; as it was not, it is asked for again. */
const IN_DOUBT = { again: true };
/** The password could not be passed on: another may be entered. */
const STILL_AWAITED = { awaited: true };

const TAKING = {
  GENERIC_400_INVALID_ARGUMENT: rejected('carrier_refused'),
  GENERIC_400_WRONG_CURRENCY: rejected('carrier_refused'),
  GENERIC_400_PAYMENT_ID_REQUIRED: rejected('carrier_refused'),
  GENERIC_400_DUPLICATE_CLIENT_CORRELATOR: ASKED_BEFORE,
  GENERIC_400_INVALID_CREDENTIAL: rejected('carrier_refused'),
  GENERIC_400_INVALID_TOKEN: rejected('carrier_refused'),
  GENERIC_400_INVALID_SINK: rejected('carrier_refused'),
  GENERIC_401_UNAUTHENTICATED: AGAIN,
  GENERIC_403_PERMISSION_DENIED: rejected('carrier_account'),
  GENERIC_403_PAYMENT_DENIED: rejected('barred'),
  GENERIC_404_IDENTIFIER_NOT_FOUND: rejected('not_our_subscriber'),
  GENERIC_409_ALREADY_EXISTS: ASKED_BEFORE,
  GENERIC_422_SERVICE_NOT_APPLICABLE: rejected('barred'),
  GENERIC_422_MISSING_IDENTIFIER: rejected('carrier_refused'),
  GENERIC_422_UNNECESSARY_IDENTIFIER: rejected('carrier_refused'),
  GENERIC_422_UNAUTHORIZED_AMOUNT: rejected('carrier_refused'),
  GENERIC_422_USER_MOBILE_ACCUMULATED_THRESHOLD_AMOUNT_OVERPASSED: rejected('monthly_limit'),
  GENERIC_429_TOO_MANY_REQUESTS: AGAIN,
};

const SECOND_STEP = {
  GENERIC_400_INVALID_ARGUMENT: IN_DOUBT,
  GENERIC_400_PAYMENT_ID_REQUIRED: IN_DOUBT,
  GENERIC_401_UNAUTHENTICATED: AGAIN,
  GENERIC_403_PERMISSION_DENIED: IN_DOUBT,
  GENERIC_404_NOT_FOUND: IN_DOUBT,
  GENERIC_404_IDENTIFIER_NOT_FOUND: IN_DOUBT,
  GENERIC_409_ALREADY_EXISTS: ASKED_BEFORE,
  GENERIC_422_SERVICE_NOT_APPLICABLE: IN_DOUBT,
  GENERIC_422_MISSING_IDENTIFIER: IN_DOUBT,
  GENERIC_422_UNNECESSARY_IDENTIFIER: IN_DOUBT,
  GENERIC_429_TOO_MANY_REQUESTS: AGAIN,
};

const EXPECTED = {
  createPayment: TAKING,
  preparePayment: TAKING,
  confirmPayment: {
    ...SECOND_STEP,
    GENERIC_403_PAYMENT_DENIED: rejected('barred'),
    GENERIC_409_ALREADY_CONFIRMED: ASKED_BEFORE,
    GENERIC_409_ALREADY_CANCELLED: rejected('carrier_unavailable'),
  },
  cancelPayment: {
    ...SECOND_STEP,
    // The money was taken, and nobody waits for the ticket any more: it goes back.
    GENERIC_409_ALREADY_CONFIRMED: { done: true, cancelled: ['succeeded'], state: 'refunded' },
    GENERIC_409_ALREADY_CANCELLED: ASKED_BEFORE,
  },
  validatePayment: {
    GENERIC_400_INVALID_ARGUMENT: STILL_AWAITED,
    GENERIC_400_AUTHORIZATION_ID_REQUIRED: STILL_AWAITED,
    GENERIC_400_CODE_REQUIRED: STILL_AWAITED,
    GENERIC_400_INVALID_AUTHORIZATION_ID: STILL_AWAITED,
    GENERIC_400_INVALID_CODE: STILL_AWAITED,
    GENERIC_400_VALIDATION_FAILED: rejected('otp_expired'),
    GENERIC_401_UNAUTHENTICATED: AGAIN,
    GENERIC_403_PERMISSION_DENIED: STILL_AWAITED,
    GENERIC_404_NOT_FOUND: STILL_AWAITED,
    GENERIC_409_ALREADY_EXISTS: ASKED_BEFORE,
    GENERIC_429_TOO_MANY_REQUESTS: STILL_AWAITED,
  },
  createRefund: {
    GENERIC_400_INVALID_ARGUMENT: { state: 'refund_owed' },
    GENERIC_400_WRONG_CURRENCY: { state: 'refund_owed' },
    GENERIC_400_DUPLICATE_CLIENT_CORRELATOR: ASKED_BEFORE,
    GENERIC_400_INVALID_CREDENTIAL: { state: 'refund_owed' },
    GENERIC_400_INVALID_TOKEN: { state: 'refund_owed' },
    GENERIC_400_INVALID_SINK: { state: 'refund_owed' },
    GENERIC_401_UNAUTHENTICATED: AGAIN,
    GENERIC_403_PERMISSION_DENIED: { state: 'refund_owed' },
    GENERIC_403_REFUND_DENIED: { state: 'refund_owed' },
    GENERIC_403_PAYMENT_NOT_ELIGIBLE_FOR_REFUND: { state: 'refund_owed' },
    GENERIC_404_NOT_FOUND: { state: 'refund_owed' },
    GENERIC_422_UNAUTHORIZED_REFUND_AMOUNT: { state: 'refund_owed' },
    GENERIC_422_GENERIC_422_USER_MOBILE_ACCUMULATED_THRESHOLD_REFUND_AMOUNT_OVERPASSED: { state: 'refund_owed' },
    GENERIC_422_INVALID_PAYMENT_STATUS: { state: 'refund_owed' },
    GENERIC_422_TAXES_MANAGEMENT_MISMATCH: { state: 'refund_owed' },
    GENERIC_422_REFUND_DETAILS_MISMATCH: { state: 'refund_owed' },
    GENERIC_409_ALREADY_EXISTS: ASKED_BEFORE,
    GENERIC_429_TOO_MANY_REQUESTS: AGAIN,
  },
};

/** Every error of an operation, with what it is to mean and how Prism is asked for it. */
function errorsOf(spec, operation) {
  return spec.errors(operation).map(({ status, example }) => {
    const expected = EXPECTED[operation][example];
    if (!expected) throw new Error(`nobody has thought of ${operation}: ${status} ${example}`);
    return { example, expected, prefer: `code=${status}, example=${example}` };
  });
}

module.exports = { errorsOf };
