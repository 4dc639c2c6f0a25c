"""The stores that the daemon can stand on, as the auditor reads them: from outside, and without a line of the daemon's code."""

import json
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

from .doubt import OPEN_REFUNDS, can_be_asked_about


class Books:
    """All that a store holds, by reference."""

    def __init__(self, rows):
        self.charges = {row["reference"]: row for row in rows["charges"]}
        self.tickets = {row["reference"]: row for row in rows["tickets"]}
        self.keys = {(row["caller"], row["key"]): row for row in rows["keys"]}
        self.ledger, self.journal, self.mos = rows["ledger"], rows["journal"], rows["mos"]
        self.messages, self.breaks, self.attempts = rows["messages"], rows["breaks"], rows["attempts"]


# What the audit looks at. References come as lower-case hexadecimal; `{bytes:…}` is a column of bytes that are text.
QUERIES = {
    "charges": "SELECT {hex:reference} AS reference, version, state, msisdn, vehicle, received_at, ticket_deadline,"
    " due_at, amount_minor, body, {is_undelivered} AS is_undelivered FROM charges",
    "tickets": "SELECT {hex:reference} AS reference, vehicle, short_code, cwt, issued_at, expires_at, revoked_at FROM tickets",
    "keys": "SELECT caller, {bytes:key} AS key, {hex:reference} AS reference, repeat FROM keys",
    "ledger": "SELECT {hex:reference} AS reference, version, account, minor FROM ledger",
    "journal": "SELECT {hex:reference} AS reference, count(*) AS entries FROM journal GROUP BY 1",
    "mos": "SELECT {hex:id} AS id, carrier, msisdn, {bytes:text} AS text, received_at, coalesce(kept_at, received_at) AS kept_at,"
    " answered_at, part_number, kind FROM mos",
    "messages": "SELECT {hex:reference} AS reference, state, ticket FROM messages WHERE reference IS NOT NULL",
    "breaks": "SELECT {hex:reference} AS reference, kind FROM breaks",
    "attempts": "SELECT {hex:reference} AS reference, count(*) AS attempts FROM attempts GROUP BY 1",
}

# What has not come to rest.
OPEN_STATES = "SELECT state, count(*) AS count FROM charges WHERE state IN ('processing', 'awaiting_otp', 'in_doubt') GROUP BY 1"
UNSETTLED = (
    "SELECT body, {is_undelivered} AS is_undelivered FROM charges WHERE state IN ('refunding', 'in_doubt') OR due_at IS NOT NULL"
)
UNANSWERED = "SELECT count(*) AS count FROM mos WHERE answered_at IS NULL"
UNSENT = "SELECT count(*) AS count FROM messages WHERE state IN ('pending', 'sending')"


class Dialect:
    """How a database writes what the queries above leave open."""

    def __init__(self, hexadecimal, text, searched):
        self.hexadecimal, self.text, self.searched = hexadecimal, text, searched

    def __call__(self, query):
        # Whether the carrier told of a charge that its message came to an end, and not to the phone.
        words = " OR ".join(f"{self.searched('words')} LIKE '%stat:{stat}%'" for stat in ("EXPIRED", "UNDELIV", "DELETED", "REJECTD"))
        told = f"EXISTS (SELECT 1 FROM evidence WHERE evidence.reference = charges.reference AND ({words}))"
        query = query.replace("{is_undelivered}", told)
        query = re.sub(r"\{hex:(\w+)\}", lambda found: self.hexadecimal(found[1]), query)
        return re.sub(r"\{bytes:(\w+)\}", lambda found: self.text(found[1]), query)


def standing(select):
    """What has not come to rest, in counts. `select` gives the rows of a query."""
    charges = [(json.loads(row["body"]), row["is_undelivered"]) for row in select(UNSETTLED)]
    refunds = [refund for charge, _ in charges for refund in charge["refunds"]]
    counts = {row["state"]: row["count"] for row in select(OPEN_STATES)}
    counts["askable"] = sum(
        charge["state"]["state"] == "in_doubt" and can_be_asked_about(charge, is_undelivered) for charge, is_undelivered in charges
    )
    counts["refunds"] = sum(refund["state"] in OPEN_REFUNDS for refund in refunds)
    return {**counts, "messages": select(UNANSWERED)[0]["count"], "texts": select(UNSENT)[0]["count"]}


