"""What was found, for reading."""

from .verdicts import fdatasync_ms

# The kernel's own work in between is not more than that, in cores.
OTHERS_MAX = 0.2


def text(found):
    parts = [head(found), disk(found), store(found), smpp(found), full(found), idle(found), recovery(found), memory(found), aims(found)]
    return "\n\n".join(part for part in parts if part)


def head(found):
    machine = found["machine"]
    lines = [
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_mib']} MiB, {machine['kernel']}, {machine['file_system']}",
        f"commit {machine['commit'][:12]}{' and changes to it' if machine['changed_files'] else ''}, {machine['rustc']}, load average before: {machine['load_average']:.2f}",
    ]
    if "postgres" in found:
        lines.append(f"PostgreSQL {found['postgres']['version']}, {found['postgres']['options']}")
    if found["quick"]:
        lines.append("quick: that it works, and no figures to compare")
    return "\n".join(lines)


def disk(found):
    rows = [[sample["when"], f"{sample['median_ms']:.2f}", f"{sample['p99_ms']:.2f}", f"{sample['load_average']:.1f}"] for sample in found["disk"]]
    return f"fdatasync of 4 KiB, ms; {fdatasync_ms(found):.2f} in the middle of all\n" + grid(["", "median", "p99", "load average"], rows)


def store(found):
    if "store" not in found:
        return ""
    rows = []
    for name, of in found["store"]["stores"].items():
        for key, what in (
            ("one_by_one", "by hand, one by one, 32 clients"), ("raw_batches", "by hand, set statements"), ("engine_1", "engine, 1 in flight"),
            ("engine_64", "engine, 64 in flight"), ("engine_1024", "engine, 1,024 in flight"),
        ):
            measured = of[key]
            rate = measured["per_second"]
            rows.append(
                [
                    name, what, f"{rate:,.0f}", f"{measured['latency_ms']['p50']:.2f}", f"{measured['latency_ms']['p99']:.2f}",
                    f"{rate / of['one_by_one']['per_second']:.2f}", f"{rate / of['raw_batches']['per_second']:.2f}",
                ]
            )
    return "the store alone: rows of whole charges, two transactions each\n" + grid(
        ["store", "", "charges/s", "p50 ms", "p99 ms", "to one by one", "to raw"], rows
    )


def smpp(found):
    if "smpp" not in found:
        return ""
    rows = [
        [
            run["smsc"], run["window"], f"{run['per_second']:,.0f}", f"{run['raw_per_second']:,.0f}",
            f"{run['per_second'] / run['raw_per_second']:.2f}", f"{run['latency_ms']['p50']:.3f}", f"{run['latency_ms']['p99']:.3f}",
            f"{run['cpu_us_per_submission']:.1f}",
        ]
        for run in found["smpp"]["one_bind"]
    ]
    return "SMPP, one bind, no store\n" + grid(["SMSC", "window", "submits/s", "raw/s", "ratio", "p50 ms", "p99 ms", "our CPU µs"], rows)


def full(found):
    if not found["full"]:
        return ""
    rows = []
    for run in found["full"]:
        engine = found.get("store", {}).get("stores", {}).get(run["store"])
        to = lambda key: f"{run['per_second'] / engine[key]['per_second']:.2f}" if engine else "-"  # noqa: E731, B023
        latency, cpu, memory = run["latency_ms"], run["cpu_us_per_charge"], run["memory_kib"]
        rows.append(
            [
                run["store"], run["connections"], "yes" if run["receipts"] else "no", f"{run['per_second']:,.0f}", f"{latency['p50']:.2f}",
                f"{latency['p99']:.2f}", f"{latency['p99_9']:.2f}", *(f"{cpu[who]:.0f}" for who in ("daemon", "database", "simulator", "load")),
                f"{run['cores']['ours']:.2f}", f"{run['cores']['others'] + run['cores']['stolen']:.2f}",
                f"{sum(run['fdatasync_ms']) / len(run['fdatasync_ms']):.2f}", f"{memory['daemon']['rss'] // 1024}/{memory['daemon']['peak'] // 1024}",
                f"{memory['database']['pss'] // 1024}", number(run["commits"]["writes_each"]), to("one_by_one"), to("raw_batches"), "VOID" if run["void"] else run["in_all"]["errors"],
            ]
        )
    header = [
        "store", "conns", "receipts", "charges/s", "p50 ms", "p99", "p99.9", "daemon µs", "db µs", "carrier µs", "load µs", "cores", "others'", "fdatasync",
        "daemon MiB/peak", "db MiB", "writes/commit", "to 1-by-1", "to raw", "errors",
    ]
    text = "the whole way: HTTP, two commits, the carrier over SMPP, a signed ticket; µs are processor time per charge\n" + grid(header, rows)
    most = max(run["cores"]["others"] + run["cores"]["stolen"] for run in found["full"])
    return text + (f"\nothers were at work, up to {most:.1f} cores: no figures to compare" if most >= OTHERS_MAX else "")


