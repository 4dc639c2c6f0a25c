"""What is aimed at, and whether it was reached: only ratios and times of one run, and only of runs that are not void."""

from statistics import median

MET, NOT_MET, NOT_MEASURED, VOID = "met", "not met", "not measured", "void"


def aims(found):
    rows = []
    for store in ("sqlite", "postgres"):
        rows += of_store(found, store)
    rows.append(sqlite_beside_postgres(found))
    rows += of_smpp(found)
    for idle in found.get("idle", []):
        rows.append(row(f"{idle['store']}: idle, processor", idle["cpu_percent"], "< 1 %", idle["cpu_percent"] < 1))
        rows.append(row(f"{idle['store']}: idle, memory", idle["rss"] / 1024, "≤ 40 MiB", idle["rss"] <= 40 * 1024))
    return rows


def row(aim, value, wanted, met):
    verdict = NOT_MEASURED if value is None else MET if met else NOT_MET
    return {"aim": aim, "value": value, "wanted": wanted, "verdict": verdict}


def void(rows):
    return [{**each, "verdict": VOID} for each in rows]


def run_of(found, store, connections, receipts=False):
    wanted = (store, connections, receipts)
    runs = (run for run in found["full"] if (run["store"], run["connections"], run["receipts"]) == wanted)
    return next(runs, None)


def fdatasync_ms(found):
    """The median of those that were taken before, between and after."""
    return median(sample["median_ms"] for sample in found["disk"])


def carrier_ms(found):
    """The carrier's own time: one submission at a time straight to the simulator. Nothing, where that was not measured: then the aim is
    only the stricter."""
    for run in found.get("smpp", {}).get("one_bind", []):
        if run["smsc"] == "simulator" and run["window"] == 1:
            return run["latency_ms"]["p50"]
    return 0.0


def of_store(found, store):
    rows = []
    engine = found.get("store", {}).get("stores", {}).get(store)
    run = run_of(found, store, 256)
    if run is not None:
        one_by_one = engine and engine["one_by_one"]["per_second"]
        ratio = run["per_second"] / one_by_one if one_by_one else None
        at_256 = [
            row(f"{store}: the whole way, 256 connections, to one by one", ratio, "≥ 3", ratio is not None and ratio >= 3),
            row(f"{store}: the whole way, 256 connections, charges/s", run["per_second"], "≥ 12,000", run["per_second"] >= 12_000),
            row(f"{store}: the same, stretch", run["per_second"], "≥ 20,000", run["per_second"] >= 20_000),
            row(f"{store}: the same, p99 in ms", run["latency_ms"]["p99"], "≤ 30", run["latency_ms"]["p99"] <= 30),
        ]
        rows += void(at_256) if run["void"] else at_256
    if engine is not None:
        ratio = engine["engine_1024"]["per_second"] / engine["raw_batches"]["per_second"]
        rows.append(row(f"{store}: engine, 1,024 in flight, to raw batches", ratio, "≥ 0.6", ratio >= 0.6))
    run = run_of(found, store, 16)
    if run is not None:
        ours = run["latency_ms"]["p50"] - carrier_ms(found)
        # The disk changes its mind: what counts is how it felt around this run.
        most = 2 + 3 * sum(run["fdatasync_ms"]) / len(run["fdatasync_ms"])
        at_16 = [row(f"{store}: 16 connections, p50 over the carrier's own, in ms", ours, f"≤ {most:.2f} (2 + 3 fdatasync)", ours <= most)]
        rows += void(at_16) if run["void"] else at_16
    return rows


def sqlite_beside_postgres(found):
    ratios, is_void = [], False
    for run in found["full"]:
        other = run_of(found, "postgres", run["connections"], run["receipts"])
        if run["store"] == "sqlite" and other is not None:
            ratios.append(run["per_second"] / max(1e-9, other["per_second"]))
            is_void |= bool(run["void"] or other["void"])
    least = min(ratios, default=None)
    found_row = row("sqlite to postgres, the whole way, the least of all", least, "≥ 1", least is not None and least >= 1)
    return void([found_row])[0] if is_void else found_row


def of_smpp(found):
    for run in found.get("smpp", {}).get("one_bind", []):
        if run["smsc"] == "simulator" and run["window"] == 50:
            yield row("SMPP, one bind, window 50, submissions/s", run["per_second"], "≥ 40,000", run["per_second"] >= 40_000)
