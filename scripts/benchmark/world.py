"""One daemon with its simulated carrier and a store of its own, as long as one measurement needs them."""

import hashlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack

from lib.processes import call, free_port, generate_keys

from .processes import Process

TOKEN = "benchmark"
CALLER = "ticket-service"
CLIENT = "smsbus"
SECRET = "secret"
READY_SECONDS = 30
# Almaty's, at 80 tenge. So few that each has its first lease of serials before anything is measured, also with one connection.
FIRST_VEHICLE, VEHICLES = 1_000, 300
FARE, PASSENGERS_MAX = 80, 9
PREFIXES = {"beeline": 705, "kcell": 701, "tele2": 707, "altel": 700}
# Nothing of the simulator's own bounds is to be met.
SIMULATOR_MANY = 20_000_000


class Setting:
    """What a measurement wants to be other than usual."""

    def __init__(
        self, carriers=("beeline",), binds=8, window=1_000, charged_at="submission", receipts=False, answers=True,
        response_timeout_ms=10_000, deadline_seconds=60, flights_max=4_096, query=None,
    ):
        self.carriers, self.binds, self.window, self.charged_at = carriers, binds, window, charged_at
        self.receipts, self.answers = receipts, answers
        self.response_timeout_ms, self.deadline_seconds = response_timeout_ms, deadline_seconds
        self.flights_max, self.query = flights_max, query


