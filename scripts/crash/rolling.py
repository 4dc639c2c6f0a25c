"""A rolling restart under load, as operators do it: one daemon after another, behind a load balancer. Nobody's request is refused."""

import asyncio
import time

from .web import NoAnswer

# The balancer asks so often, and gives up so soon. Both are a small part of what a stop is announced for.
ASKS_EVERY_SECONDS = 0.1
ASKS_PATIENCE_SECONDS = 0.4
# What was asked for before it began may still be on its way, and be lost to what went wrong then.
SETTLE_SECONDS = 20
BETWEEN_SECONDS = 3
READY_SECONDS_MAX = 60
# Fewer purchases than this in all of it prove nothing.
SERVED_MIN = 100
# What the load counts when somebody was not served.
REFUSALS = ("no answer", "429", "500", "502", "503", "504")


class Balancer:
    """Sends requests to daemons that say that they are ready, as a load balancer does."""

    def __init__(self, world):
        self.daemons, self.apis, self.dice = world.daemons, world.api.clients, world.dice
        self.ready = []

    async def run(self):
        while True:
            answers = await asyncio.gather(*[self.is_ready(daemon) for daemon in self.daemons])
            self.ready = [api for api, is_ready in zip(self.apis, answers) if is_ready]
            await asyncio.sleep(ASKS_EVERY_SECONDS)

    async def is_ready(self, daemon):
        try:
            status, _ = await daemon.operations.call("GET", "/readyz", timeout=ASKS_PATIENCE_SECONDS)
            return status == 200
        except NoAnswer:
            return False

    async def call(self, *arguments, **more):
        if not self.ready:
            raise NoAnswer("no daemon is ready")
        return await self.dice.choice(self.ready).call(*arguments, **more)


async def restart_all(world, say):
    """Restarts each daemon while the load goes on. What went wrong."""
    load, problems = world.load, []
    balancer = Balancer(world)
    direct, load.api = load.api, balancer
    around = [asyncio.ensure_future(balancer.run())]
    await asyncio.sleep(2 * ASKS_PATIENCE_SECONDS)
    around.append(asyncio.ensure_future(load.run()))
    try:
        await asyncio.sleep(SETTLE_SECONDS)
        before = dict(load.counts)
        for daemon in world.daemons:
            status = await daemon.stop()
            if status != 0:
                problems.append(f"{daemon.name} stopped with status {status} in a rolling restart, see {daemon.log}")
            daemon.operations.forget()
            await daemon.start()
            until = time.monotonic() + READY_SECONDS_MAX
            while len(balancer.ready) < len(world.daemons) and time.monotonic() < until:
                await asyncio.sleep(ASKS_EVERY_SECONDS)
            if len(balancer.ready) < len(world.daemons):
                problems.append(f"after {daemon.name} was restarted not all are ready, see {daemon.log}")
            await asyncio.sleep(BETWEEN_SECONDS)
        served = {what: count - before.get(what, 0) for what, count in load.counts.items() if count != before.get(what, 0)}
    finally:
        for task in around:
            if task.done() and not task.cancelled():
                problems.append(f"the rolling restart broke off: {task.exception()!r}")
            task.cancel()
        await asyncio.wait(around)
        load.api = direct
    refused = {what: count for what, count in served.items() if what.endswith(REFUSALS)}
    answered = sum(served.get(f"request: {status}", 0) for status in (200, 201, 202))
    say(f"rolling restart: {answered} purchases answered, refused: {refused or 'none'}")
    if answered < SERVED_MIN:
        problems.append(f"in a rolling restart only {answered} purchases were answered, which proves nothing")
    problems += [f"in a rolling restart: {what}: {count}" for what, count in refused.items()]
    return problems
