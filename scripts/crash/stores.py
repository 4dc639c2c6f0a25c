"""The stores that the daemon can stand on, as the auditor reads them: from outside, and without a line of the daemon's code."""

import json
import shutil
import sqlite3

from .doubt import OPEN_REFUNDS, can_be_asked_about


class Books:
    """All that a store holds, by reference."""

    def __init__(self, rows):
        self.charges = {row["reference"]: row for row in rows["charges"]}
        self.tickets = {row["reference"]: row for row in rows["tickets"]}
        self.keys = {(row["caller"], row["key"]): row for row in rows["keys"]}
        self.ledger, self.journal, self.mos = rows["ledger"], rows["journal"], rows["mos"]
        self.messages, self.breaks, self.attempts = rows["messages"], rows["breaks"], rows["attempts"]


# Whether the carrier told of a charge that its message came to an end, and not to the phone.
IS_UNDELIVERED = (
    "EXISTS (SELECT 1 FROM evidence WHERE evidence.reference = charges.reference AND ("
    + " OR ".join(f"words LIKE '%stat:{stat}%'" for stat in ("EXPIRED", "UNDELIV", "DELETED", "REJECTD"))
    + ")) AS is_undelivered"
)

# What the audit looks at. References come as lower-case hexadecimal.
QUERIES = {
    "charges": "SELECT lower(hex(reference)) AS reference, version, state, msisdn, vehicle, received_at, ticket_deadline,"
    f" due_at, amount_minor, body, {IS_UNDELIVERED} FROM charges",
    "tickets": "SELECT lower(hex(reference)) AS reference, vehicle, short_code, cwt, issued_at, expires_at, revoked_at FROM tickets",
    "keys": "SELECT caller, key, lower(hex(reference)) AS reference, repeat FROM keys",
    "ledger": "SELECT lower(hex(reference)) AS reference, version, account, minor FROM ledger",
    "journal": "SELECT lower(hex(reference)) AS reference, count(*) AS entries FROM journal GROUP BY 1",
    "mos": "SELECT lower(hex(id)) AS id, carrier, msisdn, text, received_at, coalesce(kept_at, received_at) AS kept_at,"
    " answered_at, part_number, kind FROM mos",
    "messages": "SELECT lower(hex(reference)) AS reference, state, ticket FROM messages WHERE reference IS NOT NULL",
    "breaks": "SELECT lower(hex(reference)) AS reference, kind FROM breaks",
    "attempts": "SELECT lower(hex(reference)) AS reference, count(*) AS attempts FROM attempts GROUP BY 1",
}


class Sqlite:
    """One file, one daemon."""

    name = "sqlite"

    def __init__(self, folder):
        self.file = folder / "smsbusd.db"

    @property
    def url(self):
        return f"sqlite://{self.file}"

    def connect(self):
        books = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=10)
        books.row_factory = sqlite3.Row
        return books

    def standing(self):
        """What has not come to rest, in counts. None while the store cannot be read."""
        try:
            books = self.connect()
            try:
                open_states = books.execute(
                    "SELECT state, count(*) FROM charges WHERE state IN ('processing', 'awaiting_otp', 'in_doubt') GROUP BY 1"
                ).fetchall()
                bodies = books.execute(
                    f"SELECT body, {IS_UNDELIVERED} FROM charges WHERE state IN ('refunding', 'in_doubt') OR due_at IS NOT NULL"
                ).fetchall()
                (unanswered,) = books.execute("SELECT count(*) FROM mos WHERE answered_at IS NULL").fetchone()
                (unsent,) = books.execute("SELECT count(*) FROM messages WHERE state IN ('pending', 'sending')").fetchone()
            finally:
                books.close()
        except sqlite3.Error:
            return None
        charges = [(json.loads(body), is_undelivered) for body, is_undelivered in bodies]
        refunds = [refund for charge, _ in charges for refund in charge["refunds"]]
        standing = {state: count for state, count in open_states}
        standing["askable"] = sum(
            charge["state"]["state"] == "in_doubt" and can_be_asked_about(charge, is_undelivered) for charge, is_undelivered in charges
        )
        standing["refunds"] = sum(refund["state"] in OPEN_REFUNDS for refund in refunds)
        return {**standing, "messages": unanswered, "texts": unsent}

    def read(self):
        """Everything. The daemon need not be there."""
        books = self.connect()
        try:
            rows = {name: [dict(row) for row in books.execute(query)] for name, query in QUERIES.items()}
        finally:
            books.close()
        for row in rows["charges"]:
            row["body"] = json.loads(row["body"])
        return Books(rows)

    def damage(self):
        """What the file itself says is wrong with it."""
        books = self.connect()
        try:
            return [row[0] for row in books.execute("PRAGMA integrity_check") if row[0] != "ok"]
        finally:
            books.close()

    def copy_to(self, folder):
        """A store of its own with the same content. Only of a store that nobody writes to."""
        for file in self.file.parent.glob(f"{self.file.name}*"):
            shutil.copy(file, folder / file.name)
        return Sqlite(folder)

    def change(self, *statements):
        """Changes a copy by hand, past everything that guards it."""
        books = sqlite3.connect(self.file)
        for (trigger,) in books.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            books.execute(f"DROP TRIGGER {trigger}")
        for statement, values in statements:
            changed = books.execute(statement, values).rowcount
            assert changed > 0, f"nothing changed: {statement}"
        books.commit()
        books.close()


def open_store(name, folder):
    if name == "sqlite":
        return Sqlite(folder)
    raise SystemExit(f"--store {name}: the daemon has no such store yet; PostgreSQL and several instances come together")
