-- A refund under way has moments at which to look at it, long after the charge's outcome.
CREATE INDEX charges_refunding ON charges (due_at)
    WHERE due_at IS NOT NULL AND state NOT IN ('processing', 'awaiting_otp', 'in_doubt');

-- A callback may name nothing but the carrier's own id.
CREATE TABLE parked_anew (
    id          TEXT    NOT NULL PRIMARY KEY,
    carrier     TEXT    NOT NULL,
    carrier_id  TEXT,
    msisdn      INTEGER,
    received_at INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    CHECK (carrier_id IS NOT NULL OR msisdn IS NOT NULL)
) STRICT, WITHOUT ROWID;
INSERT INTO parked_anew SELECT id, carrier, carrier_id, msisdn, received_at, body FROM parked;
DROP TABLE parked;
ALTER TABLE parked_anew RENAME TO parked;
CREATE INDEX parked_by_carrier_id ON parked (carrier, carrier_id) WHERE carrier_id IS NOT NULL;
CREATE INDEX parked_by_msisdn ON parked (carrier, msisdn, received_at) WHERE msisdn IS NOT NULL;
