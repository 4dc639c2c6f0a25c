"""What the daemon takes while nobody buys: its binds are up, its sweeps run."""

import time

from .processes import cpu_seconds, memory_kib
from .world import Setting, World

SETTLE_SECONDS, SECONDS = 5, 20


def measure(bench, store):
    bench.say(f"{store}: idle")
    database = bench.stores.fresh(store)
    try:
        setting = Setting()
        with World(bench.program, bench.repository, bench.folder(f"idle-{store}"), database, setting) as world:
            world.sell()
            time.sleep(1 if bench.quick else SETTLE_SECONDS)
            begun, used = time.monotonic(), cpu_seconds(world.daemon.pid)
            database_used = database.cpu_seconds()
            time.sleep(2 if bench.quick else SECONDS)
            took = time.monotonic() - begun
            return {
                "store": store, "binds": setting.binds, "seconds": round(took, 1),
                "cpu_percent": round((cpu_seconds(world.daemon.pid) - used) / took * 100, 2),
                "database_cpu_percent": round((database.cpu_seconds() - database_used) / took * 100, 2),
                **memory_kib(world.daemon.pid),
            }
    finally:
        database.drop()
