"""Proof that the audit can fail: mistakes are planted into copies of the store, of the books and of what was told, one at a time."""

import copy
import json
import shutil
import signal
import uuid

from .audit import audit
from .daemon import is_killed_by_point
from .places import moment
from .promises import Promises, plain


class Copies:
    """What one plant may spoil."""

    def __init__(self, folder, store, carrier_books, promises, verifier, log_lines):
        self.store = store.copy_to(folder)
        self.books = store.read()
        self.carriers = copy.deepcopy(carrier_books)
        self.promises = Promises()
        vars(self.promises).update(copy.deepcopy(vars(promises)))
        self.verifier, self.log_lines = verifier, list(log_lines)

    def findings(self):
        """What the audit says of them."""
        return vars(audit(self.store.read(), self.carriers, self.promises, self.verifier, self.log_lines))

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

    def refunded(self, state="done"):
        """A charge of which a refund stands so, and that refund."""
        for charge in self.books.charges.values():
            for refund in charge["body"]["refunds"]:
                if refund["state"] == state:
                    return charge, refund
        raise LookupError(f"no refund is {state}")

    def given_back(self):
        """A line of what a carrier gave back, and that carrier's ledger."""
        for ledger in self.carriers.values():
            for refund in ledger["refunds"]:
                return refund, ledger
        raise LookupError("no carrier gave anything back")

    def rewrite(self, charge, **changed):
        """Another body of a charge, and a row that says the same."""
        body = {**charge["body"], **changed}
        self.change("UPDATE charges SET body = ?, state = ? WHERE reference = ?",
                    json.dumps(body), body["state"]["state"], bytes.fromhex(charge["reference"]))

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


def bought_while_under_way(copies):
    first = copies.charge()
    second = copies.charge(but=first["reference"])
    copies.change(
        "UPDATE charges SET msisdn = ?, vehicle = ?, received_at = ? WHERE reference = ?",
        first["msisdn"], first["vehicle"], first["received_at"] + 1, bytes.fromhex(second["reference"]),
    )


def gave_way_and_charged(copies):
    copies.rewrite(copies.charge(), superseded_by=str(uuid.uuid4()))


def added_too_many(copies):
    """A purchase that is said to add to another one, of as many passengers as were wished in total."""
    first = copies.charge()
    second = copies.charge(but=first["reference"])
    extends = {"reference": first["reference"], "passengers": 0, "held_until": first["body"]["charged_at"]}
    copies.rewrite(second, order={**second["body"]["order"], "extends": extends})


def not_wished(copies):
    charge = copies.charge()
    copies.promises.wishes = {wish for wish in copies.promises.wishes if wish[:2] != (f"+{charge['msisdn']}", charge["vehicle"])}


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
    reference, *_ = copies.promises.refunds[0]
    body = {**copies.books.charges[reference]["body"], "refunds": []}
    copies.change("UPDATE charges SET body = ? WHERE reference = ?", json.dumps(body), bytes.fromhex(reference))


def event_lost(copies):
    reference = copies.charge()["reference"]
    for name in [name for name, told in copies.promises.events.items() if told[:2] == ["charge.charged", reference]]:
        del copies.promises.events[name]


def refund_forgotten_by_its_key(copies):
    """A refund that was promised under a key, which stands for another one later."""
    name, key = next((name, key) for key, name in copies.promises.refund_keys.items())
    key, reference = key.split(" of ")
    refund = {"id": str(uuid.uuid4()), "amount": {"minor": 1}, "state": "processing"}
    copies.promises.refund(reference, key, refund)
    copies.promises.refunds.pop()


def refund_paid_and_taken_back(copies):
    charge, refund = copies.refunded()
    told = (charge["reference"], plain(refund["reference"]), refund["amount"]["minor"], "paid_out")
    copies.promises.refunds.append(told)


def final_and_changed(copies):
    """An answer said that the money was back, and it is not."""
    copies.promises.states[copies.charge()["reference"]] = ["refunded"]


def event_of_refund_lost(copies):
    _, refund = copies.refunded()
    for name in [name for name, told in copies.promises.events.items() if told[3] == plain(refund["reference"])]:
        del copies.promises.events[name]


def event_of_revocation_lost(copies):
    revoked = next(reference for reference, ticket in copies.books.tickets.items() if ticket["revoked_at"])
    for name in [name for name, told in copies.promises.events.items() if told[:2] == ["ticket.revoked", revoked]]:
        del copies.promises.events[name]


def event_told_otherwise(copies):
    name, (kind, reference, _, _) = next(iter(copies.promises.events.items()))
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
    ledger["refunds"].append({**entry, "payment_id": entry["message_id"], "request_reference": str(uuid.uuid4())})


def given_back_of_another_payment(copies):
    refund, ledger = copies.given_back()
    other = next(entry for entry in ledger["entries"] if entry["message_id"] != refund["payment_id"])
    refund["payment_id"] = other["message_id"]


def given_back_of_no_payment(copies):
    refund, _ = copies.given_back()
    refund["payment_id"] = "stranger"


def given_back_to_somebody_else(copies):
    refund, _ = copies.given_back()
    refund["msisdn"] = "+77770000000"


def given_back_by_nobody(copies):
    refund, ledger = copies.given_back()
    ledger["refunds"].remove(refund)


def fee_kept_twice(copies):
    """Two lines that are wrong and add up."""
    for account, minor in (("carrier_fee", 1), ("carrier_receivable", -1)):
        copies.change(
            "UPDATE ledger SET minor = minor + ? WHERE account = ? || ':beeline' AND (reference, version) ="
            " (SELECT reference, version FROM ledger WHERE account = 'carrier_fee:beeline' LIMIT 1)",
            minor, account,
        )


