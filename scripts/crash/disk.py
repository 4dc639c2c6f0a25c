"""The disk under the store: full and slow on demand."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

SHIM_SOURCE = Path(__file__).with_name("slow_sync.c")
TMPFS_BYTES = 8 * 1024**3
# What is left when a disk is full: what has its block already can still be written.
PAGE = 4096
# What failed for want of room may be noticed so much later.
AFTER_FULL_SECONDS = 10


class Disk:
    """Where the store lies. As root a file system of its own in memory, which can be shrunk to what is on it; otherwise a folder,
    and a limit on the size of the daemon's files."""

    def __init__(self, folder):
        self.folder = folder
        self.mounted = False
        self.shim = None
        self.delay = folder.parent / "sync-delay"
        self.fillings, self.freed_at = 0, 0.0

    def prepare(self):
        self.folder.mkdir()
        if os.geteuid() == 0:
            command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES},mode=700", "smsbusd-crash", str(self.folder)]
            self.mounted = subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
        self.shim = self.compile()
        self.be_slow(0)

    def compile(self):
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            return None
        shim = self.folder.parent / "slow_sync.so"
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(shim), str(SHIM_SOURCE)]
        return shim if subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0 else None

    def environment(self):
        return {"LD_PRELOAD": str(self.shim), "CRASH_TEST_SYNC_DELAY": str(self.delay)} if self.shim else {}

    def words(self):
        full = "tmpfs, shrunk to what is on it" if self.mounted else "limit on the size of files"
        slow = "fdatasync that waits" if self.shim else "process stopped for a while"
        return f"full disk: {full}; slow disk: {slow}"

    def be_slow(self, milliseconds):
        """Every fdatasync takes this much longer from now on."""
        temporary = self.delay.with_suffix(".new")
        temporary.write_text(str(int(milliseconds * 1000)))
        temporary.replace(self.delay)

    async def slow_for(self, seconds, milliseconds, daemon):
        if self.shim is None:
            if daemon.send(signal.SIGSTOP):
                try:
                    await asyncio.sleep(seconds)
                finally:
                    daemon.send(signal.SIGCONT)
            return
        self.be_slow(milliseconds)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.be_slow(0)

    async def full_for(self, seconds, daemon):
        self.fill(daemon)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.free(daemon)

    def is_full(self):
        """Whether it is, or was a moment ago."""
        return self.fillings > 0 or time.monotonic() - self.freed_at < AFTER_FULL_SECONDS

    def fill(self, daemon):
        """Until `free` is called as often."""
        self.fillings += 1
        if self.mounted:
            statistics = os.statvfs(self.folder)
            used = (statistics.f_blocks - statistics.f_bfree) * statistics.f_frsize
            self.resize(max(used, PAGE))
        else:
            # The log of a write-ahead store is written over and over within its size; more it cannot be.
            sizes = [file.stat().st_size for file in self.folder.glob("*-wal")]
            limit_files(daemon, max([PAGE * 16, *sizes]))

    def free(self, daemon):
        self.fillings = max(0, self.fillings - 1)
        if self.fillings:
            return
        self.freed_at = time.monotonic()
        if self.mounted:
            self.resize(TMPFS_BYTES)
        else:
            limit_files(daemon, resource.RLIM_INFINITY)

    def resize(self, size):
        command = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        subprocess.run(command, stderr=subprocess.DEVNULL)

    def end(self):
        """The file system in memory goes; what is on it stays in the folder."""
        if not self.mounted:
            return
        kept = self.folder.with_name("kept")
        shutil.copytree(self.folder, kept)
        subprocess.run(["umount", "-l", str(self.folder)], stderr=subprocess.DEVNULL)
        self.mounted = False
        self.folder.rmdir()
        kept.rename(self.folder)


def limit_files(daemon, size):
    if daemon.pid is None:
        return
    try:
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass
