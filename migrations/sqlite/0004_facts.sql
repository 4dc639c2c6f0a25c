-- What sources said of subscribers: at most one fact of each name for a number at a carrier. Written behind the charges, read when
-- a source would have to be asked otherwise. Bounded by count and age.
CREATE TABLE facts (
    msisdn      INTEGER NOT NULL,
    carrier     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    value       TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    observed_at INTEGER NOT NULL,
    PRIMARY KEY (msisdn, carrier, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX facts_by_age ON facts (observed_at);

-- Which carrier a number belongs to, where the prefix does not say it: numbers move.
CREATE TABLE homes (
    msisdn      INTEGER NOT NULL PRIMARY KEY,
    carrier     TEXT,
    refused_by  TEXT,
    source      TEXT    NOT NULL,
    observed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX homes_by_age ON homes (observed_at);

-- What agencies and callers sold, by the quarter of an hour in which the charge was asked for: taken, open, or in doubt.
CREATE TABLE sales (
    kind     TEXT    NOT NULL CHECK (kind IN ('agency', 'caller')),
    name     TEXT    NOT NULL,
    quarter  INTEGER NOT NULL,
    currency TEXT    NOT NULL,
    minor    INTEGER NOT NULL,
    PRIMARY KEY (quarter, kind, name, currency)
) STRICT, WITHOUT ROWID;

-- Today's sales before this table was there: a day in any time zone lies within the last two.
INSERT INTO sales (kind, name, quarter, currency, minor)
SELECT sold.kind, sold.name, sold.received_at / 900000 * 900000, sold.currency, sum(sold.amount_minor)
FROM (
    SELECT 'agency' AS kind, body->>'$.order.agency' AS name, received_at, currency, amount_minor, state FROM charges
    UNION ALL
    SELECT 'caller', body->>'$.order.channel.caller', received_at, currency, amount_minor, state FROM charges
) AS sold
WHERE sold.name IS NOT NULL AND sold.state NOT IN ('declined', 'rejected')
  AND sold.received_at >= (unixepoch() - 172800) * 1000
GROUP BY 1, 2, 3, 4;
