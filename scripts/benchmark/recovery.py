"""`kill -9` while a hundred thousand charges are on their way, and how long it takes until the daemon sells again and knows what is in doubt."""

import subprocess
import time

from .processes import Process, memory_kib
from .world import FIRST_VEHICLE, PREFIXES, TOKEN, VEHICLES, Setting, World, first_number

IN_FLIGHT, QUICK_IN_FLIGHT = 100_000, 2_000
ASKED, QUICK_ASKED = 20_000, 500
# Nobody waits longer. What has not been reached then is said.
FILL_SECONDS, RECOVERY_SECONDS, ASKED_SECONDS = 240, 120, 60
FILLING_CONNECTIONS = 64
# A charge at a carrier that is silent stays open as long as the measurement takes.
LONG_MS, LONG_SECONDS = 3_600_000, 3_600
# After how long a carrier is asked about what it has accepted; longer than the filling takes.
ASKED_AFTER_MS = 30_000


def measure(bench, store):
    """The carrier takes each charge and says nothing: all are open. Killed, started again: all are in doubt."""
    wanted = QUICK_IN_FLIGHT if bench.quick else IN_FLIGHT
    setting = Setting(
        carriers=tuple(PREFIXES), binds=4 if bench.quick else 26, answers=False, response_timeout_ms=LONG_MS,
        deadline_seconds=LONG_SECONDS, flights_max=max(4_096, wanted + 1),
    )
    bench.say(f"{store}: {wanted} charges in flight")
    database = bench.stores.fresh(store)
    try:
        with World(bench.program, bench.repository, bench.folder(f"recovery-{store}"), database, setting) as world:
            world.sell()
            empty = memory_kib(world.daemon.pid)
            fill(bench, world, wanted)
            in_flight = wait_for(lambda: world.stats()["submits"], wanted, 60)
            open_attempts = database.attempts().get("open", 0)
            found = {
                "store": store, "wanted": wanted, "sent": in_flight, "open_attempts": open_attempts,
                "memory_kib": {"idle": empty["rss"], "in_flight": memory_kib(world.daemon.pid)["rss"]},
            }
            if open_attempts != wanted:
                bench.trouble(f"{store}, recovery", f"{open_attempts} attempts are open, and not {wanted}")
            found["bytes_per_charge"] = (found["memory_kib"]["in_flight"] - empty["rss"]) * 1024 // max(1, open_attempts)
            submits = world.stats()["submits"]
            world.daemon.kill()
            bench.say(f"{store}: killed, and started again")
            begun = time.monotonic()
            ready = world.begin_daemon(RECOVERY_SECONDS)
            found["ready_seconds"] = ready
            left = max(0.0, RECOVERY_SECONDS - (time.monotonic() - begun))
            in_doubt = wait_for(database.in_doubt, open_attempts, left)
            found["in_doubt"] = in_doubt
            found["all_in_doubt_seconds"] = time.monotonic() - begun if in_doubt >= open_attempts else None
            found["per_second"] = round(in_doubt / (time.monotonic() - begun))
            found["memory_kib"]["recovered"] = memory_kib(world.daemon.pid)["rss"]
            # Nothing may be sent a second time, and nothing be forgotten.
            if (again := world.stats()["submits"]) != submits:
                bench.trouble(f"{store}, recovery", f"{again - submits} messages were sent after the kill")
            if in_doubt > open_attempts:
                bench.trouble(f"{store}, recovery", f"{in_doubt} are in doubt, of {open_attempts}")
            world.daemon.kill()
            bench.say(f"{store}: ready after {seconds(ready)}, all in doubt after {seconds(found['all_in_doubt_seconds'])}")
            return found
    finally:
        database.drop()


def measure_asking(bench, store):
    """The carrier has accepted each charge, given it an id, and says no more: after a kill it is asked about each of them."""
    wanted = QUICK_ASKED if bench.quick else ASKED
    first_after = 5_000 if bench.quick else ASKED_AFTER_MS
    setting = Setting(
        charged_at="delivery", deadline_seconds=LONG_SECONDS, flights_max=max(4_096, wanted + 1),
        query=f"{{ first_after_ms = {first_after}, interval_ms_max = {LONG_MS} }}",
    )
    bench.say(f"{store}: {wanted} charges of which a carrier knows, and that wait for its word")
    database = bench.stores.fresh(store)
    try:
        with World(bench.program, bench.repository, bench.folder("asking"), database, setting) as world:
            world.sell()
            fill(bench, world, wanted)
            accepted = wait_for(lambda: database.attempts().get("accepted", 0), wanted, 60)
            before = world.stats()["queries"]
            world.daemon.kill()
            killed_at = time.monotonic()
            # Until all are due.
            time.sleep(first_after / 1_000)
            begun = time.monotonic()
            ready = world.begin_daemon(RECOVERY_SECONDS)
            asked = wait_for(lambda: world.stats()["queries"] - before, accepted, ASKED_SECONDS)
            took = time.monotonic() - begun
            world.daemon.kill()
            return {
                "store": store, "wanted": wanted, "accepted": accepted, "down_seconds": round(begun - killed_at, 1), "ready_seconds": ready,
                "asked": asked, "all_asked_seconds": took if asked >= accepted else None,
                "per_second": round(asked / max(0.001, took - (ready or 0.0))),
            }
    finally:
        database.drop()


def fill(bench, world, wanted):
    """So many charges, without waiting for what becomes of them; the carriers take their turns."""
    names = world.setting.carriers
    for name in names:
        count = wanted // len(names)
        command = [
            bench.executables["load"], "--address", world.api, "--token", TOKEN, "--connections", FILLING_CONNECTIONS, "--wait", 0,
            "--count", count, "--first-msisdn", first_number(name), "--first-vehicle", FIRST_VEHICLE, "--vehicles", VEHICLES,
        ]
        load = Process(command, world.folder / "load.log", output=subprocess.PIPE)
        world.ends.callback(load.kill)
        done = None
        for line in load.lines(FILL_SECONDS):
            done = line if line["event"] == "done" else done
        if load.process.returncode != 0 or done is None:
            raise SystemExit(f"the load broke off: {load.words()[-4000:]}")
        if done["in_all"]["errors"]:
            raise SystemExit(f"the load was refused: {done['in_all']['errors_by_kind']}")


def wait_for(count, wanted, seconds_max):
    """Until there are so many, or the time is over. How many there are."""
    until = time.monotonic() + seconds_max
    while (found := count()) < wanted and time.monotonic() < until:
        time.sleep(0.25)
    return found


def seconds(value):
    return f"{value:.1f} s" if value is not None else "more time than it was given"
