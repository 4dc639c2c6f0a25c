"""The whole way: requests over HTTP, two commits, the carrier over SMPP, a signed ticket; and then three books that must agree."""

import subprocess
import time

from . import machine
from .processes import Process, cpu_seconds, machine_seconds, memory_kib
from .world import FIRST_VEHICLE, TOKEN, VEHICLES, Setting, World, first_number

# So long the last receipts and texts may take.
SETTLE_SECONDS = 30
# The load gives an answer a minute, and then a lost daemon some tries.
LAST_ANSWER_SECONDS = 120
COMPLAINTS_SHOWN = 5
SYNCS = 100


def measure(bench, store, connections, receipts):
    """One run. `errors` and `void` say whether it counts."""
    database = bench.stores.fresh(store)
    try:
        with World(bench.program, bench.repository, bench.folder(f"{store}-{connections}"), database, Setting(receipts=receipts)) as world:
            world.sell()
            found = {"store": store, "connections": connections, "receipts": receipts, **run_load(bench, world, connections)}
            settle(world)
            found["commits"] = commits(world)
            found["void"] = differences(world, found)
            found["daemon_log"] = world.complaints()[:COMPLAINTS_SHOWN]
            found["store_mib"] = database.size_mib()
            if (status := world.daemon.end()) != 0:
                found["void"].append(f"the daemon ended with status {status}")
            return found
    finally:
        database.drop()


def run_load(bench, world, connections):
    command = [
        bench.executables["load"], "--address", world.api, "--token", TOKEN, "--connections", connections,
        "--seconds", bench.seconds, "--warm-up", bench.warm_up, "--first-msisdn", first_number("beeline"),
        "--first-vehicle", FIRST_VEHICLE, "--vehicles", VEHICLES,
    ]
    found = {"fdatasync_ms": [machine.fdatasync(bench.root, "before", SYNCS)["median_ms"]]}
    load = Process(command, world.folder / "load.log", output=subprocess.PIPE)
    world.ends.callback(load.kill)
    used, whole = {}, {}
    for line in load.lines(bench.warm_up + bench.seconds + LAST_ANSWER_SECONDS):
        event = line["event"]
        if event in ("measuring", "measured"):
            used[event], whole[event] = processor_time(world, load), machine_seconds()
        elif event == "found":
            found.update(line["found"])
        elif event == "done":
            found["asked"], found["in_all"] = line["asked"], line["in_all"]
    if load.process.returncode != 0 or "in_all" not in found:
        raise SystemExit(f"the load broke off: {load.words()[-4000:]}")
    found["fdatasync_ms"].append(machine.fdatasync(bench.root, "after", SYNCS)["median_ms"])
    charges = max(1, found["answers"])
    found["cpu_us_per_charge"] = {
        name: round((used["measured"][name] - before) / charges * 1e6, 1) for name, before in used["measuring"].items()
    }
    cores = sum(used["measured"][name] - before for name, before in used["measuring"].items()) / found["seconds"]
    in_all = {name: (whole["measured"][name] - before) / found["seconds"] for name, before in whole["measuring"].items()}
    # Whoever else is at work takes what we could have had.
    found["cores"] = {"ours": round(cores, 2), "others": round(max(0.0, in_all["used"] - cores), 2), "stolen": round(in_all["stolen"], 2)}
    found["memory_kib"] = {
        "daemon": memory_kib(world.daemon.pid), "simulator": memory_kib(world.simulator.pid),
        "database": {"pss": world.database.memory_kib()},
    }
    return found


def commits(world):
    """What the daemon itself counted: how many writes shared a transaction, and how long one took."""
    counted = world.metrics()
    count = counted.get("store_commit_seconds_count", 0)
    if not count:
        return {"count": 0, "writes_each": None, "ms_each": None}
    return {
        "count": int(count), "writes_each": round(counted["store_batch_rows_sum"] / count, 1),
        "ms_each": round(counted["store_commit_seconds_sum"] / count * 1e3, 2),
    }


def processor_time(world, load):
    return {
        "daemon": cpu_seconds(world.daemon.pid), "simulator": cpu_seconds(world.simulator.pid),
        "database": world.database.cpu_seconds(), "load": cpu_seconds(load.pid),
    }


def settle(world):
    """Waits until nothing moves any more: receipts have been heard, and texts sent."""
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        stats = world.stats()
        if stats["messages_pending"] == 0 and stats["deliveries_pending"] == 0:
            return
        time.sleep(0.2)


def differences(world, found):
    """Why this run proves nothing: what the load was told, our books and the carrier's books must be the same charges."""
    wrong = [f"{kind}: {of['count']} times, for instance: {of['example']}" for kind, of in found["in_all"]["errors_by_kind"].items()]
    carrier, stats = world.carrier_books(), world.stats()
    states, sums, ours = world.database.states(), world.database.sums(), world.database.charged()
    told, asked = found["in_all"]["good"], found["asked"]
    theirs = {entry["reference"].replace("-", "") for entry in carrier["entries"]}
    counts = {
        "purchases asked for": asked, "answers with a ticket": told, "charges in our books": states.get("charged", 0),
        "tickets": sums["tickets"], "charges in the carrier's books": carrier["count"], "references in the carrier's books": len(theirs),
    }
    found["counts"] = {**counts, "states": states, "commits": sums["commits"], "submits": stats["submits"], "receipts": stats["receipts"]}
    if len(set(counts.values())) != 1:
        wrong.append(f"the books differ: {counts}")
    if ours != theirs:
        wrong.append(f"{len(ours - theirs)} charges are ours alone, {len(theirs - ours)} the carrier's alone")
    if set(states) - {"charged"}:
        wrong.append(f"not all are charged: {states}")
    if carrier["charged_twice"]:
        wrong.append(f"charged twice: {carrier['charged_twice']}")
    if sums["ledger_sum"] != 0:
        wrong.append(f"the ledger does not add up: {sums['ledger_sum']}")
    if (total := carrier["total"]["minor"]) != sums["charged_minor"]:
        wrong.append(f"the carrier took {total}, we have {sums['charged_minor']}")
    if stats["malformed"]:
        wrong.append(f"malformed PDUs: {stats['malformed_last']}")
    return wrong
