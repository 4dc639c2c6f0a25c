-- What is known of restores: the books were set back to an older moment, and go on from there as another generation. The first has no row.
CREATE TABLE generations (
    number          bigint NOT NULL PRIMARY KEY CHECK (number > 1),
    began_at        bigint NOT NULL,
    -- The moment of the last commit that was in the books; NULL where there was none.
    restored_to     bigint,
    -- Until when commits may have been made that are lost.
    lost_until      bigint NOT NULL,
    by_whom         bytea  NOT NULL,
    because         bytea  NOT NULL,
    -- The last place of the journal that is left, and the first that this generation gives: those between them may have been given out, and
    -- what stood there is lost.
    books_end       bigint NOT NULL,
    places_from     bigint NOT NULL CHECK (places_from > books_end),
    -- Its chains of hashes are those of writers with higher numbers.
    writers_after   bigint NOT NULL CHECK (writers_after > 0),
    -- Until this day (with its end), ticket serials begin further on: see `serials`.
    serials_through text   COLLATE "C" NOT NULL,
    -- When everything that was under way at that moment was declared in doubt. Nothing is served before.
    done_at         bigint
);
CREATE FUNCTION generation_may_only_be_done() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.done_at IS NOT NULL OR NEW.done_at IS NULL
       OR (to_jsonb(NEW) - 'done_at') IS DISTINCT FROM (to_jsonb(OLD) - 'done_at') THEN
        RAISE EXCEPTION 'generations are append-only' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER generations_are_never_changed BEFORE UPDATE ON generations FOR EACH ROW EXECUTE FUNCTION generation_may_only_be_done();
CREATE TRIGGER generations_are_never_deleted BEFORE DELETE OR TRUNCATE ON generations EXECUTE FUNCTION is_append_only();

-- Carriers whose payments of the lost time were read to the end.
CREATE TABLE rereads (
    generation bigint NOT NULL,
    carrier    text   COLLATE "C" NOT NULL,
    done_at    bigint NOT NULL,
    -- Payments of ours that were found, and those of them that the books do not know.
    payments   bigint NOT NULL,
    unknown    bigint NOT NULL,
    PRIMARY KEY (generation, carrier)
);

-- Daemons that note outside of the database how far they have seen it: where such a note is missing, the machine is another one.
CREATE TABLE watermarks (
    name  text   COLLATE "C" NOT NULL PRIMARY KEY,
    since bigint NOT NULL
);
