"""A million charges in doubt, and what they cost the daemon that looks after them."""

import subprocess
import time

from .processes import cpu_seconds, memory_kib
from .world import Setting, World

IN_DOUBT, QUICK_IN_DOUBT = 1_000_000, 5_000
FILL_SECONDS, READY_SECONDS, SWEEPS_SECONDS = 900, 300, 60


def measure(bench, store):
    wanted = QUICK_IN_DOUBT if bench.quick else IN_DOUBT
    bench.say(f"{store}: {wanted} charges in doubt")
    database = bench.stores.fresh(store)
    try:
        with World(bench.program, bench.repository, bench.folder("memory"), database, Setting()) as world:
            world.sell()
            time.sleep(1 if bench.quick else 5)
            idle = memory_kib(world.daemon.pid)["rss"]
            if world.daemon.end() != 0:
                bench.trouble(f"{store}, memory", "the daemon did not end well")
            begun = time.monotonic()
            # Straight into the store, in batches: over the API it would take far longer, and be the same rows.
            command = [bench.executables["store"], "--fill", database.url, "--count", wanted]
            try:
                done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=FILL_SECONDS)
            except subprocess.TimeoutExpired:
                raise SystemExit(f"the store was not filled in {FILL_SECONDS} s") from None
            if done.returncode != 0:
                raise SystemExit(f"the store was not filled: {done.stderr[-4000:]}")
            found = {"store": store, "wanted": wanted, "filled_seconds": round(time.monotonic() - begun, 1), "in_doubt": database.in_doubt()}
            found["store_mib"] = database.size_mib()
            bench.say(f"{store}: filled in {found['filled_seconds']} s")
            found["ready_seconds"] = world.begin_daemon(READY_SECONDS)
            if found["ready_seconds"] is None:
                bench.trouble(f"{store}, memory", f"the daemon was not ready within {READY_SECONDS} s")
            at_ready = memory_kib(world.daemon.pid)
            used, since = cpu_seconds(world.daemon.pid), time.monotonic()
            time.sleep(3 if bench.quick else SWEEPS_SECONDS)
            later = memory_kib(world.daemon.pid)
            took = time.monotonic() - since
            found["memory_kib"] = {"idle": idle, "ready": at_ready["rss"], "later": later["rss"], "peak": later["peak"]}
            found["bytes_per_charge"] = (later["rss"] - idle) * 1024 // max(1, found["in_doubt"])
            found["cpu_percent_later"] = round((cpu_seconds(world.daemon.pid) - used) / took * 100, 1)
            found["in_doubt_later"] = database.in_doubt()
            if found["in_doubt_later"] != found["in_doubt"] or found["in_doubt"] != wanted:
                bench.trouble(f"{store}, memory", f"in doubt: {found['in_doubt']}, then {found['in_doubt_later']}, and not {wanted}")
            # What it has to do at its end is measured nowhere.
            world.daemon.kill()
            return found
    finally:
        database.drop()
