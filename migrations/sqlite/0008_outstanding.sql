-- What is outstanding: refunds that have not reached the passenger, and receipts that nobody owns.

-- A refund, as it stands in its charge's body. Only charges with refunds have rows here.
CREATE TABLE refunds (
    id        BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    reference BLOB    NOT NULL REFERENCES charges (reference),
    carrier   TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    minor     INTEGER NOT NULL,
    currency  TEXT    NOT NULL,
    opened_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO refunds (id, reference, carrier, state, minor, currency, opened_at)
SELECT unhex(refund.value->>'reference', '-'), charges.reference,
       coalesce(
           (SELECT carrier FROM attempts
            WHERE attempts.reference = charges.reference AND attempts.number = refund.value->>'attempt'),
           (SELECT carrier FROM attempts WHERE attempts.reference = charges.reference ORDER BY number DESC LIMIT 1)),
       refund.value->>'state', refund.value->>'$.amount.minor', charges.currency, refund.value->>'opened_at'
FROM charges, json_each(charges.body, '$.refunds') AS refund;
-- The refund list: an entry leaves with the refund, so it stays small.
CREATE INDEX refunds_unsettled ON refunds (id, state, carrier, currency, opened_at, minor)
    WHERE state NOT IN ('done', 'paid_out');

-- When it was reported as a break that nobody owns it.
ALTER TABLE parked ADD COLUMN reported_at INTEGER;
CREATE INDEX parked_by_age ON parked (received_at, id);

-- A break can be about what no charge owns: then it names the piece.
CREATE TABLE breaks_anew (
    id           INTEGER PRIMARY KEY,
    reference    BLOB,
    piece        TEXT,
    kind         TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    amount_minor INTEGER,
    currency     TEXT,
    CHECK (reference IS NOT NULL OR piece IS NOT NULL)
) STRICT;
INSERT INTO breaks_anew (id, reference, kind, at, amount_minor, currency)
SELECT id, reference, kind, at, amount_minor, currency FROM breaks;
DROP TABLE breaks;
ALTER TABLE breaks_anew RENAME TO breaks;
