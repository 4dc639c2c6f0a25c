-- A message can be handed to the ticket service, which then asks for the charge that answers it.

-- The moment by which the charge must have come. NULL: the message was not handed over.
ALTER TABLE mos ADD COLUMN answer_by INTEGER;

-- Those that still wait; an entry leaves with the answer.
CREATE INDEX mos_handed_over ON mos (answer_by) WHERE answered_at IS NULL AND answer_by IS NOT NULL;
