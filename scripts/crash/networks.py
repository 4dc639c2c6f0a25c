"""Each daemon in a network of its own (a network namespace), which can be cut off from the world as a torn cable does it: nobody is
told, what is on its way stays on its way, and goes on once the line is back."""

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
BACKLOG = 256


class Network:
    """A network namespace. In it there is nothing but the loopback, on which we listen as well as the daemon."""

    def __init__(self, name):
        self.name = name
        self.file = Path("/run/netns") / name

    def begin(self):
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")

    def end(self):
        if self.file.exists():
            ip("netns", "del", self.name)

    def command(self):
        """What a program is started with to be in it: the process stays the same."""
        return ["nsenter", f"--net={self.file}", "--"]

    def cut(self):
        """Each packet is dropped, also those that would open a connection."""
        run("tc", "-n", self.name, "qdisc", "add", "dev", "lo", "root", "pfifo", "limit", "0")

    def mend(self):
        run("tc", "-n", self.name, "qdisc", "del", "dev", "lo", "root")

    def socket(self):
        """A TCP socket in it; it stays there, whoever uses it."""
        with inside(self.file):
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


class Networks:
    """Which ports are in which network; every other is in ours."""

    def __init__(self):
        self.of_port = {}
        self.all = []

    def add(self, name):
        network = Network(f"smsbusd-{os.getpid()}-{name}")
        self.all.append(network)
        network.begin()
        return network

    def put(self, network, ports):
        self.of_port.update(dict.fromkeys(ports, network))

    async def open_connection(self, host, port):
        network = self.of_port.get(port)
        if network is None:
            return await asyncio.open_connection(host, port)
        connection = network.socket()
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, (host, port))
            return await asyncio.open_connection(sock=connection)
        except BaseException:
            connection.close()
            raise

    async def listen(self, serve, port=0, but=None):
        """Servers on this port in all networks, `but` in one. The port is drawn if it is 0."""
        servers = [await asyncio.start_server(serve, "127.0.0.1", port)]
        port = servers[0].sockets[0].getsockname()[1]
        for network in self.all:
            if network is not but:
                servers.append(await asyncio.start_server(serve, sock=bound(network.socket(), port)))
        return servers

    def end(self):
        for network in self.all:
            network.end()


def are_possible():
    """As root, and with the programs of Debian's packages iproute2 and util-linux; a container may forbid it all the same."""
    if os.getuid() != 0 or not all(map(shutil.which, ("ip", "tc", "nsenter"))):
        return False
    probe = Network(f"smsbusd-{os.getpid()}-probe")
    try:
        probe.begin()
        probe.socket().close()
        probe.cut()
        return True
    except OSError:
        return False
    finally:
        probe.end()


def bound(listener, port):
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


@contextmanager
def inside(file):
    """This thread is in the namespace, for as long as it takes to make a socket."""
    ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(file, os.O_RDONLY)
        try:
            enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            enter(ours)
    finally:
        os.close(ours)


def enter(namespace):
    # os.setns came with Python 3.12.
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")


def ip(*arguments):
    run("ip", *arguments)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
