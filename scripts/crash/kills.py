"""When and how the daemon is killed, and what else goes wrong meanwhile."""

import asyncio
import random
import signal
import time

from .links import DAMAGES
from .world import LEASE_SECONDS

# A kill while nothing is under way proves little.
IN_FLIGHT_MIN = 20
IN_FLIGHT_WITHIN_SECONDS = 8
# A kill point that is not reached in this time is missed, and the daemon is killed where it stands.
POINT_WITHIN_SECONDS = 8
STOP_WITHIN_SECONDS = 0.5
# Who was frozen finds out, lets what was under way be answered, and ends.
FENCED_WITHIN_SECONDS = 20
# The same for who was cut off: what it sent is sent again ever more rarely.
FOUND_OUT_WITHIN_SECONDS = 60
WAYS = (("point", 55), ("any moment", 22), ("while starting", 10), ("while stopping", 8), ("with a full disk", 5), ("frozen", 6), ("cut off", 8), ("database restarted", 6), ("database failed over", 6))
# Only where there are several daemons, and a server that stands by.
WAYS_OF_SEVERAL = ("frozen", "cut off", "database restarted", "database failed over")
# How often a point is passed before it kills is drawn up to a number that begins with this. A point that was missed is given less
# the next time, and one that killed too soon for anything else to happen is given more.
FIRST_PASSES_MAX, PASSES_MAX = 12, 400
SOON_SECONDS = 2


