"""The audit: the carriers' own ledgers, our store, and what the outside world was told. It shares no code with the daemon."""

import uuid
from datetime import datetime

from .promises import TAKEN, plain
from .tickets import AMOUNT, CTI, PRIVATE, VEHICLE, BadTicket, from_text
from .world import MO_REPEAT_SECONDS, REPEAT_WINDOW_SECONDS

# The clocks of simulator, script and daemon are one; what is rounded differs by this.
ROUNDING_MS = 50
SHOWN_MAX = 10


class Findings:
    """Everything that is not so, each with the reference that proves it."""

    def __init__(self):
        self.double_charged, self.without, self.lost, self.problems = [], [], [], []
        self.charges = self.in_doubt = self.refunds_in_doubt = 0

    def is_clean(self):
        return not (self.double_charged or self.without or self.lost or self.problems)

    def counts(self):
        return {
            "charges": self.charges,
            "double_charged": len(self.double_charged),
            "charged_without_ticket_or_refund": len(self.without),
            "lost": len(self.lost),
            "in_doubt": self.in_doubt,
            "other_problems": len(self.problems),
        }

    def lines(self):
        named = {
            "charged twice": self.double_charged,
            "charged without a ticket or a refund": self.without,
            "lost": self.lost,
            "wrong": self.problems,
        }
        for name, items in named.items():
            for item in items[:SHOWN_MAX]:
                yield f"{name}: {item}"
            if len(items) > SHOWN_MAX:
                yield f"{name}: {len(items) - SHOWN_MAX} more"


class Taken:
    """What one carrier took under one reference, by its own ledger."""

    def __init__(self):
        # (carrier, its id of the payment): minor units taken, less what went back of it.
        self.payments = {}
        self.gross = self.back = 0

    @property
    def net(self):
        return self.gross - self.back

    def paid_for_good(self):
        """Payments of which not everything went back."""
        return [net for net in self.payments.values() if net > 0]


def carriers_view(carrier_books):
    """What the carriers took, by our reference, and what they gave back, by the refund's."""
    taken, owners, refunds = {}, {}, []
    for carrier, ledger in carrier_books.items():
        for number, entry in enumerate(ledger["entries"]):
            reference = plain(entry["reference"]) if entry["reference"] else f"no reference: {carrier} {entry['message_id']}"
            # A message that was submitted twice has two entries, and perhaps one id.
            payment = (carrier, entry["message_id"], number)
            of_it = taken.setdefault(reference, Taken())
            of_it.payments[payment] = entry["amount"]["minor"]
            of_it.gross += entry["amount"]["minor"]
            owners.setdefault((carrier, entry["message_id"]), (reference, payment))
        for refund in ledger["refunds"]:
            minor = refund["amount"]["minor"]
            refunds.append((carrier, refund["request_reference"], minor))
            reference, payment = owners.get((carrier, refund["payment_id"]), (None, None))
            if reference is not None:
                taken[reference].payments[payment] -= minor
                taken[reference].back += minor
    return taken, refunds


def audit(books, carrier_books, promises, verifier):
    findings = Findings()
    findings.charges = len(books.charges)
    findings.in_doubt = sum(charge["state"] == "in_doubt" for charge in books.charges.values())
    all_refunds = [refund for charge in books.charges.values() for refund in charge["body"]["refunds"]]
    findings.refunds_in_doubt = sum(refund["state"] == "in_doubt" for refund in all_refunds)
    taken, refunds = carriers_view(carrier_books)
    charged_twice(findings, books, taken, promises)
    with_ticket_or_refund(findings, books, taken)
    amounts(findings, books, taken, refunds)
    ledger(findings, books, taken)
    tickets(findings, books, verifier)
    answers(findings, books, promises)
    messages(findings, books, promises)
    findings.lost += events_missing(books, promises)
    findings.problems += promises.contradictions
    at_rest(findings, books)
    return findings


# --- Never twice --------------------------------------------------------------------------------------------------------------


def charged_twice(findings, books, taken, promises):
    for reference, of_it in taken.items():
        if len(of_it.paid_for_good()) > 1:
            findings.double_charged.append(f"{reference}: the carriers have {list(of_it.payments.items())}")
    # M15: one key never buys twice.
    for key, promise in promises.keys.items():
        bought = [r for r in promise["references"] if r in taken and taken[r].paid_for_good()]
        if len(bought) > 1:
            findings.double_charged.append(f"key {key} was answered with {bought}, and the carriers took money for each: M15")
    # M13: the same number in the same vehicle does not pay again within the window.
    by_place = {}
    for reference, charge in books.charges.items():
        if charge["state"] == "charged" and charge["body"]["order"].get("extends") is None:
            by_place.setdefault((charge["msisdn"], charge["vehicle"]), []).append(charge)
    for charges in by_place.values():
        for first in charges:
            paid_at = moment(first["body"]["charged_at"])
            for second in charges:
                within = paid_at <= second["received_at"] < paid_at + REPEAT_WINDOW_SECONDS * 1000
                if first is not second and within:
                    findings.double_charged.append(
                        f"{second['reference']} was bought while {first['reference']} was good: M13"
                    )


