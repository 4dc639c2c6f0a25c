-- Where a refund is a message of its own, the carrier's id for that message names it: no attempt then, and the charge as reference.
ALTER TABLE carrier_ids ADD COLUMN refund BLOB CHECK (refund IS NULL OR (length(refund) = 16 AND attempt IS NULL));
