-- Several daemons serve one database.

-- One row for each, from its start until everything of it is in other hands. The number is a fencing token: none is given twice, and a later
-- daemon has a higher one. Leases run on the database's time.
CREATE TABLE instances (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text        COLLATE "C" NOT NULL,
    -- Where the others hand it work.
    address     text        COLLATE "C",
    -- The kinds of things that it divides with others that are configured alike.
    divides     text[]      COLLATE "C" NOT NULL,
    -- Signs of life.
    beats       bigint      NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL,
    -- 'fenced': the others have taken it for dead. 'left': it went by itself.
    standing    text        COLLATE "C" NOT NULL DEFAULT 'live' CHECK (standing IN ('live', 'fenced', 'left'))
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX instances_live ON instances (name) WHERE standing = 'live';

-- What only one of them may have at a time: a bind, a part of a rate, a webhook. A lease is good as long as its holder's.
CREATE TABLE leases (
    name     text   COLLATE "C" NOT NULL PRIMARY KEY,
    instance bigint NOT NULL
);

-- The row of a writer, and with it a chain of hashes, belongs to one daemon at a time. Every commit looks whether its daemon is fenced: then it
-- opens no attempt.
ALTER TABLE writers ADD COLUMN instance bigint;
ALTER TABLE writers ADD COLUMN fenced boolean NOT NULL DEFAULT false;
-- Whether others write, too: then a commit takes turns with them over what it judges.
ALTER TABLE writers ADD COLUMN shared boolean NOT NULL DEFAULT false;

-- The end of a writer's chain on a day, kept when the writer goes on in another day. What a writer that has stood still since has is the end of
-- its chain.
CREATE TABLE day_ends (
    day    text   COLLATE "C" NOT NULL,
    writer bigint NOT NULL,
    number bigint NOT NULL,
    at     bigint NOT NULL,
    hash   bytea  NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (writer, day)
);
CREATE TRIGGER day_ends_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON day_ends EXECUTE FUNCTION is_append_only();

-- Who writes on this connection: the session says it once. 0 is nobody.
CREATE FUNCTION this_instance() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('smsbusd.instance', true), ''), '0')::bigint
$$;
CREATE FUNCTION this_writer() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('smsbusd.writer', true), ''), '1')::bigint
$$;

-- Whose it is to look after them: of a charge, who opened it or its last attempt; of a message, who kept it. What is nobody's (0) is
-- taken over by the next daemon that looks.
ALTER TABLE charges  ADD COLUMN instance bigint NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN instance bigint NOT NULL DEFAULT 0;
ALTER TABLE mos      ADD COLUMN instance bigint NOT NULL DEFAULT 0;
ALTER TABLE charges  ALTER COLUMN instance SET DEFAULT this_instance();
ALTER TABLE messages ALTER COLUMN instance SET DEFAULT this_instance();
ALTER TABLE mos      ALTER COLUMN instance SET DEFAULT this_instance();

-- Each writer adds up for itself: two that shared a row would wait for each other's commits.
ALTER TABLE sales ADD COLUMN writer bigint NOT NULL DEFAULT 1;
ALTER TABLE sales ALTER COLUMN writer SET DEFAULT this_writer();
ALTER TABLE sales DROP CONSTRAINT sales_pkey;
ALTER TABLE sales ADD PRIMARY KEY (quarter, kind, name, currency, writer);
