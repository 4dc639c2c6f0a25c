"""Processes that the benchmark starts, what they have used, and their end: only of these, and by their own ids."""

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

END_SECONDS = 45
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat after the name in brackets, which may itself contain anything: state is the first.
PARENT, USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM = 1, 11, 12, 13, 14


class Process:
    """One process, with its log in a file. It gets no signal of the terminal: whoever started it ends it."""

    def __init__(self, command, log, environment=None, output=subprocess.DEVNULL):
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=file if output is None else output, stderr=file,
                env={**os.environ, **(environment or {})}, start_new_session=True, text=True,
            )
        self.log = Path(log)

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def line(self):
        """The next line of its output as JSON; None at the end."""
        text = self.process.stdout.readline()
        return json.loads(text) if text else None

    def lines(self, seconds_max):
        """All lines of its output as JSON. If it has not ended after this time, it is killed, and they end."""
        watchdog = threading.Timer(seconds_max, self.kill)
        watchdog.start()
        try:
            while (line := self.line()) is not None:
                yield line
            self.process.wait()
        finally:
            watchdog.cancel()

    def kill(self):
        if self.is_running():
            self.process.kill()
        self.process.wait()

    def end(self):
        """In order, or else by force. The exit status."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        status = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def words(self):
        return self.log.read_text(errors="replace")


def stat(pid):
    """The fields after the name; None if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def tree(pid):
    """A process and its children."""
    children = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = stat(entry.name)
            if fields is not None and int(fields[PARENT]) == pid:
                children.append(int(entry.name))
    return [pid, *children]


def cpu_seconds(pid, with_children=False):
    """Processor time, of user and system. With the children also of those that have ended."""
    ticks = 0
    for each in tree(pid) if with_children else [pid]:
        fields = stat(each)
        if fields is not None:
            ticks += int(fields[USER]) + int(fields[SYSTEM])
            if with_children and each == pid:
                ticks += int(fields[CHILDREN_USER]) + int(fields[CHILDREN_SYSTEM])
    return ticks / TICKS_PER_SECOND


def machine_seconds():
    """Processor time that all processes of the machine have used, and what its host has kept from it."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _wait, irq, soft_irq, stolen = (int(ticks) for ticks in file.readline().split()[1:9])
    return {"used": (user + nice + system + irq + soft_irq) / TICKS_PER_SECOND, "stolen": stolen / TICKS_PER_SECOND}


def memory_kib(pid):
    """What is resident now, and the most that ever was."""
    found = {"rss": 0, "peak": 0}
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                found["rss" if name == "VmRSS" else "peak"] = int(value.split()[0])
    except OSError:
        pass
    return found


def shared_memory_kib(pid):
    """What a process and its children take together: a page that several of them share is counted once (PSS)."""
    total = 0
    for each in tree(pid):
        try:
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total
