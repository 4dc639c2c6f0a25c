"""The daemon as a process that is started, killed and started again."""

import asyncio
import os
import re
import resource
import signal
import time

from .web import NoAnswer

READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
KILL_POINT = re.compile(r'fail_point!\(\s*"([^"]+)"')


def kill_points(sources):
    """The names of all kill points that the daemon passes, from the source text. Those of a move or a restore are another command's."""
    found = set()
    for file in sources.rglob("*.rs"):
        found.update(KILL_POINT.findall(file.read_text()))
    return sorted(name for name in found if not name.startswith(("transfer-", "restore-", "retention-")))


class Daemon:
    def __init__(self, name, program, config, operations, folder, environment, network=None):
        self.name, self.program, self.config, self.folder = name, program, config, folder
        self.environment, self.operations = environment, operations
        # One of its own, or none: then it is in ours.
        self.network = network
        self.process = None
        self.starts = 0
        self.started_at = 0.0
        self.log = None

    @property
    def pid(self):
        return self.process.pid if self.is_running() else None

    def is_running(self):
        return self.process is not None and self.process.returncode is None

    async def start(self, kill_point=None):
        """Starts it. `kill_point` is a name and how often it is passed before it kills."""
        assert not self.is_running(), "it runs already"
        self.starts += 1
        self.log = self.folder / f"{self.name}-{self.starts:04}.log"
        environment = {**os.environ, **self.environment}
        if kill_point is not None:
            environment["KILL_POINT"] = f"{kill_point[0]}:{kill_point[1]}"
        with open(self.log, "wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(self.network.command() if self.network is not None else []), str(self.program), "serve", "--config", str(self.config),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                # A file that may not grow is an error of the write, not a signal; and no core is dumped.
                restore_signals=False, preexec_fn=without_core,
            )
        self.started_at = time.monotonic()

    async def ready(self):
        """Waits until it answers. False if it ended instead."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while self.is_running():
            try:
                status, _ = await self.operations.call("GET", "/healthz", timeout=2)
                if status == 200:
                    return True
            except (NoAnswer, ValueError):
                pass
            if time.monotonic() > deadline:
                raise SystemExit(f"the daemon does not get ready; see {self.log}")
            await asyncio.sleep(0.05)
        return False

    async def ended_within(self, seconds):
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
            return True
        except asyncio.TimeoutError:
            return False

    def send(self, number):
        if not self.is_running():
            return False
        try:
            self.process.send_signal(number)
        except ProcessLookupError:
            return False
        return True

    async def kill(self):
        """True if it was this that ended it."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        await self.process.wait()
        self.operations.forget()
        return self.process.returncode == -signal.SIGKILL

    async def stop(self):
        """In order. The exit status."""
        self.send(signal.SIGTERM)
        if not await self.ended_within(STOP_SECONDS_MAX):
            await self.kill()
        return self.process.returncode

    def was_killed_by_point(self, point):
        return is_killed_by_point(self.process.returncode, self.log.read_text(errors="replace"), point)

    def aborted(self):
        return self.process.returncode == -signal.SIGABRT


def is_killed_by_point(status, log, point):
    """It says so with its last words: an abort alone can be anything."""
    return status == -signal.SIGABRT and f"ended at the kill point {point}\n" in log


def without_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
