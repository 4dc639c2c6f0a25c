-- INSERT OR REPLACE takes the old row away without asking the triggers of DELETE. So whoever inserts what is there already is refused.
CREATE TRIGGER journal_is_never_replaced BEFORE INSERT ON journal WHEN EXISTS (SELECT 1 FROM journal WHERE seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER ledger_is_never_replaced BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE reference = NEW.reference AND version = NEW.version AND account = NEW.account)
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER evidence_is_never_replaced BEFORE INSERT ON evidence
WHEN EXISTS (SELECT 1 FROM evidence WHERE reference = NEW.reference AND id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
CREATE TRIGGER chain_is_never_replaced BEFORE INSERT ON chain
WHEN EXISTS (SELECT 1 FROM chain WHERE writer = NEW.writer AND number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
CREATE TRIGGER roots_are_never_replaced BEFORE INSERT ON roots WHEN EXISTS (SELECT 1 FROM roots WHERE day = NEW.day)
BEGIN SELECT RAISE(ABORT, 'the roots are append-only'); END;
