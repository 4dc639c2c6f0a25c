-- Moments are milliseconds since 1970 in UTC, amounts are minor units, references are the 16 bytes of a UUIDv7.
-- What is looked for has a column; `body` is the whole thing as JSON.
-- Every index costs in each commit: the first three tables and their indexes are written with every charge.

CREATE TABLE charges (
    id              INTEGER PRIMARY KEY,
    reference       BLOB    NOT NULL UNIQUE CHECK (length(reference) = 16),
    version         INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    msisdn          INTEGER NOT NULL,
    vehicle         TEXT    NOT NULL,
    received_at     INTEGER NOT NULL,
    ticket_deadline INTEGER NOT NULL,
    due_at          INTEGER,
    in_doubt_since  INTEGER,
    amount_minor    INTEGER NOT NULL,
    currency        TEXT    NOT NULL,
    body            TEXT    NOT NULL
) STRICT;

-- What a subscriber bought and spent.
CREATE INDEX charges_by_msisdn ON charges (msisdn, received_at);
-- What is still open, and when to look at it again. An entry leaves with the charge's outcome, so it stays small.
CREATE INDEX charges_open ON charges (due_at) WHERE state IN ('processing', 'awaiting_otp', 'in_doubt');
CREATE INDEX charges_in_doubt ON charges (in_doubt_since, amount_minor) WHERE state = 'in_doubt';

-- No row means that nothing was sent (M1).
CREATE TABLE attempts (
    reference      BLOB    NOT NULL REFERENCES charges (reference),
    number         INTEGER NOT NULL,
    carrier        TEXT    NOT NULL,
    wire_reference TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    opened_at      INTEGER NOT NULL,
    PRIMARY KEY (reference, number)
) STRICT, WITHOUT ROWID;

-- What happened, in the order in which it was committed. `seq` never goes back.
CREATE TABLE journal (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    reference BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    body      TEXT    NOT NULL
) STRICT;
CREATE INDEX journal_by_reference ON journal (reference);

-- The books. A debit is positive, a credit negative; the lines of one version of a charge add up to zero.
CREATE TABLE ledger (
    reference BLOB    NOT NULL REFERENCES charges (reference),
    version   INTEGER NOT NULL,
    account   TEXT    NOT NULL,
    minor     INTEGER NOT NULL CHECK (minor <> 0),
    currency  TEXT    NOT NULL,
    posted_at INTEGER NOT NULL,
    PRIMARY KEY (reference, version, account)
) STRICT, WITHOUT ROWID;

-- Guards: the second of two is refused.

-- The same request twice (M15). `repeat` marks a key that was answered by a charge made under another key (M13).
CREATE TABLE keys (
    caller      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    body_sha256 BLOB    NOT NULL CHECK (length(body_sha256) = 32),
    reference   BLOB    NOT NULL REFERENCES charges (reference),
    repeat      INTEGER NOT NULL CHECK (repeat IN (0, 1)),
    used_at     INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;

-- One holder per subscriber and vehicle (M12, M13).
CREATE TABLE slots (
    msisdn     INTEGER NOT NULL,
    vehicle    TEXT    NOT NULL,
    reference  BLOB    NOT NULL,
    passengers INTEGER NOT NULL,
    held_until INTEGER NOT NULL,
    PRIMARY KEY (msisdn, vehicle)
) STRICT, WITHOUT ROWID;

-- A piece of evidence is counted once (M9).
CREATE TABLE evidence (
    reference BLOB NOT NULL,
    id        TEXT NOT NULL,
    PRIMARY KEY (reference, id)
) STRICT, WITHOUT ROWID;

-- Whom a carrier's id names: an attempt of a charge, or (no attempt) an outgoing message. Used again, it names the newest.
CREATE TABLE carrier_ids (
    carrier   TEXT NOT NULL,
    id        TEXT NOT NULL,
    reference BLOB NOT NULL,
    attempt   INTEGER,
    PRIMARY KEY (carrier, id)
) STRICT, WITHOUT ROWID;

-- The last message of its kind, which a second delivery of it is told from by time.
CREATE TABLE mo_fingerprints (
    fingerprint BLOB    NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
    mo          BLOB    NOT NULL,
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
    reference  BLOB    NOT NULL PRIMARY KEY REFERENCES charges (reference),
    msisdn     INTEGER NOT NULL,
    vehicle    TEXT    NOT NULL,
    short_code TEXT    NOT NULL,
    cwt        BLOB    NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

-- Messages to passengers.
CREATE TABLE messages (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    reference  BLOB,
    carrier    TEXT    NOT NULL,
    msisdn     INTEGER NOT NULL,
    text       TEXT    NOT NULL,
    ticket     INTEGER NOT NULL CHECK (ticket IN (0, 1)),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    tries      INTEGER NOT NULL,
    due_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_pending ON messages (carrier, ticket DESC, due_at) WHERE state = 'pending';
CREATE INDEX messages_by_reference ON messages (reference) WHERE reference IS NOT NULL;
CREATE INDEX messages_by_msisdn ON messages (msisdn, created_at);

-- Messages from passengers.
CREATE TABLE mos (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    carrier     TEXT    NOT NULL,
    msisdn      INTEGER NOT NULL,
    destination TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    received_at INTEGER NOT NULL,
    same_since  INTEGER NOT NULL,
    answered_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX mos_unanswered ON mos (received_at) WHERE answered_at IS NULL;

-- Receipts that nobody owns yet.
CREATE TABLE parked (
    id          TEXT    NOT NULL PRIMARY KEY,
    carrier     TEXT    NOT NULL,
    carrier_id  TEXT,
    msisdn      INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_by_carrier_id ON parked (carrier, carrier_id) WHERE carrier_id IS NOT NULL;
CREATE INDEX parked_by_msisdn ON parked (carrier, msisdn, received_at);

-- Differences that somebody must look at.
CREATE TABLE breaks (
    id           INTEGER PRIMARY KEY,
    reference    BLOB    NOT NULL,
    kind         TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency     TEXT    NOT NULL
) STRICT;

-- The next ticket serial of a vehicle's day.
CREATE TABLE serials (
    vehicle TEXT    NOT NULL,
    day     TEXT    NOT NULL,
    next    INTEGER NOT NULL CHECK (next BETWEEN 0 AND 4294967295),
    PRIMARY KEY (vehicle, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE languages (
    msisdn   INTEGER NOT NULL PRIMARY KEY,
    language TEXT    NOT NULL
) STRICT;

-- One row, written to find out whether the disk still takes writes.
CREATE TABLE pulse (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    beat INTEGER NOT NULL
) STRICT;
INSERT INTO pulse (id, beat) VALUES (1, 0);

-- The journal and the books are appended to and never changed.
CREATE TRIGGER journal_is_never_changed BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_is_never_deleted BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER ledger_is_never_changed BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_is_never_deleted BEFORE DELETE ON ledger BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