class Executioner:
    def __init__(self, world, points, kills, say):
        self.world, self.points, self.kills_wanted, self.say = world, points, kills, say
        self.dice = random.Random(f"{world.seed} kills")
        self.kills = 0
        self.in_flight, self.ways = [], {}
        self.hits = {point: 0 for point in points}
        self.missed = {point: 0 for point in points}
        # Each of several daemons has a part of what happens.
        self.passes_max = {point: max(2, FIRST_PASSES_MAX // len(world.daemons)) for point in points}
        self.problems = []
        # The kill point that the daemon was started with, and how often it is to be passed.
        self.point = None

    async def run(self):
        again_at_once = False
        while self.kills < self.kills_wanted:
            way = "while starting" if again_at_once else self.way()
            killed = await self.one(way)
            # A second kill within the first: before the recovery from it is done.
            again_at_once = killed and way != "while starting" and self.dice.random() < 0.15
            if not again_at_once:
                await self.leave_to_others()
        await self.start_all()

    async def start_all(self):
        for daemon in self.world.daemons:
            if not daemon.is_running():
                await daemon.start()
            if not await daemon.ready():
                self.problems.append(f"the daemon ended by itself, see {daemon.log}")

    async def leave_to_others(self):
        """Now and then who was killed comes back only after the others have taken over."""
        if len(self.world.daemons) > 1 and self.dice.random() < 0.5:
            await asyncio.sleep(self.dice.uniform(0, 3 * LEASE_SECONDS))

    def way(self):
        is_alone = self.world.cluster is None
        cannot = () if self.world.networks.all else ("cut off",)
        is_possible = lambda way: (self.points or way != "point") and way not in cannot and not (is_alone and way in WAYS_OF_SEVERAL)
        ways = [way for way in WAYS if is_possible(way[0])]
        return self.dice.choices([name for name, _ in ways], [weight for _, weight in ways])[0]

    async def one(self, way):
        """Starts the daemon and kills it. False if it was not a kill that ended it."""
        dice = self.dice
        if way.startswith("database"):
            return await self.kill_database(way)
        if way == "cut off":
            return await self.cut_off()
        daemon = self.world.daemon = await self.next_to_start()
        point = self.point = self.next_point() if way == "point" else None
        await daemon.start(point)
        for other in self.world.daemons:
            if not other.is_running():
                await other.start()
        if way == "while starting":
            await asyncio.sleep(dice.uniform(0, 1.0))
            return await self.kill(way)
        if not await daemon.ready():
            return self.ended(way)
        if point is None:
            daemon = self.world.daemon = dice.choice(self.world.daemons)
            if not await daemon.ready():
                return self.ended(way)
        if point is not None:
            if await daemon.ended_within(POINT_WITHIN_SECONDS):
                return self.ended(way)
            self.missed[point[0]] += 1
            self.passes_max[point[0]] = max(1, self.passes_max[point[0]] // 3)
            return await self.kill(f"{point[0]} missed", "point missed")
        await self.until_busy()
        await daemon.ended_within(dice.uniform(0.2, 2.5))
        if way == "while stopping":
            daemon.send(signal.SIGTERM)
            await daemon.ended_within(dice.uniform(0, self.world.announce_seconds + STOP_WITHIN_SECONDS))
        if way == "frozen":
            return await self.freeze(daemon)
        if way == "with a full disk":
            self.world.disk.fill(daemon)
            await daemon.ended_within(dice.uniform(0.5, 3))
        if not daemon.is_running():
            return self.ended(way)
        killed = await self.kill(way)
        if way == "with a full disk":
            # Now and then it has to start with a full disk as well.
            if dice.random() < 0.5:
                await self.start_with_full_disk()
            self.world.disk.free(daemon)
        return killed

    async def kill_database(self, way):
        """All daemons work, and go on working."""
        self.point = None
        await self.start_all()
        await self.until_busy()
        await asyncio.sleep(self.dice.uniform(0.2, 2.5))
        cluster = self.world.cluster
        await (cluster.restart() if way == "database restarted" else cluster.fail_over())
        for daemon in self.world.daemons:
            if not daemon.is_running():
                self.problems.append(f"{daemon.name} ended with {daemon.process.returncode} when the database was away, see {daemon.log}")
        self.note(way)
        return False

    async def next_to_start(self):
        """One that was killed; if none was, one that is stopped in order."""
        for daemon in self.world.daemons:
            if not daemon.is_running():
                return daemon
        daemon = self.dice.choice(self.world.daemons)
        status = await daemon.stop()
        if status != 0:
            self.problems.append(f"{daemon.name} stopped with status {status}, see {daemon.log}")
        return daemon

    async def freeze(self, daemon):
        """It stands still for so long that the others take over, and then goes on as if nothing had been: it must charge nobody any more."""
        daemon.send(signal.SIGSTOP)
        # Sometimes for so long that an attempt of it can be proven never to have happened.
        await daemon.ended_within(self.dice.uniform(2.5, 8) * LEASE_SECONDS)
        daemon.send(signal.SIGCONT)
        if not await daemon.ended_within(FENCED_WITHIN_SECONDS):
            self.problems.append(f"{daemon.name} was frozen for longer than its lease and went on, see {daemon.log}")
            return await self.kill("frozen")
        if daemon.process.returncode != 1:
            self.problems.append(f"{daemon.name} was frozen and ended with {daemon.process.returncode}, see {daemon.log}")
        daemon.operations.forget()
        self.note("frozen")
        return True

    async def cut_off(self):
        """Nothing that it sends arrives, and it hears nothing: shorter than its lease, and it goes on; longer, and the others take over,
        while requests of it lie in its own machine. Once the line is back, it must find that out, and charge nobody any more."""
        self.point = None
        await self.start_all()
        daemon = self.world.daemon = self.dice.choice(self.world.daemons)
        await self.until_busy()
        is_long = self.dice.random() < 0.7
        seconds = self.dice.uniform(2.5, 8) * LEASE_SECONDS if is_long else self.dice.uniform(0.1, 0.5) * LEASE_SECONDS
        daemon.network.cut()
        try:
            ended = await daemon.ended_within(seconds)
        finally:
            daemon.network.mend()
        daemon.operations.forget()
        way = f"cut off for {seconds:.1f} s"
        if not is_long:
            if ended or await daemon.ended_within(SOON_SECONDS):
                self.problems.append(f"{daemon.name} was cut off for less than its lease and ended with {daemon.process.returncode}, see {daemon.log}")
            self.note(way, "cut off shortly")
            return False
        if not ended and not await daemon.ended_within(FOUND_OUT_WITHIN_SECONDS):
            self.problems.append(f"{daemon.name} was cut off for longer than its lease and went on, see {daemon.log}")
            return await self.kill("cut off")
        if daemon.process.returncode != 1:
            self.problems.append(f"{daemon.name} was cut off and ended with {daemon.process.returncode}, see {daemon.log}")
        self.note(way, "cut off")
        return True

    async def start_with_full_disk(self):
        daemon = self.world.daemon
        await daemon.start()
        await daemon.ended_within(self.dice.uniform(0.5, 2))
        if daemon.is_running():
            await daemon.kill()
            self.note("starting with a full disk")

    async def until_busy(self):
        deadline = time.monotonic() + IN_FLIGHT_WITHIN_SECONDS
        while self.world.load.in_flight() < IN_FLIGHT_MIN and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    def next_point(self):
        """The point with the fewest hits; of several, any."""
        fewest = min(self.hits[point] + self.missed[point] for point in self.points)
        point = self.dice.choice([p for p in self.points if self.hits[p] + self.missed[p] == fewest])
        return point, self.dice.randint(1, self.passes_max[point])

    async def kill(self, way, kind=None):
        if not await self.world.daemon.kill():
            return self.ended(way)
        self.note(way, kind)
        return True

    def ended(self, way):
        """It ended before it was killed: by its kill point, or in order while stopping, or it should not have."""
        daemon, point = self.world.daemon, self.point
        status = daemon.process.returncode
        daemon.operations.forget()
        if point is not None and daemon.was_killed_by_point(point[0]):
            self.hits[point[0]] += 1
            if time.monotonic() - daemon.started_at < SOON_SECONDS:
                self.passes_max[point[0]] = min(2 * self.passes_max[point[0]], PASSES_MAX)
            self.note(f"{point[0]}, pass {point[1]}", "point")
            return True
        if daemon.aborted():
            self.problems.append(f"the daemon aborted, and at no kill point, see {daemon.log}")
            return False
        if way == "while stopping" and status == 0:
            return False
        if self.world.disk.is_full():
            self.say(f"with a full disk the daemon ended with status {status}")
            return False
        self.problems.append(f"the daemon ended by itself with status {status}, see {daemon.log}")
        return False

    def note(self, way, kind=None):
        self.kills += 1
        kind = kind or way
        self.ways[kind] = self.ways.get(kind, 0) + 1
        busy = self.world.load.in_flight()
        self.in_flight.append(busy)
        up = time.monotonic() - self.world.daemon.started_at
        self.say(f"kill {self.kills}/{self.kills_wanted}: {way}; {busy} in flight, up for {up:.1f} s")


async def weather(world, say):
    """Links are cut and the disk is slow or full, by turns, until it is cancelled."""
    dice = random.Random(f"{world.seed} weather")
    counts = world.weather = {}
    while True:
        await asyncio.sleep(dice.expovariate(1 / 2.0))
        drawn = dice.random()
        if drawn < 0.80:
            kind = dice.choice(DAMAGES)
            name, damage = f"links: {kind}", dice.choice(world.links).damage(kind, dice)
        elif drawn < 0.93:
            name, damage = "disk: slow", world.disk.slow_for(dice.uniform(1, 4), dice.choice((20, 200, 1_000)), world.daemon)
        else:
            name, damage = "disk: full", world.disk.full_for(dice.uniform(1, 4), world.daemon)
            say("the disk is full for a while")
        counts[name] = counts.get(name, 0) + 1
        await damage
