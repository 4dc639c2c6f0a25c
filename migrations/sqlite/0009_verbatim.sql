-- What the carrier said, word for word. The journal has only a digest of it, so that it can be erased where the law wants that: set
-- both to NULL, and `ledger check` still finds the books in order.
ALTER TABLE evidence ADD COLUMN words TEXT;
ALTER TABLE evidence ADD COLUMN salt BLOB CHECK (salt IS NULL OR length(salt) = 16);

-- Erased, but never replaced, and never taken back.
CREATE TRIGGER evidence_is_never_changed BEFORE UPDATE ON evidence
WHEN NEW.words IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.reference <> OLD.reference OR NEW.id <> OLD.id
BEGIN SELECT RAISE(ABORT, 'evidence can be erased, and not changed'); END;
CREATE TRIGGER evidence_is_never_deleted BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
