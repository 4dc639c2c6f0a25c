"""The two stores that the daemon can stand on, each new for every run."""

import shutil
import sqlite3
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlparse

from crash import stores as audited

from .processes import cpu_seconds, shared_memory_kib

# Settings of a server that somebody has looked after. None of them makes a commit less durable: fsync, full_page_writes and
# synchronous_commit are on, as they are by default.
POSTGRES_OPTIONS = " ".join(
    [
        # The tables of a run are in memory, as those of a day are on a server of its own.
        "-c shared_buffers=1GB",
        # No checkpoint is forced in the middle of a run; the default is one for each GB of log, which is one every few seconds.
        "-c max_wal_size=16GB -c min_wal_size=1GB -c checkpoint_timeout=30min",
        # After a checkpoint each page goes to the log whole, once; so it is smaller.
        "-c wal_compression=lz4",
    ]
)
COUNTS = "SELECT state, count(*) AS count FROM charges GROUP BY 1"
CHARGED = "SELECT {hex:reference} AS reference FROM charges WHERE state = 'charged'"
SUMS = (
    "SELECT (SELECT count(*) FROM tickets) AS tickets, (SELECT coalesce(sum(minor), 0) FROM ledger) AS ledger_sum,"
    " (SELECT coalesce(sum(amount_minor), 0) FROM charges WHERE state = 'charged') AS charged_minor,"
    " (SELECT count(*) FROM chain) AS commits"
)
IN_DOUBT = "SELECT count(*) AS count FROM charges WHERE state = 'in_doubt'"
UNDECIDED = "SELECT state, count(*) AS count FROM attempts GROUP BY 1"


class Database:
    """One database, by the name of its store."""

    # The server's process, if there is one.
    server_pid = None

    def states(self):
        return {row["state"]: row["count"] for row in self.rows(COUNTS)}

    def attempts(self):
        return {row["state"]: row["count"] for row in self.rows(UNDECIDED)}

    def in_doubt(self):
        return self.rows(IN_DOUBT)[0]["count"]

    def sums(self):
        return {name: int(value) for name, value in self.rows(SUMS)[0].items()}

    def charged(self):
        """The references of all charges that were paid."""
        return {row["reference"] for row in self.rows(CHARGED)}

    def cpu_seconds(self):
        return cpu_seconds(self.server_pid, with_children=True) if self.server_pid is not None else 0.0

    def memory_kib(self):
        return shared_memory_kib(self.server_pid) if self.server_pid is not None else 0


class SqliteDatabase(Database):
    store = "sqlite"

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.file = folder / "smsbusd.db"
        self.url = f"sqlite://{self.file}"

    def rows(self, query):
        books = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30)
        try:
            books.row_factory = sqlite3.Row
            return [dict(row) for row in books.execute(audited.Sqlite.dialect(query))]
        finally:
            books.close()

    def size_mib(self):
        return sum(file.stat().st_size for file in self.folder.iterdir()) // 1024**2

    def drop(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresDatabase(Database):
    store = "postgres"

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.server_pid = server.pid
        # What the database before has left to write is none of this one's.
        server.sql("CHECKPOINT")
        server.sql(f'CREATE DATABASE "{name}"')
        self.url = server.url_of(name)

    def rows(self, query):
        return self.server.select(query, self.url)

    def size_mib(self):
        return self.server.select(f"SELECT pg_database_size('{self.name}') / 1048576 AS size", self.url)[0]["size"]

    def drop(self):
        self.server.sql(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


class PostgresServer(audited.Postgres):
    """A server of its own (scripts/postgres), on a socket only, for as long as the benchmark runs."""

    def begin(self, beside):
        super().begin()
        folder = Path(parse_qs(urlparse(self.url).query)["host"][0])
        if folder.stat().st_dev != beside.stat().st_dev:
            raise SystemExit(f"{beside} is not on the disk that PostgreSQL's data are on ({folder})")
        data = folder / "data"
        self.pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        self.version = self.select("SHOW server_version", self.url)[0]["server_version"]
        names = ("fsync", "full_page_writes", "synchronous_commit", "wal_sync_method", "shared_buffers", "max_wal_size", "wal_compression")
        listed = ", ".join(f"'{name}'" for name in names)
        found = self.select(f"SELECT name, current_setting(name) AS setting FROM pg_settings WHERE name IN ({listed})", self.url)
        self.settings = {row["name"]: row["setting"] for row in found}
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            if self.settings[name] != "on":
                raise SystemExit(f"PostgreSQL runs with {name} = {self.settings[name]}: what is measured so is not durable")

    def select(self, query, url=None):
        # SHOW is no part of a query.
        if query.startswith("SHOW "):
            name = query.removeprefix("SHOW ")
            query = f"SELECT current_setting('{name}') AS {name}"
        known, self.url = self.url, url or self.url
        try:
            return super().select(query)
        finally:
            self.url = known

    def sql(self, statement):
        command = ["psql", "--no-psqlrc", "--quiet", "--command", statement, self.url]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{statement}: {done.stderr}")

    def url_of(self, name):
        parts = urlparse(self.url)
        return parts._replace(path=f"/{name}").geturl()


class Stores:
    """Makes databases, and ends the server with the benchmark."""

    def __init__(self, folder):
        self.folder = folder
        self.server = None
        self.made = 0

    def begin_server(self):
        self.server = PostgresServer()
        self.server.begin(self.folder)

    def fresh(self, store):
        self.made += 1
        if store == "postgres":
            return PostgresDatabase(self.server, f"run_{self.made}")
        return SqliteDatabase(self.folder / f"sqlite-{self.made}")

    def end(self):
        if self.server is not None:
            self.server.end()