# --- Never without a ticket or a refund ---------------------------------------------------------------------------------------


def with_ticket_or_refund(findings, books, taken):
    for reference, of_it in taken.items():
        if of_it.net <= 0:
            continue
        charge = books.charges.get(reference)
        if charge is None:
            findings.without.append(f"{reference}: {of_it.net} taken, and we know nothing of it")
            continue
        state = charge["state"]
        if state in ("declined", "rejected", "processing", "awaiting_otp") and owed(charge) < of_it.net:
            findings.without.append(f"{reference}: {of_it.net} taken, and it is {state} with {owed(charge)} owed")
        if state in ("refunding", "refund_owed", "refunded") and given(charge) < charge["amount_minor"]:
            findings.without.append(f"{reference}: {state}, and only {given(charge)} of {charge['amount_minor']} goes back")
    for reference, charge in books.charges.items():
        ticket = books.tickets.get(reference)
        good = ticket is not None and ticket["revoked_at"] is None
        if charge["state"] == "charged" and not good:
            findings.without.append(f"{reference}: charged, and its ticket is {'revoked' if ticket else 'not there'}")
        if charge["state"] != "charged" and good:
            findings.problems.append(f"{reference}: a good ticket, and it is {charge['state']}")


def owed(charge):
    """What the passenger gets back although the charge ended as not taken (M8)."""
    return sum(refund["amount"]["minor"] for refund in charge["body"]["refunds"] if refund["attempt"] is not None)


def given(charge):
    """What goes back of what the charge took."""
    return sum(refund["amount"]["minor"] for refund in charge["body"]["refunds"] if refund["attempt"] is None)


# --- Sums ---------------------------------------------------------------------------------------------------------------------


def amounts(findings, books, taken, refunds):
    """Each charge and each refund, in both directions."""
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
    by_name = {}
    for carrier, name, minor in refunds:
        by_name.setdefault(uuid_in(name), []).append((carrier, minor))
    for reference, charge in books.charges.items():
        for refund in charge["body"]["refunds"]:
            back = [minor for _, minor in by_name.pop(plain(refund["reference"]), [])]
            minor, state = refund["amount"]["minor"], refund["state"]
            right = {"done": [[minor]], "owed": [[]], "paid_out": [[]]}.get(state, [[], [minor]])
            if back not in right:
                findings.problems.append(f"{reference}: the refund {refund['reference']} of {minor} is {state}, and {back} went back")
    for name, entries in by_name.items():
        findings.problems.append(f"a carrier gave back what we know nothing of: {name} {entries}")


def uuid_in(text):
    """The UUID that a name begins with, in the form of references."""
    bare = text if "-" in text[:13] else text[:32]
    try:
        return uuid.UUID(bare[:36] if "-" in bare else bare).hex
    except ValueError:
        return text


def ledger(findings, books, taken):
    sums, receivable = {}, {}
    for line in books.ledger:
        key = (line["reference"], line["version"])
        sums[key] = sums.get(key, 0) + line["minor"]
        if line["account"].startswith("carrier_receivable:"):
            receivable[line["reference"]] = receivable.get(line["reference"], 0) + line["minor"]
        if line["reference"] not in books.charges:
            findings.problems.append(f"the ledger has lines of {line['reference']}, which is no charge")
    for (reference, version), total in sums.items():
        if total != 0:
            findings.problems.append(f"{reference}: the lines of version {version} add up to {total}")
    for reference, charge in books.charges.items():
        posted = receivable.get(reference, 0)
        refunds = charge["body"]["refunds"]
        done = sum(refund["amount"]["minor"] for refund in refunds if refund["state"] == "done")
        stands = charge["amount_minor"] if charge["state"] in TAKEN or charge["state"] == "in_doubt" else 0
        if posted != stands + owed(charge) - done:
            findings.problems.append(f"{reference}: the carrier owes {posted} by the ledger, and it is {charge['state']}")
    entries = {row["reference"]: row["entries"] for row in books.journal}
    for reference, charge in books.charges.items():
        if entries.get(reference, 0) != charge["version"]:
            findings.problems.append(
                f"{reference}: version {charge['version']} after {entries.get(reference, 0)} entries of the journal"
            )


# --- Tickets ------------------------------------------------------------------------------------------------------------------


