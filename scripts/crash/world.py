"""All that runs in one crash test: simulators, links, the daemon, and where they keep things."""

import asyncio
import hashlib
import json
import random
import shutil
from pathlib import Path

from lib.processes import generate_keys, lasting_port

from . import carriers
from .cluster import Cluster
from .daemon import Daemon
from .disk import Disk
from .links import Link
from .load import CALLER, Load
from .networks import Networks, are_possible
from .promises import Promises
from .stores import open_store
from .web import AnyOf, Client

REPOSITORY = Path(__file__).resolve().parents[2]
TOKEN = "crash-test"
# Each has 16,384 serials a day, and loses 32 at most with each kill.
VEHICLES = [str(code) for code in range(6001, 6025)]
NUMBERS = 400
TICKET_DEADLINE_SECONDS = 20
REPEAT_WINDOW_SECONDS = 30
MO_REPEAT_SECONDS = 5
# After this time without a sign of life the other instances take over.
LEASE_SECONDS = 5
# Before one of several stops.
ANNOUNCE_SECONDS = 1


class World:
    def __init__(self, options, folder, seed):
        self.options, self.folder, self.seed = options, folder, seed
        self.program = options.program
        self.dice = random.Random(f"{seed} world")
        self.carriers = carriers.all_carriers()
        self.disk = Disk(folder / "store")
        self.store = open_store(options.store, self.disk.folder)
        self.promises = Promises()
        self.simulators, self.links, self.servers = [], [], []
        self.networks = Networks()
        self.announce_seconds = ANNOUNCE_SECONDS if options.instances > 1 else 0
        self.controls, self.daemons, self.load = {}, [], None
        # The one whose turn it is to be killed.
        self.daemon = None
        self.api = None
        # Where several daemons are served: two servers, and the line to the one that is the primary.
        self.cluster, self.database = None, None

    async def begin(self):
        self.disk.prepare()
        names = ("daemon",) if self.options.instances == 1 else tuple("abcdefgh"[: self.options.instances])
        ports = {name: {what: lasting_port(self.dice) for what in ("api", "callbacks", "operations", "instances")} for name in names}
        own = await self.set_apart(ports) if len(names) > 1 and are_possible() else {}
        if self.options.instances > 1:
            self.cluster = Cluster(self.dice)
            await self.cluster.begin()
            self.cluster.link = self.database = Link("database", self.networks, f"127.0.0.1:{self.cluster.primary.port}")
            await self.database.listen()
            self.store.of_cluster(self.cluster)
        self.store.begin()
        webhook = lasting_port(self.dice)
        # Carriers call back over a link too.
        callbacks = await self.link("callbacks", *[f"127.0.0.1:{of['callbacks']}" for of in ports.values()])
        for carrier in self.carriers:
            await self.simulate(carrier, callbacks.address)
        config = self.configure(webhook, callbacks.address)
        self.api = AnyOf([self.client(of["api"], TOKEN) for of in ports.values()], self.dice)
        for name, of in ports.items():
            environment = {**self.disk.environment(), **self.own(name, of)}
            operations = self.client(of["operations"])
            logs = self.folder / "logs"
            self.daemons.append(Daemon(name, self.program, config, operations, logs, environment, own.get(name)))
        self.daemon = self.daemons[0]
        self.load = Load(
            self.carriers, VEHICLES, NUMBERS, self.options.rate, self.seed, self.api, self.controls, self.promises
        )
        self.servers += await self.load.listen_for_webhooks(self.networks, webhook)

    async def set_apart(self, ports):
        """A network for each daemon, and in it what leads to the others."""
        own = {name: self.networks.add(name) for name in ports}
        for name, of in ports.items():
            self.networks.put(own[name], of.values())
            others = Link(f"{name} for the others", self.networks, f"127.0.0.1:{of['instances']}")
            await others.listen(of["instances"], but=own[name])
            self.links.append(others)
        return own

    def client(self, port, token=None):
        return Client(f"127.0.0.1:{port}", token, self.networks.open_connection)

    def own(self, name, ports):
        """What the daemons do not have in common."""
        own = {f"SMSBUSD__{what.upper()}__LISTEN": f"127.0.0.1:{port}" for what, port in ports.items()}
        return {**own, "SMSBUSD__INSTANCES__NAME": name}

    async def link(self, name, *targets):
        link = Link(name, self.networks, *targets)
        await link.listen()
        self.links.append(link)
        return link

    async def simulate(self, carrier, callbacks):
        config = self.folder / f"{carrier.name}.toml"
        config.write_text(carriers.simulator_config(carrier, self.dice.randrange(2**32), callbacks, NUMBERS))
        with open(self.folder / f"{carrier.name}.log", "wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(self.program), "simulate", "--config", str(config),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log,
            )
        self.simulators.append(process)
        first = await asyncio.wait_for(process.stdout.readline(), 30)
        if not first:
            raise SystemExit(f"the simulator of {carrier.name} does not start: {(self.folder / f'{carrier.name}.log').read_text()}")
        where = json.loads(first)
        carrier.control = where["control"]
        self.controls[carrier.name] = Client(carrier.control)
        for name, address in {"smpp": where["smpp"], **where["http"]}.items():
            carrier.links[name] = await self.link(f"{carrier.name} {name}", address)

    def configure(self, webhook, callbacks):
        folder = self.folder
        generate_keys(self.program, folder / "keys")
        (folder / "logs").mkdir()
        (folder / "secret").write_text(carriers.SECRET + "\n")
        (folder / "webhook-secret").write_text("whsec_Y3Jhc2gtdGVzdC1jcmFzaC10ZXN0LWNyYXNoLXRlc3Q=\n")
        shutil.copytree(REPOSITORY / "config/examples/transit", folder / "transit")
        vehicles = "\n".join(f"almaty,{code},,92" for code in VEHICLES)
        (folder / "transit/vehicles.csv").write_text(f"city,vehicle_code,state_plate,route\n{vehicles}\n")
        (folder / "cis.toml").write_text(carriers.profile((REPOSITORY / "config/examples/profiles/cis.toml").read_text()))
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        sections = [carriers.daemon_section(carrier, callbacks) for carrier in self.carriers]
        config = folder / "smsbusd.toml"
        config.write_text(
            f"""
log = {{ format = "human", filter = "warn,smsbusd::gateway=info" }}
store.url = "{self.store.url}"
keys.directory = "keys"
transit.directory = "transit"
process = {{ drain_seconds_max = 10, announce_seconds = {self.announce_seconds} }}
instances = {{ lease_seconds = {LEASE_SECONDS}, token_file = "secret", listen = "127.0.0.1:0" }}
[api]
tokens.{CALLER} = {{ sha256 = "{digest}", roles = ["ticketing", "inspection", "finance", "support", "operations"] }}
[gateway]
ticket_deadline_seconds = {TICKET_DEADLINE_SECONDS}
repeat_window_seconds = {REPEAT_WINDOW_SECONDS}
mo_repeat_seconds = {MO_REPEAT_SECONDS}
mo_parts_seconds = 15
reply_ttl_seconds = 120
replies_per_hour_max = 1_000
[mo_webhook]
url = "http://127.0.0.1:{webhook}/purchases"
secret_files = ["webhook-secret"]
answer_seconds = 8
timeout_ms = 2_000
[webhooks.crash-test]
url = "http://127.0.0.1:{webhook}/events"
secret_files = ["webhook-secret"]
timeout_ms = 2_000
retry_seconds = 1
retry_seconds_max = 2
{carriers.vat_section()}
{"".join(sections)}"""
        )
        return config

    async def control(self, carrier, method, path, body=None):
        status, answer = await self.controls[carrier.name].call(method, path, body, timeout=60)
        if not 200 <= status < 300:
            raise SystemExit(f"{carrier.name}: {method} {path}: {status} {answer}")
        return answer

    async def calm(self):
        """Nothing goes wrong any more."""
        self.disk.fillings = 0
        self.disk.free(self.daemon)
        self.disk.be_slow(0)
        for carrier in self.carriers:
            await self.control(carrier, "DELETE", "/faults")

    async def carrier_books(self):
        return {carrier.name: await self.control(carrier, "GET", "/ledger") for carrier in self.carriers}

    async def carrier_stats(self):
        return {carrier.name: await self.control(carrier, "GET", "/stats") for carrier in self.carriers}

    async def end(self):
        """Ends what was started here, and only that."""
        if self.load is not None:
            await self.load.close(0)
        for server in self.servers:
            server.close()
        for link in self.links:
            link.close()
        processes = [daemon.process for daemon in self.daemons if daemon.process is not None]
        for process in processes + self.simulators:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if self.database is not None:
            self.database.close()
        if self.cluster is not None:
            self.cluster.end()
        self.store.end()
        self.disk.end()
        self.networks.end()
