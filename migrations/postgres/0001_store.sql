-- Moments are milliseconds since 1970 in UTC, amounts are minor units, references are UUIDv7. Every integer is a bigint.
-- What is looked for has a column; `body` is the whole thing as JSON, byte for byte as it was written: the chain of hashes covers it.
-- A text of others is bytes of UTF-8: PostgreSQL's own texts cannot hold the character of code 0.
-- Texts are compared by their bytes (COLLATE "C"), so that lists have one order wherever the database stands.
-- Every index costs in each commit: the first tables and their indexes are written with every charge. The guards are narrow, and
-- unique as a whole: they are never partitioned. What is written with its charge in one commit has no foreign key to it: PostgreSQL
-- would look for the charge once for every row.

CREATE TABLE charges (
    reference       uuid   NOT NULL PRIMARY KEY,
    version         bigint NOT NULL,
    state           text   COLLATE "C" NOT NULL,
    msisdn          bigint NOT NULL,
    vehicle         text   COLLATE "C" NOT NULL,
    received_at     bigint NOT NULL,
    ticket_deadline bigint NOT NULL,
    due_at          bigint,
    in_doubt_since  bigint,
    amount_minor    bigint NOT NULL,
    currency        text   COLLATE "C" NOT NULL,
    agency          bytea  NOT NULL,
    caller          bytea,
    body            text   COLLATE "C" NOT NULL
);
-- What a subscriber bought and spent.
CREATE INDEX charges_by_msisdn ON charges (msisdn, received_at);
-- What is still open, and when to look at it again. An entry leaves with the charge's outcome, so they stay small.
CREATE INDEX charges_open ON charges (due_at) WHERE state IN ('processing', 'awaiting_otp', 'in_doubt');
CREATE INDEX charges_in_doubt ON charges (in_doubt_since, amount_minor) WHERE state = 'in_doubt';
-- A refund under way has moments at which to look at it, long after the charge's outcome.
CREATE INDEX charges_refunding ON charges (due_at)
    WHERE due_at IS NOT NULL AND state NOT IN ('processing', 'awaiting_otp', 'in_doubt');

-- No row means that nothing was sent (M1).
CREATE TABLE attempts (
    reference      uuid   NOT NULL,
    number         bigint NOT NULL,
    carrier        text   COLLATE "C" NOT NULL,
    wire_reference text   COLLATE "C" NOT NULL,
    state          text   COLLATE "C" NOT NULL,
    opened_at      bigint NOT NULL,
    PRIMARY KEY (reference, number)
);

-- What happened. `seq` is the transaction and the place within it (see `places`): all that is lower than the oldest transaction under
-- way is settled, and nothing ever comes before it.
CREATE TABLE journal (
    seq       bigint NOT NULL PRIMARY KEY,
    reference uuid   NOT NULL,
    at        bigint NOT NULL,
    body      text   COLLATE "C" NOT NULL
);
CREATE INDEX journal_by_reference ON journal (reference);

-- Where places begin: transaction * 65536 + ordinal + base. It is raised when the books come from another database, whose places
-- went further.
CREATE TABLE places (
    id   bigint NOT NULL PRIMARY KEY CHECK (id = 1),
    base bigint NOT NULL CHECK (base >= 0)
);
INSERT INTO places (id, base) VALUES (1, 0);

-- The books. A debit is positive, a credit negative; the lines of one version of a charge add up to zero.
CREATE TABLE ledger (
    reference uuid   NOT NULL,
    version   bigint NOT NULL,
    account   text   COLLATE "C" NOT NULL,
    minor     bigint NOT NULL CHECK (minor <> 0),
    currency  text   COLLATE "C" NOT NULL,
    posted_at bigint NOT NULL,
    PRIMARY KEY (reference, version, account)
);

-- Guards: the second of two is refused.

-- The same request twice (M15). `repeat` marks a key that was answered by a charge made under another key (M13).
CREATE TABLE keys (
    caller      text    COLLATE "C" NOT NULL,
    key         bytea   NOT NULL,
    body_sha256 bytea   NOT NULL CHECK (length(body_sha256) = 32),
    reference   uuid    NOT NULL,
    repeat      boolean NOT NULL,
    used_at     bigint  NOT NULL,
    PRIMARY KEY (caller, key)
);

