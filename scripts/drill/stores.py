"""How each store is started, backed up while it is served, and put back to the moment of the back-up."""

import os
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

from crash.cluster import at_work_in, kill_all, programs
from lib.processes import free_port

WITHIN_SECONDS = 60


class Sqlite:
    """One file. `smsbusd backup` copies it beside the daemon."""

    name = "sqlite"

    def __init__(self, folder):
        self.folder = folder / "store"
        self.folder.mkdir()
        self.file = self.folder / "smsbusd.db"
        self.copy = folder / "back-up.db"
        self.url = f"sqlite://{self.file}"

    def begin(self):
        """There is nothing to start."""

    def back_up(self, smsbusd):
        print("  " + smsbusd("backup", "--to", self.copy).stdout.strip())

    def go_on(self):
        """Nothing is archived."""

    def put_back(self):
        """Another file in its place; and nothing of the old log, which would be played into it."""
        for beside in ("", "-wal", "-shm"):
            Path(f"{self.file}{beside}").unlink(missing_ok=True)
        shutil.copy(self.copy, self.file)

    def rows(self, query):
        books = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=10)
        try:
            return [tuple(str(value) for value in row) for row in books.execute(query)]
        finally:
            books.close()

    def hexadecimal(self, column):
        return f"lower(hex({column}))"

    # A file has no standby.
    follow = None

    def end(self):
        """There is nothing to stop."""


class Postgres:
    """A server with an archive of its log. It is put back to a moment (PITR) from a base back-up. As root it runs as `postgres`."""

    name = "postgres"

    def __init__(self, folder):
        self.programs = programs()
        self.folder = Path(folder) / "server"
        self.folder.mkdir()
        self.as_user = []
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        self.data, self.base, self.archive = self.folder / "data", self.folder / "base", self.folder / "archive"
        self.standby = self.folder / "standby"
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def begin(self):
        self.run("initdb", "--pgdata", self.data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
        self.run("mkdir", self.archive)
        self.start()

    def start(self):
        options = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder, "archive_mode": "on",
            "archive_command": f"'test ! -f {self.archive}/%f && cp %p {self.archive}/%f'", "max_connections": "100",
        }
        with open(self.data / "postgresql.auto.conf", "a") as config:
            config.writelines(f"{name} = {quoted(value)}\n" for name, value in options.items())
        self.run("pg_ctl", "--pgdata", self.data, "--log", self.folder / "log", "--silent", "--wait", "start")

    def back_up(self, smsbusd):
        self.run("pg_basebackup", "--pgdata", self.base, "--host", "127.0.0.1", "--port", self.port, "--username", "postgres", "--checkpoint", "fast", "--wal-method", "none", "--no-manifest")
        # The moment to which the server will be put back. By a name, no clock matters.
        self.rows("SELECT pg_create_restore_point('drill')")
        print("  pg_basebackup, and the restore point 'drill'")

    def go_on(self):
        """The log with everything is archived: what is lost is left out by the restore, and not by chance."""
        self.rows("SELECT pg_switch_wal()")
        deadline = time.monotonic() + WITHIN_SECONDS
        while self.rows("SELECT count(*) FROM pg_stat_archiver WHERE archived_count > 0 AND last_archived_time > now() - interval '5 s'") == [("0",)]:
            if time.monotonic() > deadline:
                raise SystemExit("the log is not archived")
            time.sleep(0.2)

    def put_back(self):
        self.kill()
        # Nobody may have waited for the server that was killed, and then it seems to hold its socket still.
        for left in self.folder.glob(".s.PGSQL.*"):
            left.unlink()
        shutil.rmtree(self.data)
        self.run("cp", "-a", self.base, self.data)
        self.run("touch", self.data / "recovery.signal")
        with open(self.data / "postgresql.auto.conf", "a") as config:
            config.write(f"restore_command = 'cp {self.archive}/%f %p'\nrecovery_target_name = 'drill'\nrecovery_target_action = 'promote'\n")
        self.start()
        deadline = time.monotonic() + WITHIN_SECONDS
        while self.rows("SELECT pg_is_in_recovery()") != [("f",)]:
            if time.monotonic() > deadline:
                raise SystemExit("the server does not come out of its recovery")
            time.sleep(0.2)
        # A standby that is made of it would look for the same target, and never take over.
        for setting in ("recovery_target_name", "recovery_target_action", "restore_command"):
            self.rows(f"ALTER SYSTEM RESET {setting}")

    def follow(self):
        """A standby, for which every commit waits from now on."""
        self.run("pg_basebackup", "--pgdata", self.standby, "--host", "127.0.0.1", "--port", self.port, "--username", "postgres", "--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync")
        with open(self.standby / "postgresql.auto.conf", "a") as config:
            config.write(f"port = {free_port()}\n")
        self.run("pg_ctl", "--pgdata", self.standby, "--log", self.folder / "standby.log", "--silent", "--wait", "start")
        self.rows("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.rows("SELECT pg_reload_conf()")
        deadline = time.monotonic() + WITHIN_SECONDS
        while self.rows("SELECT sync_state FROM pg_stat_replication") != [("sync",)]:
            if time.monotonic() > deadline:
                raise SystemExit("the standby does not follow")
            time.sleep(0.2)

    def fail_over(self):
        """The primary is killed, and the standby takes its place, on another timeline. Returns the timelines."""
        timelines = [self.timeline()]
        self.kill()
        for left in self.folder.glob(f".s.PGSQL.{self.port}*"):
            left.unlink()
        self.run("pg_ctl", "--pgdata", self.standby, "--silent", "--wait", "promote")
        self.run("pg_ctl", "--pgdata", self.standby, "--silent", "--wait", "--mode", "fast", "stop")
        self.data = self.standby
        with open(self.data / "postgresql.auto.conf", "a") as config:
            config.write("synchronous_standby_names = ''\n")
        self.start()
        return [*timelines, self.timeline()]

    def timeline(self):
        return int(self.rows("SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int")[0][0])

    def rows(self, query):
        command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator", "\t", "--command", query, self.url]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode != 0:
            raise SystemExit(f"{query}: {answer.stderr}")
        return [tuple(line.split("\t")) for line in answer.stdout.splitlines()]

    def hexadecimal(self, column):
        return f"replace({column}::text, '-', '')"

    def kill(self):
        deadline = time.monotonic() + WITHIN_SECONDS
        while family := at_work_in(self.data):
            kill_all(family)
            if time.monotonic() > deadline:
                raise SystemExit("the server outlives its end")
            time.sleep(0.05)

    def run(self, program, *arguments):
        known = self.programs / program
        command = [*self.as_user, str(known if known.exists() else program), *map(str, arguments)]
        answer = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
        if answer.returncode != 0:
            raise SystemExit(f"{program}: {answer.stderr}")

    def end(self):
        for data in (self.data, self.standby):
            self.data = data
            if data.exists():
                self.kill()


def quoted(value):
    text = str(value)
    return text if text.startswith("'") else "'" + text + "'"
