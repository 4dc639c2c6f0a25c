"""What every script needs that runs the daemon as a process: ports, keys, one HTTP call."""

import json
import socket
import subprocess
import urllib.error
import urllib.request

KEY_PURPOSES = ("ticket", "short-code", "msisdn-tag")
# Linux gives outgoing connections ports from 32768 on. A daemon that is started again must find its port free.
LASTING_PORTS = (12_000, 32_000)


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lasting_port(dice):
    """A port that nobody listens on now, and that no outgoing connection takes while its owner is away."""
    for _ in range(1_000):
        port = dice.randint(*LASTING_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit(f"no port is free from {LASTING_PORTS[0]} to {LASTING_PORTS[1]}")


def generate_keys(program, folder):
    """The three private keys that a daemon needs, in `folder`."""
    folder.mkdir(mode=0o700)
    for purpose in KEY_PURPOSES:
        command = [str(program), "keys", "generate", "--directory", str(folder), "--purpose", purpose]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def call(address, method, path, body=None, timeout=30):
    """One request with JSON, to a simulator's control or the like. A refusal ends the script."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://{address}{path}", data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error
    return json.loads(text) if text else None