-- One holder per subscriber and vehicle (M12, M13).
CREATE TABLE slots (
    msisdn     bigint NOT NULL,
    vehicle    text   COLLATE "C" NOT NULL,
    reference  uuid   NOT NULL,
    passengers bigint NOT NULL,
    held_until bigint NOT NULL,
    PRIMARY KEY (msisdn, vehicle)
);

-- A piece of evidence is counted once (M9). What the carrier said stands beside it, word for word; the journal has only a digest, so
-- that the words can be erased where the law wants that: set both to NULL, and `ledger check` still finds the books in order.
CREATE TABLE evidence (
    reference uuid  NOT NULL,
    id        bytea NOT NULL,
    words     bytea,
    salt      bytea CHECK (salt IS NULL OR length(salt) = 16),
    PRIMARY KEY (reference, id)
);

-- Whom a carrier's id names: an attempt of a charge, a refund of it, or (neither) an outgoing message. Used again, it names the newest.
CREATE TABLE carrier_ids (
    carrier   text   COLLATE "C" NOT NULL,
    id        bytea  NOT NULL,
    reference uuid   NOT NULL,
    attempt   bigint,
    refund    uuid,
    PRIMARY KEY (carrier, id),
    CHECK (attempt IS NULL OR refund IS NULL)
);

-- The last message of its kind, which a second delivery of it is told from by time.
CREATE TABLE mo_fingerprints (
    fingerprint bytea  NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32),
    mo          uuid   NOT NULL,
    received_at bigint NOT NULL
);

CREATE TABLE tickets (
    reference  uuid   NOT NULL PRIMARY KEY,
    msisdn     bigint NOT NULL,
    vehicle    text   COLLATE "C" NOT NULL,
    short_code text   COLLATE "C" NOT NULL,
    cwt        bytea  NOT NULL,
    issued_at  bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint
);

-- Messages to passengers.
CREATE TABLE messages (
    id         uuid    NOT NULL PRIMARY KEY,
    reference  uuid,
    carrier    text    COLLATE "C" NOT NULL,
    msisdn     bigint  NOT NULL,
    text       bytea   NOT NULL,
    ticket     boolean NOT NULL,
    created_at bigint  NOT NULL,
    expires_at bigint  NOT NULL,
    state      text    COLLATE "C" NOT NULL,
    tries      bigint  NOT NULL,
    due_at     bigint  NOT NULL
);
CREATE INDEX messages_pending ON messages (carrier, ticket DESC, due_at) WHERE state = 'pending';
CREATE INDEX messages_by_reference ON messages (reference) WHERE reference IS NOT NULL;
CREATE INDEX messages_by_msisdn ON messages (msisdn, created_at);

-- Messages from passengers. A part of a long one is a row of its own; once all are there, or one is overdue, the parts are closed
-- (answered_at), and one row without a part number takes their place. With `answer_by` it was handed to the ticket service.
CREATE TABLE mos (
    id             uuid   NOT NULL PRIMARY KEY,
    carrier        text   COLLATE "C" NOT NULL,
    msisdn         bigint NOT NULL,
    destination    bytea  NOT NULL,
    text           bytea  NOT NULL,
    fingerprint    bytea  NOT NULL,
    received_at    bigint NOT NULL,
    same_since     bigint NOT NULL,
    kind           text   COLLATE "C" NOT NULL CHECK (kind IN ('prompt', 'late', 'incomplete', 'too_long')),
    kept_at        bigint NOT NULL,
    answered_at    bigint,
    answer_by      bigint,
    part_reference bigint,
    part_wide      boolean,
    part_total     bigint,
    part_number    bigint
);
CREATE INDEX mos_unanswered ON mos (received_at) WHERE answered_at IS NULL;
CREATE INDEX mos_handed_over ON mos (answer_by) WHERE answered_at IS NULL AND answer_by IS NOT NULL;
-- The parts of one number that are open (they sort last), or were closed after a moment.
CREATE INDEX mos_parts ON mos (msisdn, coalesce(answered_at, 9223372036854775807)) WHERE part_number IS NOT NULL;

