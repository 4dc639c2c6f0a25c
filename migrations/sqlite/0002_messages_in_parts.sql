-- Long messages from passengers come in parts. A part is kept as a row of its own, since a carrier may send the next one only
-- after it is acknowledged; once all are there, or one is overdue, they are closed (answered_at), and one row without a part
-- number takes their place.

-- How the message may be taken: prompt, late, incomplete, too_long. Only a prompt one can buy.
ALTER TABLE mos ADD COLUMN kind TEXT NOT NULL DEFAULT 'prompt' CHECK (kind IN ('prompt', 'late', 'incomplete', 'too_long'));
-- When the delivery came that was kept; NULL in rows of before, and then received_at. `received_at` is when it first came.
ALTER TABLE mos ADD COLUMN kept_at INTEGER;
ALTER TABLE mos ADD COLUMN part_reference INTEGER;
ALTER TABLE mos ADD COLUMN part_wide INTEGER CHECK (part_wide IN (0, 1));
ALTER TABLE mos ADD COLUMN part_total INTEGER;
ALTER TABLE mos ADD COLUMN part_number INTEGER;

-- The parts of one number that are open (they sort last), or were closed after a moment.
CREATE INDEX mos_parts ON mos (msisdn, coalesce(answered_at, 9223372036854775807)) WHERE part_number IS NOT NULL;

-- The last moment at which messages from a carrier's passengers could be taken.
CREATE TABLE mo_watch (
    carrier  TEXT    NOT NULL PRIMARY KEY,
    taken_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
