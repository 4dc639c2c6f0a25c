"""The carriers, the daemon and its configuration, for one drill."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from lib.processes import call, free_port, generate_keys

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "drill"
SECRET = "secret"
WITHIN_SECONDS = 60
# A request may be on its way inside the carrier for so long.
IN_FLIGHT_MS = 1_500
QUERY = "{ first_after_ms = 300, interval_ms_max = 1_000 }"
# kcell is charged by SMPP and cannot be asked; tele2 over CAMARA, and lists its payments.
PREFIXES = {"kcell": 701, "tele2": 707}


class World:
    def __init__(self, program, folder, store):
        self.program, self.folder, self.store = program, folder, store
        self.controls, self.simulators = {}, []
        self.config = folder / "smsbusd.toml"
        self.watermark = folder / "watermark"
        self.ports = {what: free_port() for what in ("api", "operations", "callbacks")}
        self.daemon, self.starts = None, 0

    def begin(self):
        where = {name: self.simulate(name) for name in PREFIXES}
        generate_keys(self.program, self.folder / "keys")
        (self.folder / "secret").write_text(SECRET + "\n")
        shutil.copytree(REPOSITORY / "config/examples/transit", self.folder / "transit")
        vehicles = "\n".join(f"almaty,{code},,92" for code in range(6001, 6041))
        (self.folder / "transit/vehicles.csv").write_text(f"city,vehicle_code,state_plate,route\n{vehicles}\n")
        self.config.write_text(self.configuration(where))

    def simulate(self, name):
        config = self.folder / f"{name}.toml"
        http = f'[http]\ncarrier = "{name}"\n[http.camara]\nlisten = "127.0.0.1:0"\nclient_id = "smsbus"\nclient_secret = "{SECRET}"\nplain_sinks = true\n'
        tariffs = "\n".join(f"BUS{80 * n} = {8_000 * n}" for n in range(1, 10))
        config.write_text(
            f'smpp_listen = "127.0.0.1:0"\ncontrol_listen = "127.0.0.1:0"\nsystem_id = "smsbus"\npassword = "{SECRET}"\nseed = 7\n'
            "delivery_delay_ms = { min = 0, max = 50 }\nresponse_delay_ms = { min = 0, max = 20 }\n"
            f'charging.at = "submission"\n[tariffs]\n{tariffs if name == "kcell" else ""}\n{http if name == "tele2" else ""}'
        )
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen([str(self.program), "simulate", "--config", str(config)], stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        self.simulators.append(process)
        first = process.stdout.readline()
        if not first:
            raise SystemExit(f"the simulator of {name} does not start: {(self.folder / f'{name}.log').read_text()}")
        where = json.loads(first)
        self.controls[name] = where["control"]
        return where

    def configuration(self, where):
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        camara = f"http://{where['tele2']['http']['camara']}"
        carriers = ""
        for name, prefix in PREFIXES.items():
            carriers += f"""
[carriers.{name}]
short_number = "2505"
prefixes = [{prefix}]
[carriers.{name}.smpp]
address = "{where[name]['smpp']}"
system_id = "smsbus"
password_file = "secret"
response_timeout_ms = 2_500
reconnect_ms_max = 500
in_flight_delay_ms = {IN_FLIGHT_MS}
"""
            if name == "kcell":
                carriers += """charged_at = "submission"
tariffs = [{ tlvs = [
    { tag = 0x1401, type = "c_octet_string", value = "BUS{major}" },
    { tag = 0x1402, type = "reference" },
] }]
"""
        return f"""
log.format = "human"
store.url = "{self.store.url}"
store.watermark = "{self.watermark}"
keys.directory = "keys"
transit.directory = "transit"
process.drain_seconds_max = 10
operations.listen = "127.0.0.1:{self.ports['operations']}"
callbacks.listen = "127.0.0.1:{self.ports['callbacks']}"
[api]
listen = "127.0.0.1:{self.ports['api']}"
tokens.drill = {{ sha256 = "{digest}", roles = ["ticketing", "inspection", "finance", "support", "operations"] }}
[gateway]
retry_pause_ms = 12_000
{carriers}
[carriers.tele2.camara]
billing_url = "{camara}/carrier-billing/v0.5"
refund_url = "{camara}/carrier-billing-refund/v0.3"
plain_http = true
connect_timeout_ms = 500
response_timeout_ms = 1_000
tps = 200
in_flight_delay_ms = {IN_FLIGHT_MS}
query = {QUERY}
list = {{ clock_tolerance_ms = 1_000 }}
token = {{ url = "{camara}/oauth2/token", client_id = "smsbus", client_secret_file = "secret" }}
"""

    def smsbusd(self, command, *arguments):
        """Another command of the program, on the same configuration."""
        line = [str(self.program), *command.split(), "--config", str(self.config), *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, env={**os.environ, "USER": "drill"}, timeout=300)

    def start(self):
        """Starts the daemon. True once it serves, False if it refuses; then `refusal` tells why."""
        self.starts += 1
        log = self.folder / f"daemon-{self.starts}.log"
        with open(log, "wb") as out:
            self.daemon = subprocess.Popen([str(self.program), "serve", "--config", str(self.config)], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + WITHIN_SECONDS
        while self.daemon.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['operations']}/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return True
            except (OSError, urllib.error.URLError):
                pass
            if time.monotonic() > deadline:
                raise SystemExit(f"the daemon does not get ready; see {log}")
            time.sleep(0.05)
        self.refusal = "\n".join(line for line in log.read_text().splitlines() if line.startswith("smsbusd: "))
        return False

    def stop(self, how=signal.SIGTERM):
        self.daemon.send_signal(how)
        self.daemon.wait(WITHIN_SECONDS)

    def api(self, method, path, body=None, key=None, timeout=40):
        """The status and the JSON of the answer."""
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        if key is not None:
            headers |= {"idempotency-key": key, "prefer": "wait=15"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports['api']}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def buy(self, carrier, number, vehicle, key):
        body = {"msisdn": f"+7{PREFIXES[carrier]}{1_000_000 + number}", "vehicle": str(vehicle)}
        return self.api("POST", "/v1/charges", body, key)

    def buy_later(self, carrier, number, vehicle, key):
        """Asks, and waits for no answer."""
        def ask():
            try:
                self.buy(carrier, number, vehicle, key)
            except (OSError, ValueError):
                pass
        threading.Thread(target=ask, daemon=True).start()

    def fault(self, carrier, fault, number):
        which = {"operation": "charge"} if carrier == "tele2" else {"traffic": "charged"}
        rule = {"fault": fault, "msisdn": f"+7{PREFIXES[carrier]}{1_000_000 + number}", "times": 1, **which}
        call(self.controls[carrier], "POST", "/faults", rule)

    def taken(self):
        """By carrier, the references of what it took, and those that it took twice."""
        books = {name: call(control, "GET", "/ledger") for name, control in self.controls.items()}
        return {name: book["entries"] for name, book in books.items()}, [r for book in books.values() for r in book["charged_twice"]]

    def end(self):
        for process in [self.daemon, *self.simulators]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self.store.end()
