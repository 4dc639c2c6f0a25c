"""The audit: the carriers' own ledgers, our store, and what the outside world was told. It shares no code with the daemon."""

from datetime import datetime

from .doubt import doubts, overdue
from .logs import complaints
from .places import places
from .promises import MAY_BECOME, plain
from .sums import ledger
from .taken import amounts, by_reference, charged_twice, given, owed, refunds_of_ours
from .tickets import AMOUNT, CTI, PASSENGERS, PRIVATE, VEHICLE, BadTicket, from_text
from .world import MO_REPEAT_SECONDS

# The clocks of simulator, script and daemon are one; what is rounded differs by this.
ROUNDING_MS = 50
# An event comes after the commit that it tells of.
EVENT_UNDER_WAY_MS = 2_000
SHOWN_MAX = 10
# What a request to the carrier stands at is not told.
PUBLIC_STATES = {"requested": "processing", "waiting": "processing", "accepted": "processing"}


class Findings:
    """Everything that is not so, each with the reference that proves it."""

    def __init__(self):
        self.double_charged, self.without, self.lost, self.problems = [], [], [], []
        # Nothing is wrong with these, but somebody has to settle them.
        self.pending = []
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
            "refunds_in_doubt": self.refunds_in_doubt,
            "other_problems": len(self.problems),
        }

    def lines(self):
        named = {
            "charged twice": self.double_charged,
            "charged without a ticket or a refund": self.without,
            "lost": self.lost,
            "wrong": self.problems,
            "pending, for a person or a statement": self.pending,
        }
        for name, items in named.items():
            for item in items[:SHOWN_MAX]:
                yield f"{name}: {item}"
            if len(items) > SHOWN_MAX:
                yield f"{name}: {len(items) - SHOWN_MAX} more"


def audit(books, carrier_books, promises, verifier, log_lines):
    findings = Findings()
    findings.charges = len(books.charges)
    taken, refunds = by_reference(carrier_books)
    charged_twice(findings, taken, promises)
    places(findings, books, promises)
    with_ticket_or_refund(findings, books, taken)
    amounts(findings, books, taken)
    refunds_of_ours(findings, books, refunds)
    ledger(findings, books, taken)
    tickets(findings, books, verifier)
    answers(findings, books, promises)
    refunds_promised(findings, books, promises)
    messages(findings, books, promises)
    findings.lost += events_missing(books, promises)
    findings.problems += promises.contradictions
    at_rest(findings, books)
    doubts(findings, books)
    overdue(findings, books, promises)
    complaints(findings, log_lines)
    return findings


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
        elif charge["body"]["order"]["passengers"] != ours[PASSENGERS]:
            findings.problems.append(f"{reference}: its ticket is for {ours[PASSENGERS]} passengers, and they were not so many")
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
    for reference, states in promises.states.items():
        now = books.charges[reference]["state"] if reference in books.charges else "not there"
        for told in states:
            if now not in MAY_BECOME[told]:
                findings.problems.append(f"{reference}: an answer said for good that it is {told}, and it is {now}")


def refunds_promised(findings, books, promises):
    for reference, name, minor, told in promises.refunds:
        refunds = books.charges[reference]["body"]["refunds"] if reference in books.charges else []
        kept = [refund for refund in refunds if plain(refund["reference"]) == name and refund["amount"]["minor"] == minor]
        if not kept:
            findings.lost.append(f"{reference}: the refund {name} was promised, and the store does not know it")
        elif told in ("done", "paid_out") and kept[0]["state"] != told:
            findings.problems.append(f"{reference}: an answer said for good that the refund {name} is {told}, and it is {kept[0]['state']}")


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


def changed_at(charge):
    """In milliseconds since 1970."""
    return datetime.fromisoformat(charge["body"]["updated_at"]).timestamp() * 1000


def events_missing(books, promises):
    """What became of a charge, its ticket and its refunds is told to who follows the events: at least once, whatever was killed."""
    told = {(kind, reference) for kind, reference, _, _ in promises.events.values()}
    told_of_refunds = {(kind, refund) for kind, _, _, refund in promises.events.values()}
    missing = []
    for reference, charge in books.charges.items():
        if promises.ended_at is not None and changed_at(charge) > promises.ended_at - EVENT_UNDER_WAY_MS:
            # A refund that ended while the daemon was stopping: its event comes at the next start.
            continue
        if (f"charge.{charge['state']}", reference) not in told:
            missing.append(f"{reference}: no event told that it is {charge['state']}")
        if reference in books.tickets and ("ticket.issued", reference) not in told:
            missing.append(f"{reference}: no event told of its ticket")
        if reference in books.tickets and books.tickets[reference]["revoked_at"] and ("ticket.revoked", reference) not in told:
            missing.append(f"{reference}: no event told that its ticket is revoked")
        for refund in charge["body"]["refunds"]:
            kind = f"refund.{PUBLIC_STATES.get(refund['state'], refund['state'])}"
            if (kind, plain(refund["reference"])) not in told_of_refunds:
                missing.append(f"{reference}: no event told {kind} of {refund['reference']}")
    return missing


def at_rest(findings, books):
    for reference, charge in books.charges.items():
        if charge["state"] in ("processing", "awaiting_otp"):
            findings.problems.append(f"{reference}: still {charge['state']}")
    waiting = sum(message["state"] in ("pending", "sending") for message in books.messages)
    if waiting:
        findings.problems.append(f"{waiting} texts to passengers still wait")
