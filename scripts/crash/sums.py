"""What each charge must stand at on each account: counted anew from the carriers' own ledgers, the charges, and the contracts of this
world. Whole numbers of tiyn, and no line of the daemon's arithmetic."""

from .carriers import FEES, VAT, VAT_AGENCIES
from .doubt import OPEN_REFUNDS
from .promises import TAKEN, plain

WHOLE = 10_000


def ledger(findings, books, taken):
    adds_up(findings, books)
    stands = {}
    for line in books.ledger:
        of_charge = stands.setdefault(line["reference"], {})
        of_charge[line["account"]] = of_charge.get(line["account"], 0) + line["minor"]
    for reference, charge in books.charges.items():
        payments = taken[reference].payments if reference in taken else []
        compare(findings, reference, stands.get(reference, {}), position(charge, payments))
    entries = {row["reference"]: row["entries"] for row in books.journal}
    for reference, charge in books.charges.items():
        if entries.get(reference, 0) != charge["version"]:
            findings.problems.append(
                f"{reference}: version {charge['version']} after {entries.get(reference, 0)} entries of the journal"
            )


def adds_up(findings, books):
    sums = {}
    for line in books.ledger:
        key = (line["reference"], line["version"])
        sums[key] = sums.get(key, 0) + line["minor"]
        if line["reference"] not in books.charges:
            findings.problems.append(f"the ledger has lines of {line['reference']}, which is no charge")
    for (reference, version), total in sums.items():
        if total != 0:
            findings.problems.append(f"{reference}: the lines of version {version} add up to {total}")


def compare(findings, reference, stands, must):
    for account in sorted(stands.keys() | must.keys()):
        if stands.get(account, 0) != must.get(account, 0):
            findings.problems.append(f"{reference}: {account} stands at {stands.get(account, 0)}, and must be at {must.get(account, 0)}")


def position(charge, payments):
    sums = {}
    if charge["state"] == "in_doubt":
        # Receivable and in suspense, whole: no fee is known yet, whatever the carrier did.
        add(sums, f"carrier_receivable:{charge['body']['attempts'][-1]['carrier']}", charge["amount_minor"])
        add(sums, "in_doubt_suspense", -charge["amount_minor"])
        payments = []
    # What the carrier has given back, and has not told yet: it is asked.
    refunds = charge["body"]["refunds"]
    untold = {plain(refund["reference"]) for refund in refunds if refund["state"] in OPEN_REFUNDS}
    for payment in payments:
        add_payment(sums, payment, sum(minor for name, minor in payment.refunds if name not in untold))
    if charge["state"] in TAKEN:
        add_sale(sums, charge)
    for refund in charge["body"]["refunds"]:
        if refund["state"] != "done":
            paid_out = refund["state"] == "paid_out"
            add(sums, "refunds_paid_out" if paid_out else "refunds_owed", -refund["amount"]["minor"])
    return sums


def add_payment(sums, payment, back):
    """What a carrier holds for us of a payment and what it keeps, by its own ledger."""
    kept, tax = fee(payment, back)
    add(sums, f"carrier_receivable:{payment.carrier}", payment.taken - back - kept - tax)
    add(sums, f"carrier_fee:{payment.carrier}", kept)
    add(sums, f"vat_input:{payment.carrier}", tax)


def add_sale(sums, charge):
    """What the agency earned, without what goes back of it."""
    order, amount = charge["body"]["order"], charge["amount_minor"]
    agency, day = order["agency"], order["received_at"][:10]
    back = sum(refund["amount"]["minor"] for refund in charge["body"]["refunds"] if refund["attempt"] is None)
    tax = tax_in(amount, agency, day)
    tax_left = tax_in(amount - back, agency, day)
    add(sums, f"fare_revenue:{agency}", tax - amount)
    add(sums, f"vat_output:{agency}", -tax_left)
    add(sums, f"refunds:{agency}", back - (tax - tax_left))


def fee(payment, back):
    """A carrier's fee and the tax on it, never more than what they are counted from."""
    contract = in_force(FEES.get(payment.carrier, ()), payment.day)
    if contract is None:
        return 0, 0
    base = payment.taken - back if contract.returned else payment.taken
    if base <= 0:
        return 0, 0
    kept = min(base, share(base, contract.hundredths, WHOLE) + contract.fixed_minor)
    tax = share(kept, in_force(VAT, payment.day), WHOLE) if contract.vat else 0
    return kept, min(tax, base - kept)


def tax_in(amount, agency, day):
    """The tax that a fare includes."""
    rate = in_force(VAT, day) if agency in VAT_AGENCIES else 0
    return share(amount, rate, WHOLE + rate)


def in_force(dated, day):
    """The newest that has begun by then."""
    begun = [(begins, what) for begins, what in dated if begins <= day]
    return max(begun, key=lambda one: one[0])[1] if begun else None


def share(amount, part, whole):
    """`amount * part / whole` to the nearest; a half goes up. Nothing here is below zero."""
    return (2 * amount * part + whole) // (2 * whole)


def add(sums, account, minor):
    sums[account] = sums.get(account, 0) + minor
