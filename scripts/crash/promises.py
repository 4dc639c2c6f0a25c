"""What the outside world was told, and may rely on for ever."""

import hashlib
import json

FINAL = ("charged", "declined", "rejected", "refunding", "refund_owed", "refunded")
TAKEN = ("charged", "refunding", "refund_owed", "refunded")


def plain(reference):
    return reference.replace("-", "").lower()


class Promises:
    def __init__(self):
        # Idempotency key: what it was first answered with for good, and what it asked for.
        self.keys = {}
        # References that stood in any answer.
        self.references = set()
        # Reference: the ticket's text, as it was handed out.
        self.tickets = {}
        # (reference, id of the refund, minor units): refunds that were said to be on their way.
        self.refunds = []
        # Messages that the daemon acknowledged to the carrier.
        self.messages = []
        # Id: what an event told, [type, reference, digest of all of it].
        self.events = {}
        # Answers that contradict one another, in words.
        self.contradictions = []

    def answer(self, key, wish, status, charge):
        """A 2xx answer to a purchase."""
        reference, state = plain(charge["reference"]), charge["state"]
        self.references.add(reference)
        ticket = charge.get("ticket")
        if ticket is not None:
            self.handed_out(reference, ticket["qr_text"])
        if "repeat_of" in charge and state not in FINAL:
            # Told, and not promised: what it repeats may yet end without money, and then this key buys for itself.
            return
        told = {"reference": reference, "amount": charge["amount"]["minor"], "state": state if state in FINAL else None}
        before = self.keys.setdefault(key, {"wish": wish, "told": told, "references": []})
        if reference not in before["references"]:
            before["references"].append(reference)
        self.compare(key, before["told"], told)
        if before["told"]["state"] is None:
            before["told"]["state"] = told["state"]

    def compare(self, key, before, now):
        for what in ("reference", "amount"):
            if before[what] != now[what]:
                self.contradictions.append(f"key {key}: {what} was {before[what]}, and now is {now[what]}")
        if before["state"] is None or now["state"] == before["state"]:
            return
        # Money that was taken can go back; nothing else changes.
        if not (before["state"] in TAKEN and now["state"] in TAKEN):
            self.contradictions.append(f"key {key}: {before['state']} became {now['state'] or 'open again'}")

    def handed_out(self, reference, text):
        before = self.tickets.setdefault(reference, text)
        if before != text:
            self.contradictions.append(f"{reference}: its ticket was {before}, and now is {text}")

    def refund(self, reference, refund):
        self.refunds.append((plain(reference), plain(refund["id"]), refund["amount"]["minor"]))

    def event(self, event):
        """An event that came by webhook, perhaps once more: then it must be the same."""
        digest = hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()[:16]
        told = [event["type"], plain(event["data"].get("reference") or ""), digest]
        before = self.events.setdefault(event["id"], told)
        if before != told:
            self.contradictions.append(f"the event {event['id']} was {before}, and now is {told}")

    def message(self, carrier, msisdn, text, sent_at, acknowledged_at):
        """Times in milliseconds since 1970."""
        self.messages.append((carrier, msisdn, text, sent_at, acknowledged_at))

    def write(self, path):
        path.write_text(json.dumps({**vars(self), "references": sorted(self.references)}))

    @staticmethod
    def read(path):
        promises = Promises()
        vars(promises).update(json.loads(path.read_text()))
        promises.references = set(promises.references)
        return promises
