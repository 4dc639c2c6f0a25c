-- The journal and the ledger in parts, one for each month (UTC) of `at` and `posted_at`, so that a month can be retired without touching
-- the others. A part of its own, `…_other`, takes what falls into no month: an insert never fails for want of one.
--
-- A unique index of a table in parts must contain what it is divided by. What it guarded holds otherwise:
-- * A place of the journal is the transaction's number and the ordinal in it, and each transaction seals one block: `chain_begins_once` refuses
--   a second one that begins at the same place.
-- * The lines of one version of a charge are written by whoever moved the row of the charge, which is not in parts, to that version, in the
--   same transaction; a settlement with lines that leads to no new version is refused before it is written.

ALTER TABLE journal RENAME TO journal_before;
ALTER TABLE ledger RENAME TO ledger_before;

CREATE TABLE journal (
    seq       bigint NOT NULL,
    reference uuid   NOT NULL,
    at        bigint NOT NULL,
    body      text   COLLATE "C" NOT NULL
) PARTITION BY RANGE (at);

CREATE TABLE ledger (
    reference uuid   NOT NULL,
    version   bigint NOT NULL,
    account   text   COLLATE "C" NOT NULL,
    minor     bigint NOT NULL CHECK (minor <> 0),
    currency  text   COLLATE "C" NOT NULL,
    posted_at bigint NOT NULL
) PARTITION BY RANGE (posted_at);

-- When a month begins, in milliseconds since 1970.
CREATE FUNCTION month_begin(month date) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (extract(epoch FROM date_trunc('month', month::timestamp)) * 1000)::bigint
$$;

-- A statement that names a part passes by the triggers of the whole, so each part has its own.
CREATE FUNCTION guard_part(part text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I EXECUTE FUNCTION is_append_only()',
                   part || '_is_never_changed', part);
END
$$;

-- Makes the parts of a month, if they are not there, and says how many were made. What stood outside of all months, and belongs into this
-- one, is moved. The part is made aside and then attached: who appends to another month waits for nothing.
CREATE FUNCTION make_month(month date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    whole  text;
    moment text;
    part   text;
    first  bigint := month_begin(month);
    next   bigint := month_begin((date_trunc('month', month::timestamp) + interval '1 month')::date);
    strays boolean;
    made   integer := 0;
BEGIN
    -- What is written into a month that is gone stays outside of all months.
    IF to_regclass('retirements') IS NOT NULL THEN
        IF EXISTS (SELECT 1 FROM retirements WHERE retirements.month = to_char(make_month.month, 'YYYY-MM')) THEN
            RETURN 0;
        END IF;
    END IF;
    FOREACH whole IN ARRAY ARRAY['journal', 'ledger'] LOOP
        part := whole || '_' || to_char(month, 'YYYY_MM');
        moment := CASE whole WHEN 'journal' THEN 'at' ELSE 'posted_at' END;
        CONTINUE WHEN to_regclass(quote_ident(part)) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL, CHECK (%I >= %s AND %I < %s))',
                       part, whole, moment, first, moment, next);
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', whole || '_other');
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I WHERE %I >= %s AND %I < %s)', whole || '_other', moment, first, moment, next)
            INTO strays;
        IF strays THEN
            EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', whole || '_other');
            EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %I >= %s AND %I < %s RETURNING *) INSERT INTO %I SELECT * FROM moved',
                           whole || '_other', moment, first, moment, next, part);
            EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', whole || '_other');
        END IF;
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', whole, part, first, next);
        PERFORM guard_part(part);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

CREATE TABLE journal_other PARTITION OF journal DEFAULT;
CREATE TABLE ledger_other PARTITION OF ledger DEFAULT;
SELECT guard_part('journal_other'), guard_part('ledger_other');

-- What a clock that was wrong has dated far away stays outside of all months.
SELECT make_month(month::date)
FROM (SELECT date_trunc('month', to_timestamp(at / 1000) AT TIME ZONE 'UTC') AS month FROM journal_before
      UNION SELECT date_trunc('month', to_timestamp(posted_at / 1000) AT TIME ZONE 'UTC') FROM ledger_before) AS months
