-- The books went to another store, or were about to: nobody serves them here any more. The row is written before the other store
-- commits, so at no moment both can be served, and is `done` once that is known to have committed. docs/postgres.md tells the way back.
CREATE TABLE moved (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    to_store TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    done     INTEGER NOT NULL CHECK (done IN (0, 1))
) STRICT;
