"""What the figures were measured on, and how the disk felt at the time."""

import os
import platform
import shutil
import subprocess
import time

SYNCS = 300
BLOCK = b"\0" * 4096


def machine(repository, folder):
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": processor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2,
        "file_system": first_line(["stat", "--file-system", "--format=%T", str(folder)]),
        "load_average": os.getloadavg()[0],
        "commit": first_line(["git", "-C", str(repository), "rev-parse", "HEAD"]),
        "changed_files": len(lines(["git", "-C", str(repository), "status", "--porcelain"])),
        "rustc": first_line(["rustc", "--version"]),
        "python": platform.python_version(),
        "began_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def processor():
    try:
        with open("/proc/cpuinfo") as info:
            return next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown")
    except OSError:
        return "unknown"


def fdatasync(folder, when, count=SYNCS):
    """The time in ms of an fdatasync after 4 KiB that are appended, as every commit waits for at least one."""
    path = folder / "fdatasync"
    took = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(count):
            file.write(BLOCK)
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begun) * 1e3)
    path.unlink()
    took.sort()
    at = lambda part: round(took[min(len(took) - 1, int(len(took) * part))], 3)  # noqa: E731
    return {"when": when, "median_ms": at(0.5), "p99_ms": at(0.99), "count": count, "load_average": os.getloadavg()[0]}


def lines(command):
    if shutil.which(command[0]) is None:
        return []
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else []


def first_line(command):
    return next(iter(lines(command)), "unknown")
