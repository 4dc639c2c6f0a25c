"""The two benches that run without a daemon: each writes what it found as JSON."""

import json
import os
import signal
import subprocess

SECONDS_MAX = 900


def store(bench):
    """On the server that is there already, and its settings."""
    command = [bench.executables["store"], "--store", bench.options.store]
    environment = {"SMSBUSD_TEST_POSTGRES": bench.stores.server.url} if bench.stores.server is not None else {}
    return run(bench, command, "store", environment)


def smpp(bench):
    return run(bench, [bench.executables["smpp"], "--program", bench.program], "smpp", {})


def run(bench, command, name, environment):
    file = bench.root / f"{name}.json"
    command = [*map(str, command), "--json", str(file), *(["--quick"] if bench.quick else [])]
    environment = {**os.environ, "TMPDIR": str(bench.root), **environment}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True, start_new_session=True
    )
    try:
        words, _ = process.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"the bench {name} does not come to an end") from None
    finally:
        if process.poll() is None:
            # It has a group of its own, in which its simulator is, too.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    if process.returncode != 0:
        raise SystemExit(f"the bench {name} broke off: {words[-4000:]}")
    return json.loads(file.read_text())