def idle(found):
    rows = [
        [run["store"], run["binds"], f"{run['cpu_percent']:.2f}", f"{run['database_cpu_percent']:.2f}", f"{run['rss'] / 1024:.1f}", f"{run['peak'] / 1024:.1f}"]
        for run in found.get("idle", [])
    ]
    return "idle\n" + grid(["store", "binds", "CPU %", "database CPU %", "RSS MiB", "peak MiB"], rows) if rows else ""


def recovery(found):
    rows = [
        [
            run["store"], f"{run['open_attempts']:,}", seconds(run["ready_seconds"]), seconds(run["all_in_doubt_seconds"]),
            f"{run['in_doubt']:,}", f"{run['per_second']:,}", f"{run['memory_kib']['in_flight'] / 1024:.0f}", f"{run['bytes_per_charge']:,}",
            f"{run['memory_kib']['recovered'] / 1024:.0f}",
        ]
        for run in found.get("recovery", [])
    ]
    asking = found.get("asked_again")
    text = ""
    header = ["store", "in flight", "ready", "all in doubt", "in doubt", "a second", "MiB in flight", "bytes/charge", "MiB after"]
    if rows:
        text = "after kill -9 with charges in flight, of which no carrier has said a word\n" + grid(header, rows)
    if asking is not None:
        text += (
            f"\n{asking['store']}: {asking['accepted']:,} charges that a carrier had accepted; ready: {seconds(asking['ready_seconds'])}; "
            f"{asking['asked']:,} asked about, {asking['per_second']:,} a second; all of them: {seconds(asking['all_asked_seconds'])}"
        )
    return text.strip()


def memory(found):
    return "\n".join(in_doubt(run) for run in found.get("memory", []))


def in_doubt(run):
    kib = run["memory_kib"]
    return (
        f"{run['store']}: {run['in_doubt']:,} charges in doubt; ready: {seconds(run['ready_seconds'])}; RSS in MiB: "
        f"{kib['idle'] / 1024:.0f} with none, {kib['ready'] / 1024:.0f} then, {kib['later'] / 1024:.0f} later, {kib['peak'] / 1024:.0f} at most; "
        f"{run['bytes_per_charge']:,} bytes a charge; {run['cpu_percent_later']:.0f} % of a core while it looks after them"
    )


def aims(found):
    rows = [[aim["aim"], number(aim["value"]), aim["wanted"], aim["verdict"].upper() if aim["verdict"] != "met" else "met"] for aim in found["aims"]]
    return "aims\n" + grid(["", "found", "wanted", ""], rows) + "".join(f"\nVOID: {line}" for line in found["trouble"])


def seconds(value):
    return f"{value:.1f} s" if value is not None else "not in time"


def number(value):
    return "-" if value is None else f"{value:,.0f}" if value >= 1_000 else f"{value:.2f}"


def grid(header, rows):
    """Texts to the left, numbers to the right."""
    cells = [[str(cell) for cell in each] for each in (header, *rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    is_number = [all(line[column][:1].isdigit() or line[column] in ("-", "VOID") for line in cells[1:]) for column in range(len(header))]
    shown = ("  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(line, widths, is_number)).rstrip() for line in cells)
    return "\n".join(shown)
