"""The lines between the daemon and its carriers: a proxy for each, which can be cut, stalled and half-closed."""

import asyncio
import random
import socket
import struct

BLOCK = 64 * 1024
# What is stalled is delivered later. Longer than this would break what carriers declare as their in-flight delay.
STALL_SECONDS_MAX = 3.0
DAMAGES = ("cut", "cut one", "stall", "stall one way", "half-close", "refuse")


class Link:
    """Connections from a port of ours to one address, or to the first of several that takes them."""

    def __init__(self, name, networks, *targets):
        self.name, self.networks, self.targets = name, networks, list(targets)
        self.flows = []
        self.open = {"there": asyncio.Event(), "back": asyncio.Event()}
        for gate in self.open.values():
            gate.set()
        self.refusing = False
        self.servers = []
        self.address = None

    async def listen(self, port=0, but=None):
        self.servers = await self.networks.listen(self.connect, port, but)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"

    async def connect(self, reader, writer):
        if self.refusing:
            return reset(writer)
        far = await self.reach()
        if far is None:
            return reset(writer)
        far_reader, far_writer = far
        flow = Flow(self, (reader, writer), (far_reader, far_writer))
        self.flows.append(flow)
        try:
            await flow.run()
        finally:
            self.flows.remove(flow)

    async def reach(self):
        for target in random.sample(self.targets, len(self.targets)):
            host, port = target.rsplit(":", 1)
            try:
                return await self.networks.open_connection(host, int(port))
            except OSError:
                continue
        return None

    async def damage(self, kind, dice):
        """Does what `kind` says, and undoes it where it lasts."""
        flows = list(self.flows)
        if kind == "cut":
            self.cut()
        elif kind == "cut one" and flows:
            dice.choice(flows).cut()
        elif kind == "half-close" and flows:
            dice.choice(flows).half_close(dice.choice(("there", "back")))
        elif kind in ("stall", "stall one way"):
            gates = list(self.open.values()) if kind == "stall" else [dice.choice(list(self.open.values()))]
            await self.shut(gates, dice.uniform(0.2, STALL_SECONDS_MAX))
        elif kind == "refuse":
            self.refusing = True
            for flow in flows:
                flow.cut()
            try:
                await asyncio.sleep(dice.uniform(0.2, STALL_SECONDS_MAX))
            finally:
                self.refusing = False

    def cut(self):
        for flow in list(self.flows):
            flow.cut()

    async def shut(self, gates, seconds):
        for gate in gates:
            gate.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            for gate in gates:
                gate.set()

    def close(self):
        for server in self.servers:
            server.close()
        self.cut()


class Flow:
    """One connection through a link."""

    def __init__(self, link, near, far):
        self.link, self.near, self.far = link, near, far

    async def run(self):
        there = asyncio.ensure_future(self.carry("there", self.near[0], self.far[1]))
        back = asyncio.ensure_future(self.carry("back", self.far[0], self.near[1]))
        try:
            await asyncio.gather(there, back)
        finally:
            there.cancel()
            back.cancel()
            self.near[1].transport.abort()
            self.far[1].transport.abort()

    async def carry(self, way, reader, writer):
        try:
            while True:
                block = await reader.read(BLOCK)
                await self.link.open[way].wait()
                if not block:
                    break
                writer.write(block)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except (OSError, RuntimeError):
            self.cut()

    def cut(self):
        reset(self.near[1])
        reset(self.far[1])

    def half_close(self, way):
        """One side hears that the other will say nothing more; it may itself go on."""
        writer = self.far[1] if way == "there" else self.near[1]
        try:
            if writer.can_write_eof():
                writer.write_eof()
        except (OSError, RuntimeError):
            pass


def reset(writer):
    """With a reset instead of an orderly end, whatever was on its way."""
    connection = writer.get_extra_info("socket")
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except (OSError, AttributeError):
        pass
    writer.transport.abort()
