"""One place, a number in a vehicle, and what was bought there (M12, M13)."""

from datetime import datetime

from .world import REPEAT_WINDOW_SECONDS


def places(findings, books, promises):
    overlaps(findings, books)
    gave_way(findings, books)
    journeys(findings, books, promises)


def overlaps(findings, books):
    """Two charges, both paid, of which the second came while the first was under way or good. One that only adds to the passengers is
    no second purchase."""
    by_place = {}
    for charge in books.charges.values():
        if charge["state"] == "charged":
            by_place.setdefault((charge["msisdn"], charge["vehicle"]), []).append(charge)
    for charges in by_place.values():
        charges.sort(key=lambda charge: (charge["received_at"], charge["reference"]))
        for at, first in enumerate(charges):
            for second in charges[at + 1:]:
                rule = overlap(first, second["received_at"])
                if rule is not None and second["body"]["order"].get("extends") is None:
                    findings.double_charged.append(f"{second['reference']} was bought while {first['reference']} was {rule}")


def overlap(first, received_at):
    """What a purchase that came then met in this place, and the rule that it breaks."""
    paid_at = moment(first["body"]["charged_at"])
    if received_at >= max(first["ticket_deadline"], paid_at + REPEAT_WINDOW_SECONDS * 1000):
        return None
    return "good: M13" if received_at >= paid_at else "under way: M12"


def gave_way(findings, books):
    """What gave way to a newer purchase never ends as paid."""
    for reference, charge in books.charges.items():
        newer = charge["body"].get("superseded_by")
        if newer is not None and charge["state"] == "charged":
            findings.double_charged.append(f"{reference} gave way to {newer}, and is charged: M12")


def journeys(findings, books, promises):
    """A journey is a purchase with all that adds to it. Each was wished by somebody as it was bought, and together they have no more
    passengers than the largest of these wishes."""
    paid = {}
    for reference, charge in books.charges.items():
        place = (f"+{charge['msisdn']}", charge["vehicle"])
        if (*place, in_total(charge)) not in promises.wishes:
            findings.problems.append(f"{reference}: nobody wished for {in_total(charge)} passengers on {place}: M13")
        if charge["state"] == "charged":
            paid.setdefault(beginning(books, charge), []).append(charge)
    for first, charges in paid.items():
        passengers = sum(charge["body"]["order"]["passengers"] for charge in charges)
        wished = max(in_total(charge) for charge in charges)
        if passengers > wished:
            findings.double_charged.append(f"{first}: {passengers} passengers paid on one journey, and {wished} were wished: M13")


def in_total(charge):
    """The passengers who were to ride once this charge was paid."""
    order = charge["body"]["order"]
    return order["passengers"] + (order.get("extends") or {"passengers": 0})["passengers"]


def beginning(books, charge):
    """The purchase with which its journey began."""
    for _ in books.charges:
        before = charge["body"]["order"].get("extends")
        if before is None or before["reference"].replace("-", "") not in books.charges:
            break
        charge = books.charges[before["reference"].replace("-", "")]
    return charge["reference"]


def moment(text):
    """Milliseconds since 1970."""
    form = "%Y-%m-%dT%H:%M:%S.%f%z" if "." in text else "%Y-%m-%dT%H:%M:%S%z"
    return round(datetime.strptime(text, form).timestamp() * 1000)
