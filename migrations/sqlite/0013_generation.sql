-- What is known of restores: the books were set back to an older moment, and go on from there as another generation. The first has no row.
CREATE TABLE generations (
    number          INTEGER NOT NULL PRIMARY KEY CHECK (number > 1),
    began_at        INTEGER NOT NULL,
    -- The moment of the last commit that was in the books; NULL where there was none.
    restored_to     INTEGER,
    -- Until when commits may have been made that are lost.
    lost_until      INTEGER NOT NULL,
    by_whom         TEXT    NOT NULL,
    because         TEXT    NOT NULL,
    -- The last place of the journal that is left, and the first that this generation gives: those between them may have been given out, and
    -- what stood there is lost.
    books_end       INTEGER NOT NULL,
    places_from     INTEGER NOT NULL CHECK (places_from > books_end),
    -- Its chains of hashes are those of writers with higher numbers.
    writers_after   INTEGER NOT NULL CHECK (writers_after > 0),
    -- Until this day (with its end), ticket serials begin further on: see `serials`.
    serials_through TEXT    NOT NULL,
    -- When everything that was under way at that moment was declared in doubt. Nothing is served before.
    done_at         INTEGER
) STRICT;
CREATE TRIGGER generations_are_never_changed BEFORE UPDATE ON generations
WHEN OLD.done_at IS NOT NULL OR NEW.done_at IS NULL OR NEW.number <> OLD.number OR NEW.began_at <> OLD.began_at
  OR NEW.restored_to IS NOT OLD.restored_to OR NEW.lost_until <> OLD.lost_until OR NEW.by_whom <> OLD.by_whom
  OR NEW.because <> OLD.because OR NEW.books_end <> OLD.books_end OR NEW.places_from <> OLD.places_from
  OR NEW.writers_after <> OLD.writers_after OR NEW.serials_through <> OLD.serials_through
BEGIN SELECT RAISE(ABORT, 'generations are append-only'); END;
CREATE TRIGGER generations_are_never_deleted BEFORE DELETE ON generations BEGIN SELECT RAISE(ABORT, 'generations are append-only'); END;
CREATE TRIGGER generations_are_never_replaced BEFORE INSERT ON generations
WHEN EXISTS (SELECT 1 FROM generations WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'generations are append-only'); END;

-- Carriers whose payments of the lost time were read to the end.
CREATE TABLE rereads (
    generation INTEGER NOT NULL,
    carrier    TEXT    NOT NULL,
    done_at    INTEGER NOT NULL,
    -- Payments of ours that were found, and those of them that the books do not know.
    payments   INTEGER NOT NULL,
    unknown    INTEGER NOT NULL,
    PRIMARY KEY (generation, carrier)
) STRICT, WITHOUT ROWID;

-- Daemons that note outside of the database how far they have seen it: where such a note is missing, the machine is another one.
CREATE TABLE watermarks (
    name  TEXT    NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
