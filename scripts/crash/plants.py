"""Proof that the audit can fail: mistakes are planted into copies of the store and of the books, one at a time."""

import copy
import json
import shutil
import uuid

from .audit import audit, moment
from .promises import Promises, plain


class Copies:
    """What one plant may spoil."""

    def __init__(self, folder, store, carrier_books, promises):
        self.store = store.copy_to(folder)
        self.books = store.read()
        self.carriers = copy.deepcopy(carrier_books)
        self.promises = Promises()
        vars(self.promises).update(copy.deepcopy(vars(promises)))

    def charge(self, state="charged", but=None):
        """Some charge in this state that a carrier took money for."""
        taken = {plain(entry["reference"]) for ledger in self.carriers.values() for entry in ledger["entries"] if entry["reference"]}
        for reference, charge in self.books.charges.items():
            if charge["state"] == state and reference in taken and reference != but and not charge["body"]["refunds"]:
                return charge
        raise LookupError(f"no charge is {state}")

    def entry(self, reference):
        """What a carrier took under it, and that carrier's ledger."""
        for ledger in self.carriers.values():
            for entry in ledger["entries"]:
                if entry["reference"] and plain(entry["reference"]) == reference:
                    return entry, ledger
        raise LookupError("no carrier took it")

    def promised(self):
        """A key that was answered with a charge that was taken."""
        for key, promise in self.promises.keys.items():
            if promise["told"]["state"] == "charged":
                return key, promise["told"]["reference"]
        raise LookupError("no key was answered")

    def change(self, statement, *values):
        self.store.change((statement, values))

    def forget(self, table, reference, column="reference"):
        self.change(f"DELETE FROM {table} WHERE {column} = ?", bytes.fromhex(reference))


def submitted_twice(copies):
    entry, ledger = copies.entry(copies.charge()["reference"])
    ledger["entries"].append({**entry, "message_id": entry["message_id"] + "0"})


def bought_twice(copies):
    first = copies.charge()
    second = copies.charge(but=first["reference"])
    copies.change(
        "UPDATE charges SET msisdn = ?, vehicle = ?, received_at = ? WHERE reference = ?",
        first["msisdn"], first["vehicle"], moment(first["body"]["charged_at"]) + 1_000, bytes.fromhex(second["reference"]),
    )


def key_that_bought_twice(copies):
    key, reference = copies.promised()
    copies.promises.keys[key]["references"].append(copies.charge(but=reference)["reference"])


def without_ticket(copies):
    copies.forget("tickets", copies.charge()["reference"])


def with_revoked_ticket(copies):
    copies.change("UPDATE tickets SET revoked_at = issued_at WHERE reference = ?", bytes.fromhex(copies.charge()["reference"]))


def taken_and_rejected(copies):
    copies.change("UPDATE charges SET state = 'rejected' WHERE reference = ?", bytes.fromhex(copies.charge()["reference"]))


def taken_for_nobody(copies):
    entry, ledger = copies.entry(copies.charge()["reference"])
    ledger["entries"].append({**entry, "reference": str(uuid.uuid4()), "message_id": "stranger"})


def refund_forgotten(copies):
    charge = copies.charge()
    copies.change("UPDATE charges SET state = 'refund_owed' WHERE reference = ?", bytes.fromhex(charge["reference"]))


def answer_lost(copies):
    _, reference = copies.promised()
    copies.forget("charges", reference)


def key_lost(copies):
    copies.change("DELETE FROM keys WHERE key = ?", copies.promised()[0])


def ticket_replaced(copies):
    reference = next(iter(copies.promises.tickets))
    other = next(r for r in copies.books.tickets if r != reference)
    copies.change(
        "UPDATE tickets SET cwt = (SELECT cwt FROM tickets WHERE reference = ?) WHERE reference = ?",
        bytes.fromhex(other), bytes.fromhex(reference),
    )


def message_lost(copies):
    _, msisdn, *_ = copies.promises.messages[0]
    copies.change("DELETE FROM mos WHERE msisdn = ?", int(msisdn[1:]))