def tax_not_booked(copies):
    """The tax of a sale counted as revenue."""
    charge = copies.charge()
    reference = bytes.fromhex(charge["reference"])
    copies.change(
        "UPDATE ledger SET minor = minor + (SELECT minor FROM ledger WHERE reference = ? AND account LIKE 'vat_output:%')"
        " WHERE reference = ? AND account LIKE 'fare_revenue:%'", reference, reference,
    )
    copies.change("DELETE FROM ledger WHERE reference = ? AND account LIKE 'vat_output:%'", reference)


def doubt_left_lying(copies):
    """In doubt at a carrier that can be asked."""
    charge = next(c for c in copies.books.charges.values() if c["state"] == "rejected" and c["body"]["attempts"][-1:]
                  and c["body"]["attempts"][-1]["carrier"] in ("tele2", "altel"))
    copies.rewrite(charge, state={"state": "in_doubt"})


def due_and_left_lying(copies):
    reference = copies.charge()["reference"]
    copies.change("UPDATE charges SET due_at = ? WHERE reference = ?", copies.promises.ended_at - 60_000, bytes.fromhex(reference))


def panicked(copies):
    copies.log_lines.append(["daemon-0001.log", "thread 'main' panicked at src/gateway/apply.rs:1:1:"])


def invariant_broken(copies):
    line = "2026-11-23T00:00:00Z ERROR smsbusd::smpp::pool::event: an outcome that nobody takes token=1"
    copies.log_lines.append(["daemon-0001.log", line])


def answered_otherwise(copies):
    key, reference = copies.promised()
    charge = {"reference": str(uuid.UUID(reference)), "state": "rejected", "amount": {"minor": 8000}}
    copies.promises.answer(key, {}, 200, charge)


# What is planted, where it must be found, and a word that only its own reason has.
PLANTS = (
    ("double_charged", submitted_twice, "the carriers have"),
    ("double_charged", bought_twice, "good: M13"),
    ("double_charged", bought_while_under_way, "under way: M12"),
    ("double_charged", gave_way_and_charged, "gave way to"),
    ("double_charged", added_too_many, "passengers paid on one journey"),
    ("double_charged", key_that_bought_twice, "M15"),
    ("without", without_ticket, "is not there"),
    ("without", with_revoked_ticket, "is revoked"),
    ("without", taken_and_rejected, "it is rejected"),
    ("without", taken_for_nobody, "we know nothing of it"),
    ("without", refund_forgotten, "goes back"),
    ("lost", answer_lost, "which the store does not know"),
    ("lost", key_lost, "and stands for"),
    ("lost", ticket_replaced, "a ticket was handed out"),
    ("lost", message_lost, "was not kept"),
    ("lost", message_unanswered, "was never answered"),
    ("lost", refund_lost, "was promised"),
    ("lost", event_lost, "no event told that it is charged"),
    ("lost", event_of_refund_lost, "no event told refund.done"),
    ("lost", event_of_revocation_lost, "its ticket is revoked"),
    ("problems", not_wished, "nobody wished"),
    ("problems", signature_spoilt, "the signature is wrong"),
    ("problems", short_code_twice, "the short code"),
    ("problems", ledger_line_changed, "add up to"),
    ("problems", fee_kept_twice, "carrier_fee:beeline stands at"),
    ("problems", tax_not_booked, "vat_output:almaty-1 stands at"),
    ("problems", journal_entry_lost, "entries of the journal"),
    ("problems", other_amount_taken, "we believe"),
    ("problems", given_back_unasked, "we know nothing of it"),
    ("problems", given_back_of_another_payment, "of another payment"),
    ("problems", given_back_of_no_payment, "it has no payment"),
    ("problems", given_back_to_somebody_else, "to +77770000000"),
    ("problems", given_back_by_nobody, "[] went back"),
    ("problems", doubt_left_lying, "was not asked until it told"),
    ("problems", due_and_left_lying, "nobody looks at it"),
    ("problems", panicked, "panicked at"),
    ("problems", invariant_broken, "nobody takes"),
    ("problems", answered_otherwise, "became rejected"),
    ("problems", final_and_changed, "for good that it is refunded"),
    ("problems", refund_forgotten_by_its_key, "stood for the refund"),
    ("problems", refund_paid_and_taken_back, "is paid_out"),
    ("problems", event_told_otherwise, "was ["),
)


def not_found(folder, store, given, say):
    """Plants every mistake, and tells those that the audit does not find. `given` is what the audit judges beside the store."""
    carrier_books, promises, verifier, log_lines = given
    before = vars(audit(store.read(), carrier_books, promises, verifier, log_lines))
    missed = []
    for where, plant, reason in PLANTS:
        place = folder / "plant"
        place.mkdir()
        name = plant.__name__.replace("_", " ")
        try:
            copies = Copies(place, store, *given)
            plant(copies)
            new = [item for item in copies.findings()[where] if item not in before[where] and reason in item]
        except (LookupError, StopIteration) as error:
            say(f"not planted: {name}: {error or 'there is nothing to spoil'}")
            missed.append(f"a mistake could not be planted, as this run has nothing like it: {name}")
            continue
        finally:
            shutil.rmtree(place)
        say(f"planted: {name}: {'found, ' + new[0] if new else 'NOT FOUND'}")
        if not new:
            missed.append(f"the audit does not find what was planted: {name}")
    if is_killed_by_point(-signal.SIGABRT, "thread 'main' panicked in a destructor\n", "gateway-after-open"):
        missed.append("any abort is taken for a kill point")
    return missed