def everything(rows):
    for row in rows["charges"]:
        row["body"] = json.loads(row["body"])
    return Books(rows)


class Sqlite:
    """One file, one daemon."""

    dialect = Dialect(lambda column: f"lower(hex({column}))", lambda column: column, lambda column: column)

    def begin(self):
        """There is nothing to start."""

    def end(self):
        """There is nothing to stop."""

    def __init__(self, folder):
        self.file = folder / "smsbusd.db"

    @property
    def url(self):
        return f"sqlite://{self.file}"

    @property
    def direct_url(self):
        return self.url

    def connect(self):
        books = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=10)
        books.row_factory = sqlite3.Row
        return books

    def select(self, books, query):
        return [dict(row) for row in books.execute(self.dialect(query))]

    def standing(self):
        """None while the store cannot be read."""
        try:
            books = self.connect()
            try:
                return standing(lambda query: self.select(books, query))
            finally:
                books.close()
        except sqlite3.Error:
            return None

    def read(self):
        """Everything. The daemon need not be there."""
        books = self.connect()
        try:
            return everything({name: self.select(books, query) for name, query in QUERIES.items()})
        finally:
            books.close()

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


class Postgres:
    """A server of its own, as long as the test runs: reached over its socket, and never killed; or one of a cluster, over a link."""

    # What others wrote may hold any character, and PostgreSQL's texts do not hold all of them.
    dialect = Dialect(
        lambda column: f"replace({column}::text, '-', '')",
        lambda column: f"encode({column}, 'hex')",
        lambda column: f"encode({column}, 'escape')",
    )

    def __init__(self):
        self.server, self.url, self.cluster = None, None, None

    def of_cluster(self, cluster):
        """The daemons reach it over a link, and which of the servers that leads to changes. We go there directly."""
        self.cluster, self.url = cluster, address(cluster.link.address)

    @property
    def direct_url(self):
        return self.url if self.cluster is None else address(f"127.0.0.1:{self.cluster.primary.port}")

    def begin(self):
        if self.url is not None:
            return
        script = Path(__file__).resolve().parents[1] / "postgres"
        command = [str(script), "sh", "-c", 'echo "$SMSBUSD_TEST_POSTGRES"; exec cat']
        self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.url = self.server.stdout.readline().strip()
        if not self.url:
            raise SystemExit("scripts/postgres could not start a server")

    def end(self):
        if self.server is not None:
            self.server.stdin.close()
            self.server.wait()

    def select(self, query):
        sql = f"SELECT row_to_json(asked) FROM ({self.dialect(query)}) AS asked"
        command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", sql, self.direct_url]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode != 0:
            raise OSError(answer.stderr)
        return [json.loads(line) for line in answer.stdout.splitlines()]

    def standing(self):
        """None while the store cannot be read."""
        try:
            return standing(self.select)
        except OSError:
            return None

    def read(self):
        """Everything. The daemon need not be there."""
        rows = {name: self.select(query) for name, query in QUERIES.items()}
        for ticket in rows["tickets"]:
            ticket["cwt"] = bytes.fromhex(ticket["cwt"].removeprefix("\\x"))
        for name, column in (("keys", "key"), ("mos", "text")):
            for row in rows[name]:
                row[column] = bytes.fromhex(row[column]).decode()
        return everything(rows)

    def damage(self):
        """The server would have told."""
        return []


def address(of):
    return f"postgres://postgres@{of}/postgres?sslmode=disable"


def open_store(name, folder):
    if name == "sqlite":
        return Sqlite(folder)
    if name == "postgres":
        return Postgres()
    raise SystemExit(f"--store {name}: sqlite or postgres")
