"""What is in doubt or due at the end, and whether anybody could still do something about it but a person."""

from .carriers import all_carriers

OPEN_REFUNDS = ("requested", "waiting", "accepted", "in_doubt")
KINDS = {carrier.name: carrier.kind for carrier in all_carriers()}
# The daemon looks at what is due every second.
LATE_MS = 15_000


def can_be_asked_about(charge, is_undelivered):
    """Whether its carrier has an answer to give. Over HTTP it is asked by our own number; over SMPP by its own, where any message told
    it. `charge` is a charge's body; `is_undelivered` is whether a receipt said that the message did not reach the phone. Where the
    money is taken at submission, that says nothing of the money, nor does anything that is asked after it."""
    attempt = charge["attempts"][-1]
    kind = KINDS[attempt["carrier"]]
    if kind == "submission" and is_undelivered:
        return False
    return kind not in ("delivery", "submission") or attempt["carrier_id"] is not None


def doubts(findings, books):
    """In doubt stays only what nobody can be asked about: that is listed, as it waits for a person or a statement."""
    for reference, charge in books.charges.items():
        if charge["state"] == "in_doubt":
            findings.in_doubt += 1
            attempt = charge["body"]["attempts"][-1]
            where = f"{reference}: in doubt at {attempt['carrier']}, {attempt['state'].get('cause', 'accepted')}"
            if can_be_asked_about(charge["body"], charge["is_undelivered"]):
                findings.problems.append(f"{where}, and it was not asked until it told")
            else:
                findings.pending.append(where)
        for refund in charge["body"]["refunds"]:
            if refund["state"] in OPEN_REFUNDS:
                findings.refunds_in_doubt += refund["state"] == "in_doubt"
                findings.pending.append(f"{reference}: the refund {refund['reference']} is {refund['state']}, and is asked about ever more rarely")


def overdue(findings, books, promises):
    """Nothing that is due is left lying, however long its pauses are."""
    for reference, charge in books.charges.items():
        due_at = charge["due_at"]
        if due_at is not None and promises.ended_at is not None and due_at < promises.ended_at - LATE_MS:
            late = (promises.ended_at - due_at) // 1000
            findings.problems.append(f"{reference}: {charge['state']}, due since {late} s, and nobody looks at it")
