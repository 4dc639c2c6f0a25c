-- Those who follow the events over webhooks. The events themselves are told by the journal.

-- How far each has come: every event up to `cursor` (a `seq` of the journal) was taken, or has a row among the failed deliveries.
CREATE TABLE webhooks (
    name          TEXT    NOT NULL PRIMARY KEY,
    cursor        INTEGER NOT NULL CHECK (cursor >= 0),
    failing_since INTEGER,
    disabled      TEXT CHECK (disabled IN ('gone', 'gave_up')),
    disabled_at   INTEGER,
    replay_cursor INTEGER,
    replay_until  INTEGER,
    CHECK ((disabled IS NULL) = (disabled_at IS NULL)),
    CHECK ((replay_cursor IS NULL) = (replay_until IS NULL))
) STRICT, WITHOUT ROWID;

-- Events that one of them did not take. Without `due_at` it was given up.
CREATE TABLE webhook_failures (
    webhook    TEXT    NOT NULL REFERENCES webhooks (name),
    entry      INTEGER NOT NULL,
    part       INTEGER NOT NULL CHECK (part BETWEEN 0 AND 255),
    event_type TEXT    NOT NULL,
    reference  BLOB    NOT NULL CHECK (length(reference) = 16),
    failed_at  INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    due_at     INTEGER,
    why        TEXT    NOT NULL,
    PRIMARY KEY (webhook, entry, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_failures_due ON webhook_failures (webhook, due_at) WHERE due_at IS NOT NULL;
