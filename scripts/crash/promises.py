"""What the outside world was told, and may rely on for ever."""

import hashlib
import json

TAKEN = ("charged", "refunding", "refund_owed", "refunded")
# What a charge may become that was told to stand here. Money that was taken can go back; nothing else changes. Of several refunds one
# can be owed while another is on its way.
GOES_BACK = ("refunding", "refund_owed", "refunded")
MAY_BECOME = {
    "charged": TAKEN,
    "refunding": GOES_BACK,
    "refund_owed": GOES_BACK,
    "refunded": ("refunded",),
    "declined": ("declined",),
    "rejected": ("rejected",),
}
FINAL = tuple(MAY_BECOME)


def plain(reference):
    return reference.replace("-", "").lower()


class Promises:
    def __init__(self):
        # Idempotency key: what it was first answered with for good, and what it asked for.
        self.keys = {}
        # References that stood in any answer; where they were told to stand for good, each state once.
        self.references, self.states = set(), {}
        # (number, vehicle, passengers in total): what anybody asked for, answered or not.
        self.wishes = set()
        # Reference: the ticket's text, as it was handed out.
        self.tickets = {}
        # (reference, id of the refund, minor units, state): refunds that were said to be on their way, or there.
        self.refunds = []
        # Key of a refund, with its charge: the id that it stands for.
        self.refund_keys = {}
        # Messages that the daemon acknowledged to the carrier.
        self.messages = []
        # Id: what an event told, [type, reference, digest of all of it, id of the refund].
        self.events = {}
        # When the daemon ended for the last time, in milliseconds since 1970.
        self.ended_at = None
        # Answers that contradict one another, in words.
        self.contradictions = []

    def wish(self, msisdn, vehicle, passengers):
        """Somebody asks for passengers in total on a number in a vehicle."""
        self.wishes.add((msisdn, vehicle, passengers))

    def told(self, charge):
        """A 2xx answer told where a charge stands."""
        reference, state = plain(charge["reference"]), charge["state"]
        self.references.add(reference)
        states = self.states.setdefault(reference, [])
        if state in FINAL and state not in states:
            states.append(state)

    def answer(self, key, wish, status, charge):
        """A 2xx answer to a purchase."""
        reference, state = plain(charge["reference"]), charge["state"]
        self.told(charge)
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
        # Of two answers at once the older can come later; the audit compares each with what is so at the end.
        if not (before["state"] in TAKEN and now["state"] in TAKEN):
            self.contradictions.append(f"key {key}: {before['state']} became {now['state'] or 'open again'}")

    def handed_out(self, reference, text):
        before = self.tickets.setdefault(reference, text)
        if before != text:
            self.contradictions.append(f"{reference}: its ticket was {before}, and now is {text}")

    def refund(self, reference, key, refund):
        """A 2xx answer to a request for a refund."""
        name = plain(refund["id"])
        self.refunds.append((plain(reference), name, refund["amount"]["minor"], refund["state"]))
        before = self.refund_keys.setdefault(f"{key} of {plain(reference)}", name)
        if before != name:
            self.contradictions.append(f"key {key} stood for the refund {before}, and now for {name}: M15")

    def event(self, event):
        """An event that came by webhook, perhaps once more: then it must be the same."""
        digest = hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()[:16]
        data = event["data"]
        refund = plain(data["refund"]["id"]) if "refund" in data else None
        told = [event["type"], plain(data.get("reference") or ""), digest, refund]
        before = self.events.setdefault(event["id"], told)
        if before != told:
            self.contradictions.append(f"the event {event['id']} was {before}, and now is {told}")

    def message(self, carrier, msisdn, text, sent_at, acknowledged_at):
        """Times in milliseconds since 1970."""
        self.messages.append((carrier, msisdn, text, sent_at, acknowledged_at))

    def write(self, path):
        path.write_text(json.dumps({**vars(self), "references": sorted(self.references), "wishes": sorted(self.wishes)}))

    @staticmethod
    def read(path):
        promises = Promises()
        vars(promises).update(json.loads(path.read_text()))
        promises.references = set(promises.references)
        promises.wishes = {tuple(wish) for wish in promises.wishes}
        return promises