-- The last moment at which messages from a carrier's passengers could be taken.
CREATE TABLE mo_watch (
    carrier  text   COLLATE "C" NOT NULL PRIMARY KEY,
    taken_at bigint NOT NULL
);

-- Receipts and callbacks that nobody owns yet.
CREATE TABLE parked (
    id          bytea  NOT NULL PRIMARY KEY,
    carrier     text   COLLATE "C" NOT NULL,
    carrier_id  bytea,
    msisdn      bigint,
    received_at bigint NOT NULL,
    body        text   COLLATE "C" NOT NULL,
    -- When it was reported as a break that nobody owns it.
    reported_at bigint,
    CHECK (carrier_id IS NOT NULL OR msisdn IS NOT NULL)
);
CREATE INDEX parked_by_carrier_id ON parked (carrier, carrier_id) WHERE carrier_id IS NOT NULL;
CREATE INDEX parked_by_msisdn ON parked (carrier, msisdn, received_at) WHERE msisdn IS NOT NULL;
CREATE INDEX parked_by_age ON parked (received_at, id);
CREATE INDEX parked_by_carrier ON parked (carrier, received_at);

-- Differences that somebody must look at. What no charge owns is named by its piece.
CREATE TABLE breaks (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference    uuid,
    piece        bytea,
    kind         text   COLLATE "C" NOT NULL,
    at           bigint NOT NULL,
    amount_minor bigint,
    currency     text   COLLATE "C",
    CHECK (reference IS NOT NULL OR piece IS NOT NULL)
);

-- A refund, as it stands in its charge's body. Only charges with refunds have rows here.
CREATE TABLE refunds (
    id        uuid   NOT NULL PRIMARY KEY,
    reference uuid   NOT NULL REFERENCES charges (reference),
    carrier   text   COLLATE "C" NOT NULL,
    state     text   COLLATE "C" NOT NULL,
    minor     bigint NOT NULL,
    currency  text   COLLATE "C" NOT NULL,
    opened_at bigint NOT NULL
);
-- The refund list: an entry leaves with the refund, so it stays small.
CREATE INDEX refunds_unsettled ON refunds (id, state, carrier, currency, opened_at, minor)
    WHERE state NOT IN ('done', 'paid_out');

-- The next ticket serial of a vehicle's day.
CREATE TABLE serials (
    vehicle text   COLLATE "C" NOT NULL,
    day     text   COLLATE "C" NOT NULL,
    next    bigint NOT NULL CHECK (next BETWEEN 0 AND 4294967295),
    PRIMARY KEY (vehicle, day)
);

CREATE TABLE languages (
    msisdn   bigint NOT NULL PRIMARY KEY,
    language text   COLLATE "C" NOT NULL
);

-- What sources said of subscribers: at most one fact of each name for a number at a carrier. Bounded by count and age.
CREATE TABLE facts (
    msisdn      bigint NOT NULL,
    carrier     text   COLLATE "C" NOT NULL,
    name        text   COLLATE "C" NOT NULL,
    value       text   COLLATE "C" NOT NULL,
    source      text   COLLATE "C" NOT NULL,
    observed_at bigint NOT NULL,
    PRIMARY KEY (msisdn, carrier, name)
);
CREATE INDEX facts_by_age ON facts (observed_at);

-- Which carrier a number belongs to, where the prefix does not say it: numbers move.
CREATE TABLE homes (
    msisdn      bigint NOT NULL PRIMARY KEY,
    carrier     text   COLLATE "C",
    refused_by  text   COLLATE "C",
    source      text   COLLATE "C" NOT NULL,
    observed_at bigint NOT NULL
);
CREATE INDEX homes_by_age ON homes (observed_at);

-- What agencies and callers sold, by the quarter of an hour in which the charge was asked for: taken, open, or in doubt.
CREATE TABLE sales (
    kind     text   COLLATE "C" NOT NULL CHECK (kind IN ('agency', 'caller')),
    name     text   COLLATE "C" NOT NULL,
    quarter  bigint NOT NULL,
    currency text   COLLATE "C" NOT NULL,
    minor    bigint NOT NULL,
    PRIMARY KEY (quarter, kind, name, currency)
);

