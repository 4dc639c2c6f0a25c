"""Builds the daemon as it ships, and the programs that measure it."""

import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BENCHES = ("load", "store", "smpp")


def benches(say):
    """Where each of them is."""
    say("building the benches; the first time takes many minutes")
    wanted = [word for name in BENCHES for word in ("--bench", name)]
    found = cargo(["bench", "--no-run", *wanted])
    missing = [name for name in BENCHES if name not in found]
    if missing:
        raise SystemExit(f"cargo told of no executable of {missing}")
    return {name: found[name] for name in BENCHES}


def program(say):
    """The daemon without what tests need. Last, because `cargo bench` builds one of its own, with what tests need, in the same place."""
    say("building the daemon as it ships; the first time takes many minutes")
    return cargo(["build", "--release", "--bin", "smsbusd"])["smsbusd"]


def cargo(command):
    """The executables that it made, by name."""
    command = ["cargo", *command, "--locked", "--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
    if done.returncode != 0:
        raise SystemExit("the build failed")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {message["target"]["name"]: Path(message["executable"]) for message in messages if message.get("executable")}