def message_unanswered(copies):
    copies.change("UPDATE mos SET answered_at = NULL WHERE id = ?", bytes.fromhex(copies.books.mos[0]["id"]))


def refund_lost(copies):
    reference, _, _ = copies.promises.refunds[0]
    body = {**copies.books.charges[reference]["body"], "refunds": []}
    copies.change("UPDATE charges SET body = ? WHERE reference = ?", json.dumps(body), bytes.fromhex(reference))


def event_lost(copies):
    reference = copies.charge()["reference"]
    for name in [name for name, told in copies.promises.events.items() if told[:2] == ["charge.charged", reference]]:
        del copies.promises.events[name]


def event_told_otherwise(copies):
    name, (kind, reference, _) = next(iter(copies.promises.events.items()))
    copies.promises.event({"id": name, "type": kind, "data": {"reference": reference}})


def signature_spoilt(copies):
    reference, ticket = next(iter(copies.books.tickets.items()))
    spoilt = ticket["cwt"][:-1] + bytes([ticket["cwt"][-1] ^ 1])
    copies.change("UPDATE tickets SET cwt = ? WHERE reference = ?", spoilt, bytes.fromhex(reference))


def short_code_twice(copies):
    first = next(iter(copies.books.tickets.values()))
    other = next(t for t in copies.books.tickets.values() if t["vehicle"] == first["vehicle"] and t is not first)
    copies.change("UPDATE tickets SET short_code = ? WHERE reference = ?", first["short_code"], bytes.fromhex(other["reference"]))


def ledger_line_changed(copies):
    copies.change("UPDATE ledger SET minor = minor + 1 WHERE reference = (SELECT max(reference) FROM ledger)")


def journal_entry_lost(copies):
    copies.change("DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)")


def other_amount_taken(copies):
    entry, _ = copies.entry(copies.charge()["reference"])
    entry["amount"]["minor"] += 100


def given_back_unasked(copies):
    entry, ledger = copies.entry(copies.charge()["reference"])
    ledger["refunds"].append({"amount": {"minor": 1}, "payment_id": entry["message_id"], "request_reference": str(uuid.uuid4())})


def answered_otherwise(copies):
    key, reference = copies.promised()
    charge = {"reference": str(uuid.UUID(reference)), "state": "rejected", "amount": {"minor": 8000}}
    copies.promises.answer(key, {}, 200, charge)


# What is planted, and where it must be found.
PLANTS = (
    ("double_charged", submitted_twice),
    ("double_charged", bought_twice),
    ("double_charged", key_that_bought_twice),
    ("without", without_ticket),
    ("without", with_revoked_ticket),
    ("without", taken_and_rejected),
    ("without", taken_for_nobody),
    ("without", refund_forgotten),
    ("lost", answer_lost),
    ("lost", key_lost),
    ("lost", ticket_replaced),
    ("lost", message_lost),
    ("lost", message_unanswered),
    ("lost", refund_lost),
    ("lost", event_lost),
    ("problems", signature_spoilt),
    ("problems", short_code_twice),
    ("problems", ledger_line_changed),
    ("problems", journal_entry_lost),
    ("problems", other_amount_taken),
    ("problems", given_back_unasked),
    ("problems", answered_otherwise),
    ("problems", event_told_otherwise),
)


def not_found(folder, store, carrier_books, promises, verifier, say):
    """Plants every mistake, and tells those that the audit does not find."""
    before = vars(audit(store.read(), carrier_books, promises, verifier))
    missed = []
    for where, plant in PLANTS:
        place = folder / "plant"
        place.mkdir()
        try:
            copies = Copies(place, store, carrier_books, promises)
            plant(copies)
            findings = vars(audit(copies.store.read(), copies.carriers, copies.promises, verifier))
        finally:
            shutil.rmtree(place)
        new = [item for item in findings[where] if item not in before[where]]
        name = plant.__name__.replace("_", " ")
        say(f"planted: {name}: {'found, ' + new[0] if new else 'NOT FOUND'}")
        if not new:
            missed.append(f"the audit does not find what was planted: {name}")
    return missed
