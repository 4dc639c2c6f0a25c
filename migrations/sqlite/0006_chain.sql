-- What each commit appended to the journal and the ledger, as one block of a chain of hashes. docs/ledger.md says what is hashed.
CREATE TABLE chain (
    writer   INTEGER NOT NULL,
    number   INTEGER NOT NULL CHECK (number > 0),
    at       INTEGER NOT NULL,
    entries  INTEGER NOT NULL,
    lines    INTEGER NOT NULL,
    -- The last entry of the journal that the block covers; the first is the one after the block before.
    last_seq INTEGER NOT NULL,
    digest   BLOB    NOT NULL CHECK (length(digest) = 32),
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (writer, number)
) STRICT, WITHOUT ROWID;

-- One hash over everything that was in the books at the end of a day (UTC). A day without a commit has none of its own.
CREATE TABLE roots (
    day  TEXT NOT NULL PRIMARY KEY,
    root BLOB NOT NULL CHECK (length(root) = 32)
) STRICT, WITHOUT ROWID;

-- What was written before there was a chain gets its blocks at the first start; then the row goes.
CREATE TABLE chain_wanted (id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1)) STRICT;
INSERT INTO chain_wanted (id) SELECT 1 WHERE EXISTS (SELECT 1 FROM journal);

CREATE TRIGGER chain_is_never_changed BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
CREATE TRIGGER chain_is_never_deleted BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
CREATE TRIGGER roots_are_never_changed BEFORE UPDATE ON roots BEGIN SELECT RAISE(ABORT, 'the roots are append-only'); END;
CREATE TRIGGER roots_are_never_deleted BEFORE DELETE ON roots BEGIN SELECT RAISE(ABORT, 'the roots are append-only'); END;
