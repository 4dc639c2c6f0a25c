"""What the carriers took and gave back, by their own ledgers, against our charges and refunds, in both directions."""

import uuid

from .promises import TAKEN, plain


class Payment:
    """One line of a carrier's ledger."""

    def __init__(self, carrier, entry):
        self.carrier, self.msisdn = carrier, entry["msisdn"]
        self.id, self.wire_reference, self.day = entry["message_id"], entry.get("request_reference"), entry["at"][:10]
        self.taken, self.back = entry["amount"]["minor"], 0
        # What went back of it, each with the name of the refund.
        self.refunds = []
        self.reference = plain(entry["reference"]) if entry["reference"] else f"no reference: {carrier} {self.id}"


class Taken:
    """What the carriers took under one reference."""

    def __init__(self):
        self.payments = []

    @property
    def gross(self):
        return sum(payment.taken for payment in self.payments)

    @property
    def net(self):
        return sum(payment.taken - payment.back for payment in self.payments)

    def paid_for_good(self):
        """Payments of which not everything went back."""
        return [payment for payment in self.payments if payment.taken > payment.back]


def by_reference(carrier_books):
    """What the carriers took, by our reference; and what they gave back: (carrier, its line, its payment)."""
    taken, refunds = {}, []
    for carrier, ledger in carrier_books.items():
        # A message that was submitted twice has two payments, and perhaps one id: what went back went back of the first.
        by_id = {}
        for entry in ledger["entries"]:
            payment = Payment(carrier, entry)
            taken.setdefault(payment.reference, Taken()).payments.append(payment)
            by_id.setdefault(payment.id, payment)
        for entry in ledger["refunds"]:
            payment = by_id.get(entry["payment_id"])
            if payment is not None:
                payment.back += entry["amount"]["minor"]
                payment.refunds.append((uuid_in(entry["request_reference"]), entry["amount"]["minor"]))
            refunds.append((carrier, entry, payment))
    return taken, refunds


def charged_twice(findings, taken, promises):
    for reference, of_it in taken.items():
        if len(of_it.paid_for_good()) > 1:
            payments = [(payment.carrier, payment.id, payment.taken, payment.back) for payment in of_it.payments]
            findings.double_charged.append(f"{reference}: the carriers have {payments}")
    # M15: one key never buys twice.
    for key, promise in promises.keys.items():
        bought = [r for r in promise["references"] if r in taken and taken[r].paid_for_good()]
        if len(bought) > 1:
            findings.double_charged.append(f"key {key} was answered with {bought}, and the carriers took money for each: M15")


def amounts(findings, books, taken):
    """Each charge: what was taken is what we know of."""
    for reference, charge in books.charges.items():
        gross = taken[reference].gross if reference in taken else 0
        believed = (charge["amount_minor"] if charge["state"] in TAKEN else 0) + owed(charge)
        if charge["state"] == "in_doubt":
            if gross not in (0, charge["amount_minor"]):
                findings.problems.append(f"{reference}: {gross} taken of {charge['amount_minor']} in doubt")
        elif gross != believed:
            findings.problems.append(f"{reference}: {charge['state']}, the carrier took {gross}, we believe {believed}")
        if given(charge) > charge["amount_minor"]:
            findings.problems.append(f"{reference}: {given(charge)} goes back of {charge['amount_minor']}: M14")


def refunds_of_ours(findings, books, refunds):
    """Each refund, and each line of what was given back: by its name, by its payment, and by whose it is."""
    ours, back = {}, {}
    for charge in books.charges.values():
        ours.update((plain(refund["reference"]), (charge, refund)) for refund in charge["body"]["refunds"])
    for carrier, entry, payment in refunds:
        name = uuid_in(entry["request_reference"])
        back.setdefault(name, []).append(entry["amount"]["minor"])
        wrong = wrong_refund(carrier, entry, payment, *ours[name]) if name in ours else "we know nothing of it"
        if wrong is not None:
            findings.problems.append(f"{carrier} gave back {entry['request_reference']}: {wrong}")
    for name, (charge, refund) in ours.items():
        minor, state = refund["amount"]["minor"], refund["state"]
        right = {"done": [[minor]], "owed": [[]], "paid_out": [[]]}.get(state, [[], [minor]])
        if back.get(name, []) not in right:
            gone = back.get(name, [])
            findings.problems.append(f"{charge['reference']}: the refund {name} of {minor} is {state}, and {gone} went back")


def wrong_refund(carrier, entry, payment, charge, refund):
    """What is wrong with a line of what was given back, in words; None if it is as it must be."""
    reference, number = charge["reference"], f"+{charge['msisdn']}"
    attempts = {attempt["number"]: attempt for attempt in charge["body"]["attempts"]}
    attempt = attempts[refund["attempt"] or max(attempts)]
    if payment is None:
        return f"it has no payment {entry['payment_id']}"
    if entry["msisdn"] != number:
        return f"to {entry['msisdn']}, and it is {number}'s"
    if attempt["carrier"] != carrier:
        return f"{attempt['carrier']} was to give it back"
    # A charged message tells the charge alone.
    if payment.reference != reference or payment.wire_reference not in (None, attempt["wire_reference"]):
        return f"of another payment, {payment.id} for {payment.reference}, and it is of {attempt['wire_reference']}"
    return None


def owed(charge):
    """What the passenger gets back although the charge ended as not taken (M8)."""
    return sum(refund["amount"]["minor"] for refund in charge["body"]["refunds"] if refund["attempt"] is not None)


def given(charge):
    """What goes back of what the charge took."""
    return sum(refund["amount"]["minor"] for refund in charge["body"]["refunds"] if refund["attempt"] is None)


def uuid_in(text):
    """The UUID that a name begins with, in the form of references."""
    bare = text[:36] if "-" in text[:13] else text[:32]
    try:
        return uuid.UUID(bare).hex
    except ValueError:
        return text