class World:
    def __init__(self, program, repository, folder, database, setting):
        self.program, self.repository, self.folder = program, repository, folder
        self.database, self.setting = database, setting
        self.simulator = self.daemon = None
        self.api = self.operations = self.control = self.smpp = None
        self.config = folder / "smsbusd.toml"
        self.ends = ExitStack()

    def __enter__(self):
        try:
            self.folder.mkdir()
            self.begin_simulator()
            self.configure()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.ends.close()

    def begin_simulator(self):
        config = self.folder / "simulator.toml"
        config.write_text(simulator_config(self.setting))
        command = [self.program, "simulate", "--config", config]
        self.simulator = Process(command, self.folder / "simulator.log", output=subprocess.PIPE)
        self.ends.callback(self.simulator.end)
        where = self.simulator.line()
        if where is None:
            raise SystemExit(f"the simulator does not start: {self.simulator.words()}")
        self.smpp, self.control = where["smpp"], where["control"]

    def configure(self):
        # All at once, so that no two get the same.
        self.api, self.operations, callbacks = (f"127.0.0.1:{port}" for port in (free_port() for _ in range(3)))
        generate_keys(self.program, self.folder / "keys")
        (self.folder / "secret").write_text(SECRET + "\n")
        transit = self.folder / "transit"
        shutil.copytree(self.repository / "config/examples/transit", transit)
        vehicles = "\n".join(f"almaty,{FIRST_VEHICLE + n},,92" for n in range(VEHICLES))
        (transit / "vehicles.csv").write_text(f"city,vehicle_code,state_plate,route\n{vehicles}\n")
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        carriers = "".join(carrier_section(name, self.smpp, self.setting) for name in self.setting.carriers)
        self.config.write_text(
            f"""
log = {{ format = "human", filter = "warn" }}
store.url = "{self.database.url}"
keys.directory = "keys"
transit.directory = "transit"
operations.listen = "{self.operations}"
callbacks.listen = "{callbacks}"
[api]
listen = "{self.api}"
connections_max = 2_048
caller_requests_max = 2_048
tokens.{CALLER} = {{ sha256 = "{digest}", roles = ["ticketing"] }}
[gateway]
flights_max = {self.setting.flights_max}
ticket_deadline_seconds = {self.setting.deadline_seconds}
{carriers}"""
        )

    def begin_daemon(self, seconds=READY_SECONDS):
        """Starts it, and waits until it says that it sells. How long that took; None if it took longer than `seconds`."""
        self.daemon = Process([self.program, "serve", "--config", self.config], self.folder / "daemon.log")
        self.ends.callback(self.daemon.end)
        begun = time.monotonic()
        while not self.is_ready():
            if not self.daemon.is_running():
                raise SystemExit(f"the daemon does not start: {self.daemon.words()[-4000:]}")
            if time.monotonic() - begun > seconds:
                return None
            time.sleep(0.02)
        return time.monotonic() - begun

    def sell(self):
        """Starts it, and waits until all its binds are up."""
        until = time.monotonic() + READY_SECONDS
        is_ready = self.begin_daemon() is not None
        while is_ready and time.monotonic() < until:
            if self.stats()["connections_open"] >= self.setting.binds * len(self.setting.carriers):
                return
            time.sleep(0.02)
        raise SystemExit(f"the daemon is not ready in time: {self.daemon.words()[-4000:]}")

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://{self.operations}/readyz", timeout=5) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def stats(self):
        return call(self.control, "GET", "/stats")

    def carrier_books(self):
        return call(self.control, "GET", "/ledger", timeout=300)

    def metrics(self):
        """The daemon's own counters and gauges, without labels: those of one name are added up."""
        found = {}
        with urllib.request.urlopen(f"http://{self.operations}/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line and not line.startswith("#"):
                    name, _, value = line.rpartition(" ")
                    name = name.partition("{")[0]
                    found[name] = found.get(name, 0.0) + float(value)
        return found

    def complaints(self):
        """What the daemon logs while nothing goes wrong is worth a look."""
        return [line for line in self.daemon.words().splitlines() if line.strip()]


def simulator_config(setting):
    tariffs = "\n".join(f"BUS{FARE * n} = {FARE * n * 100}" for n in range(1, PASSENGERS_MAX + 1))
    faults = []
    if not setting.answers:
        faults.append('[[faults]]\ntraffic = "charged"\nfault = { kind = "drop_response" }')
    if not setting.receipts:
        faults.append('[[faults]]\nfault = { kind = "no_receipt" }')
    delivered_after = (2_000, 4_000) if setting.charged_at == "submission" else (80_000_000, 80_000_000)
    return f"""
smpp_listen = "127.0.0.1:0"
control_listen = "127.0.0.1:0"
system_id = "{CLIENT}"
password = "{SECRET}"
message_id = "hex"
charging.at = "{setting.charged_at}"
window_max = 100_000
default_balance_minor = 1_000_000_000_000
# A phone takes its message some seconds later; none of those that are charged at delivery takes it in our time.
delivery_delay_ms = {{ min = {delivered_after[0]}, max = {delivered_after[1]} }}
[tariffs]
{tariffs}
[redelivery]
window = 1_000
[limits]
connections_max = 1_024
messages_pending_max = {SIMULATOR_MANY}
messages_kept_max = {SIMULATOR_MANY}
deliveries_max = {SIMULATOR_MANY}
ledger_entries_max = {SIMULATOR_MANY}
subscribers_max = {SIMULATOR_MANY}
inbox_messages_max = 16
{chr(10).join(faults)}
"""


def carrier_section(name, address, setting):
    binds = ", ".join(f'{{ name = "{name}-{n}" }}' for n in range(1, setting.binds + 1))
    query = f"query = {setting.query}" if setting.query is not None else ""
    return f"""
[carriers.{name}]
short_number = "2505"
prefixes = [{PREFIXES[name]}]
[carriers.{name}.smpp]
address = "{address}"
system_id = "{CLIENT}"
password_file = "secret"
window = {setting.window}
tps = 100_000
charged_at = "{setting.charged_at}"
in_flight_delay_ms = 60_000
response_timeout_ms = {setting.response_timeout_ms}
{query}
message_id = {{ response = "hex", receipt_text = "hex", receipt_tlv = "hex" }}
binds = [{binds}]
tariffs = [{{ tlvs = [
    {{ tag = 0x1401, type = "c_octet_string", value = "BUS{{major}}" }},
    {{ tag = 0x1402, type = "reference" }},
] }}]
"""


def first_number(name):
    """The first subscriber of a carrier; seven digits follow the prefix."""
    return int(f"7{PREFIXES[name]}0000000")