-- What each commit appended to the journal and the ledger, as one block of a chain of hashes. docs/ledger.md says what is hashed.
CREATE TABLE chain (
    writer   bigint NOT NULL,
    number   bigint NOT NULL CHECK (number > 0),
    at       bigint NOT NULL,
    entries  bigint NOT NULL,
    lines    bigint NOT NULL,
    -- The last entry of the journal that the block covers; the first is the one after the block before, by this place.
    last_seq bigint NOT NULL UNIQUE,
    digest   bytea  NOT NULL CHECK (length(digest) = 32),
    hash     bytea  NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (writer, number)
);

-- One hash over everything that was in the books at the end of a day (UTC). A day without a commit has none of its own.
CREATE TABLE roots (
    day  text  COLLATE "C" NOT NULL PRIMARY KEY,
    root bytea NOT NULL CHECK (length(root) = 32)
);

-- Those who follow the events over webhooks. The events themselves are told by the journal. Every event up to `cursor` was taken, or has
-- a row among the failed deliveries.
CREATE TABLE webhooks (
    name          text   COLLATE "C" NOT NULL PRIMARY KEY,
    cursor        bigint NOT NULL CHECK (cursor >= 0),
    failing_since bigint,
    disabled      text   COLLATE "C" CHECK (disabled IN ('gone', 'gave_up')),
    disabled_at   bigint,
    replay_cursor bigint,
    replay_until  bigint,
    CHECK ((disabled IS NULL) = (disabled_at IS NULL)),
    CHECK ((replay_cursor IS NULL) = (replay_until IS NULL))
);

-- Events that one of them did not take. Without `due_at` it was given up.
CREATE TABLE webhook_failures (
    webhook    text   COLLATE "C" NOT NULL REFERENCES webhooks (name),
    entry      bigint NOT NULL,
    part       bigint NOT NULL CHECK (part BETWEEN 0 AND 255),
    event_type text   COLLATE "C" NOT NULL,
    reference  uuid   NOT NULL,
    failed_at  bigint NOT NULL,
    tries      bigint NOT NULL,
    due_at     bigint,
    why        bytea  NOT NULL,
    PRIMARY KEY (webhook, entry, part)
);
CREATE INDEX webhook_failures_due ON webhook_failures (webhook, due_at) WHERE due_at IS NOT NULL;

-- Who writes. Each commit is counted in its own transaction: after a connection is lost, the count tells whether the commit was made, also at
-- a server that has taken over.
CREATE TABLE writers (
    id      bigint NOT NULL PRIMARY KEY,
    -- Raised by each daemon that begins: an earlier one, whose connection was lost meanwhile, writes no more.
    epoch   bigint NOT NULL,
    commits bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO writers (id, epoch, commits) VALUES (1, 0, 0);

-- One row, written to find out whether the database still takes writes.
CREATE TABLE pulse (
    id   bigint NOT NULL PRIMARY KEY CHECK (id = 1),
    beat bigint NOT NULL
);
INSERT INTO pulse (id, beat) VALUES (1, 0);

-- The journal and the books are appended to and never changed. Statement triggers cost a commit nothing per row.
CREATE FUNCTION is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the % is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER journal_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON journal EXECUTE FUNCTION is_append_only();
CREATE TRIGGER ledger_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger EXECUTE FUNCTION is_append_only();
CREATE TRIGGER chain_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON chain EXECUTE FUNCTION is_append_only();
CREATE TRIGGER roots_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON roots EXECUTE FUNCTION is_append_only();
CREATE TRIGGER evidence_is_never_deleted BEFORE DELETE OR TRUNCATE ON evidence EXECUTE FUNCTION is_append_only();
-- Erased, but never replaced.
CREATE FUNCTION may_only_be_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'evidence can be erased, and not changed' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER evidence_is_never_changed BEFORE UPDATE ON evidence FOR EACH ROW
    WHEN (NEW.words IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.reference <> OLD.reference OR NEW.id <> OLD.id)
    EXECUTE FUNCTION may_only_be_erased();
