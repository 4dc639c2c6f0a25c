"""A primary and its synchronous standby: killed and restarted, or killed and replaced by the standby."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from lib.processes import lasting_port

WITHIN_SECONDS = 60
# Settings of both servers. Nothing of them makes a commit less durable.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_keep_size": "512MB",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_retrieve_retry_interval": "500ms",
}


class Server:
    """One of the two. As root it runs as the user `postgres` of Debian's package."""

    def __init__(self, folder, name):
        self.data, self.name = folder / name, name
        self.port = None
        self.log = folder / f"{name}.log"


class Cluster:
    def __init__(self, dice):
        self.dice = dice
        self.programs = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="smsbusd-cluster-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.as_user = []
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        self.primary, self.standby = Server(self.folder, "one"), Server(self.folder, "two")
        # What the daemons connect to leads to the primary.
        self.link = None

    async def begin(self):
        primary = self.primary
        await self.run("initdb", "--pgdata", primary.data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
        await self.start(primary)
        await self.follow()

    async def start(self, server):
        server.port = server.port or lasting_port(self.dice)
        options = {**SETTINGS, "port": server.port, "unix_socket_directories": self.folder}
        given = " ".join(f"-c {name}={value}" for name, value in options.items())
        try:
            await self.run("pg_ctl", "--pgdata", server.data, "--log", server.log, "--silent", "--wait", "--options", given, "start")
        except SystemExit as failed:
            raise SystemExit(f"{failed}{server.log.read_text(errors='replace')[-2_000:]}") from None
        if self.link is not None and server is self.primary:
            self.link.targets = [f"127.0.0.1:{server.port}"]

    async def follow(self):
        """The standby begins anew as a copy of the primary, and every commit waits for it from then on."""
        primary, standby = self.primary, self.standby
        await asyncio.to_thread(shutil.rmtree, standby.data, True)
        standby.port = None
        await self.run(
            "pg_basebackup", "--pgdata", standby.data, "--host", "127.0.0.1", "--port", primary.port, "--username", "postgres",
            "--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync",
        )
        await self.start(standby)
        await self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        deadline = time.monotonic() + WITHIN_SECONDS
        while "sync" not in await self.sql("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"):
            if time.monotonic() > deadline:
                raise SystemExit(f"the standby does not follow, see {standby.log}")
            await asyncio.sleep(0.1)

    async def restart(self):
        """The primary is killed, and comes up again from its own log."""
        await self.kill(self.primary)
        await asyncio.sleep(self.dice.uniform(0, 5))
        await self.start(self.primary)

    async def fail_over(self):
        """The primary is killed, and the standby takes its place. What was the primary begins anew as the standby."""
        await self.kill(self.primary)
        self.link.cut()
        await asyncio.sleep(self.dice.uniform(0, 3))
        self.primary, self.standby = self.standby, self.primary
        await self.run("pg_ctl", "--pgdata", self.primary.data, "--silent", "--wait", "promote")
        # Until there is a standby again, no commit can wait for one.
        await self.sql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        self.link.targets = [f"127.0.0.1:{self.primary.port}"]
        await asyncio.sleep(self.dice.uniform(0, 5))
        await self.follow()

    async def kill(self, server):
        """The server and all of its processes, with no chance to say anything."""
        deadline = time.monotonic() + WITHIN_SECONDS
        # The first is killed first, so that there are no new ones; the last may be born meanwhile.
        while family := at_work_in(server.data):
            kill_all(family)
            if time.monotonic() > deadline:
                raise SystemExit("a server outlives its end")
            await asyncio.sleep(0.05)
        # Who is killed and not yet waited for by anybody has a number still, and would be taken for a server that runs.
        for mark in (server.data / "postmaster.pid", self.folder / f".s.PGSQL.{server.port}.lock"):
            mark.unlink(missing_ok=True)

    async def sql(self, *statements):
        commands = [argument for statement in statements for argument in ("--command", statement)]
        url = f"postgres://postgres@127.0.0.1:{self.primary.port}/postgres"
        process = await asyncio.create_subprocess_exec(
            "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", *commands, url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
        )
        out, error = await process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"{statements}: {error.decode()}")
        return out.decode()

    async def run(self, program, *arguments):
        process = await asyncio.create_subprocess_exec(
            *self.as_user, str(self.programs / program), *map(str, arguments),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, cwd=self.folder,
        )
        _, error = await process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"{program}: {error.decode()}")

    def end(self):
        for server in (self.primary, self.standby):
            for _ in range(20):
                family = at_work_in(server.data)
                if not family:
                    break
                kill_all(family)
                time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)


def programs():
    found = shutil.which("initdb")
    if found is None:
        every = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not every:
            raise SystemExit("initdb is missing; it is in the Debian package postgresql")
        found = every[-1]
    return Path(found).resolve().parent


def at_work_in(folder):
    """The processes of the server with its data there, whatever they call themselves: each works in that folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd") == str(folder) and is_alive(int(process.name)):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def kill_all(members):
    for member in members:
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            pass


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False