def tickets(findings, books, verifier):
    codes = {}
    for reference, ticket in books.tickets.items():
        charge = books.charges.get(reference)
        try:
            claims = verifier.claims(ticket["cwt"])
        except BadTicket as error:
            findings.problems.append(f"{reference}: its ticket: {error}")
            continue
        ours = claims[PRIVATE]
        if claims[CTI].hex() != reference or charge is None or ours[VEHICLE] != charge["vehicle"]:
            findings.problems.append(f"{reference}: its ticket says {claims}")
        elif charge["amount_minor"] != minor_of(ours[AMOUNT]):
            findings.problems.append(f"{reference}: its ticket says {ours[AMOUNT]}, and it cost {charge['amount_minor']}")
        day = ticket["issued_at"] // 86_400_000
        codes.setdefault((ticket["vehicle"], ticket["short_code"], day), []).append(reference)
    for (vehicle, code, _), references in codes.items():
        if len(references) > 1:
            findings.problems.append(f"the short code {code} of vehicle {vehicle} was given to {references}")


def minor_of(amount):
    """An amount in a ticket: a number, or a number with its currency."""
    return amount[0] if isinstance(amount, list) else amount


# --- Nothing that was promised is lost ----------------------------------------------------------------------------------------


def answers(findings, books, promises):
    by_key = {}
    for (_, key), row in books.keys.items():
        by_key.setdefault(key, set()).add(row["reference"])
    for key, promise in promises.keys.items():
        told = promise["told"]
        if told["reference"] not in books.charges:
            findings.lost.append(f"key {key} was answered with {told['reference']}, which the store does not know")
        elif told["reference"] not in by_key.get(key, ()):
            findings.lost.append(f"key {key} was answered with {told['reference']}, and stands for {by_key.get(key)}")
    for reference in promises.references - books.charges.keys():
        findings.lost.append(f"an answer named {reference}, which the store does not know")
    for reference, text in promises.tickets.items():
        ticket = books.tickets.get(reference)
        if ticket is None or ticket["cwt"] != from_text(text):
            findings.lost.append(f"{reference}: a ticket was handed out, and the store has {ticket and 'another'}")
    for reference, refund, minor in promises.refunds:
        kept = books.charges[reference]["body"]["refunds"] if reference in books.charges else []
        if not any(plain(r["reference"]) == refund and r["amount"]["minor"] == minor for r in kept):
            findings.lost.append(f"{reference}: the refund {refund} was promised, and the store does not know it")


def messages(findings, books, promises):
    kept = {}
    for mo in books.mos:
        # A long one whose last part comes too late is answered as incomplete: it has the text of the parts that were there.
        text = mo["text"] if mo["kind"] != "incomplete" else None
        if mo["part_number"] is None:
            kept.setdefault((mo["carrier"], f"+{mo['msisdn']}", text), []).append(mo)
    for carrier, msisdn, text, sent_at, acknowledged_at in promises.messages:
        # The same text again is the same message, if it comes soon enough.
        begins, ends = sent_at - MO_REPEAT_SECONDS * 1000 - ROUNDING_MS, acknowledged_at + ROUNDING_MS
        same = kept.get((carrier, msisdn, text), []) + kept.get((carrier, msisdn, None), [])
        if not any(mo["kept_at"] >= begins and mo["received_at"] <= ends for mo in same):
            findings.lost.append(f"{text[:20]!r} from {msisdn} was acknowledged by {acknowledged_at}, and was not kept")
    for mo in books.mos:
        if mo["answered_at"] is None:
            findings.lost.append(f"{mo['text'][:20]!r} from +{mo['msisdn']} ({mo['id']}) was never answered")
    by_reference = {}
    for message in books.messages:
        by_reference.setdefault(message["reference"], []).append(message)
    for reference, charge in books.charges.items():
        by_sms = "sms" in str(charge["body"]["order"]["channel"]).lower()
        has_text = any(message["ticket"] for message in by_reference.get(reference, ()))
        if by_sms and charge["state"] == "charged" and not has_text:
            findings.without.append(f"{reference}: paid by SMS, and its ticket was never to be sent")


def events_missing(books, promises):
    """What became of a charge, and its ticket, is told to who follows the events: at least once, whatever was killed."""
    told = {(kind, reference) for kind, reference, _ in promises.events.values()}
    missing = []
    for reference, charge in books.charges.items():
        if (f"charge.{charge['state']}", reference) not in told:
            missing.append(f"{reference}: no event told that it is {charge['state']}")
        if reference in books.tickets and ("ticket.issued", reference) not in told:
            missing.append(f"{reference}: no event told of its ticket")
    return missing


def at_rest(findings, books):
    for reference, charge in books.charges.items():
        if charge["state"] in ("processing", "awaiting_otp"):
            findings.problems.append(f"{reference}: still {charge['state']}")
    waiting = sum(message["state"] in ("pending", "sending") for message in books.messages)
    if waiting:
        findings.problems.append(f"{waiting} texts to passengers still wait")


def moment(text):
    """Milliseconds since 1970."""
    form = "%Y-%m-%dT%H:%M:%S.%f%z" if "." in text else "%Y-%m-%dT%H:%M:%S%z"
    return round(datetime.strptime(text, form).timestamp() * 1000)