WHERE month BETWEEN '2020-01-01' AND now() AT TIME ZONE 'UTC' + interval '3 months'
ORDER BY month;

INSERT INTO journal (seq, reference, at, body) SELECT seq, reference, at, body FROM journal_before ORDER BY seq;
INSERT INTO ledger (reference, version, account, minor, currency, posted_at)
SELECT reference, version, account, minor, currency, posted_at FROM ledger_before ORDER BY reference, version, account;
DROP TABLE journal_before;
DROP TABLE ledger_before;

ALTER TABLE journal ADD PRIMARY KEY (seq, at);
CREATE INDEX journal_by_reference ON journal (reference);
ALTER TABLE ledger ADD PRIMARY KEY (reference, version, account, posted_at);
ANALYZE journal;
ANALYZE ledger;
CREATE UNIQUE INDEX chain_begins_once ON chain ((last_seq - entries));

CREATE TRIGGER journal_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON journal EXECUTE FUNCTION is_append_only();
CREATE TRIGGER ledger_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger EXECUTE FUNCTION is_append_only();

-- The months that are no longer here. The blocks of the chain stay for ever: with an archive, each can be compared with what it was made from.
CREATE TABLE retirements (
    month          text   COLLATE "C" NOT NULL PRIMARY KEY CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    retired_at     bigint NOT NULL,
    blocks         bigint NOT NULL,
    entries        bigint NOT NULL,
    lines          bigint NOT NULL,
    charges        bigint NOT NULL,
    -- Of the files as they are in the archive; NULL where nothing was archived.
    journal_sha256 bytea  CHECK (length(journal_sha256) = 32),
    ledger_sha256  bytea  CHECK (length(ledger_sha256) = 32),
    CHECK ((journal_sha256 IS NULL) = (ledger_sha256 IS NULL))
);

-- Blocks whose entries are no longer here, as runs of numbers of one writer. A block goes whole, or stays whole.
CREATE TABLE retired_blocks (
    month  text   COLLATE "C" NOT NULL REFERENCES retirements (month),
    writer bigint NOT NULL,
    first  bigint NOT NULL CHECK (first > 0),
    last   bigint NOT NULL CHECK (last >= first),
    PRIMARY KEY (writer, first)
);

-- What the lines of a month added up to, on each account: carried forward, so that sums stay what they were.
CREATE TABLE carried (
    month    text   COLLATE "C" NOT NULL REFERENCES retirements (month),
    account  text   COLLATE "C" NOT NULL,
    currency text   COLLATE "C" NOT NULL,
    minor    bigint NOT NULL,
    lines    bigint NOT NULL CHECK (lines > 0),
    PRIMARY KEY (month, account, currency)
);

-- What became of each charge in that month: the versions that its journal led through, where the last of them led to, and what its lines
-- added up to. So each charge can be checked without its journal. In parts as the months are, each made with its month.
CREATE TABLE retired_charges (
    month      text     COLLATE "C" NOT NULL,
    reference  uuid     NOT NULL,
    versions   bigint[] NOT NULL,
    -- As in the entry: JSON.
    state      text     COLLATE "C" NOT NULL,
    accounts   text[]   COLLATE "C" NOT NULL,
    currencies text[]   COLLATE "C" NOT NULL,
    minors     bigint[] NOT NULL,
    PRIMARY KEY (reference, month),
    CHECK (cardinality(accounts) = cardinality(minors) AND cardinality(accounts) = cardinality(currencies))
) PARTITION BY LIST (month);

CREATE TRIGGER retirements_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON retirements EXECUTE FUNCTION is_append_only();
CREATE TRIGGER retired_blocks_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON retired_blocks EXECUTE FUNCTION is_append_only();
CREATE TRIGGER carried_is_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON carried EXECUTE FUNCTION is_append_only();
CREATE TRIGGER retired_charges_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON retired_charges EXECUTE FUNCTION is_append_only();

-- Everything that was ever booked, as far as sums go.
CREATE VIEW booked AS
SELECT account, currency, minor FROM ledger UNION ALL SELECT account, currency, minor FROM carried;
