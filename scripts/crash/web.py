"""As much HTTP/1.1 as the load needs, without threads: a client that keeps its connections, and a listener for webhooks."""

import asyncio
import json

IDLE_MAX = 256
BODY_BYTES_MAX = 256 * 1024 * 1024


class NoAnswer(Exception):
    """The request was lost, or its answer was: nobody knows which."""


class Client:
    """Requests with JSON to one address."""

    def __init__(self, address, token=None, open_connection=asyncio.open_connection):
        self.host, port = address.rsplit(":", 1)
        self.port, self.open_connection = int(port), open_connection
        self.fixed = f"host: {address}\r\ncontent-type: application/json\r\n"
        if token is not None:
            self.fixed += f"authorization: Bearer {token}\r\n"
        self.idle = []

    async def call(self, method, path, body=None, headers=(), timeout=30):
        """The status and the JSON of the answer. Raises NoAnswer; nothing is ever sent twice."""
        data = json.dumps(body).encode() if body is not None else b""
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"{method} {path} HTTP/1.1\r\n{self.fixed}{extra}content-length: {len(data)}\r\n\r\n"
        connection = None
        try:
            connection = self.kept() or await asyncio.wait_for(self.open_connection(self.host, self.port), timeout)
            connection[1].write(head.encode() + data)
            status, fields, text = await asyncio.wait_for(read_answer(connection[0]), timeout)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError, asyncio.LimitOverrunError) as error:
            discard(connection)
            raise NoAnswer(repr(error)) from error
        except asyncio.CancelledError:
            discard(connection)
            raise
        if fields.get("connection", "") == "close" or len(self.idle) >= IDLE_MAX:
            discard(connection)
        else:
            self.idle.append(connection)
        return status, json.loads(text) if text else None

    def kept(self):
        """A connection that was kept and that the other side has not closed meanwhile."""
        while self.idle:
            connection = self.idle.pop()
            if not connection[0].at_eof() and not connection[1].transport.is_closing():
                return connection
            discard(connection)
        return None

    def forget(self):
        """Closes what is kept: the server is another process now."""
        while self.idle:
            discard(self.idle.pop())


class AnyOf:
    """Requests to any of several servers that are alike."""

    def __init__(self, clients, dice):
        self.clients, self.dice = clients, dice

    async def call(self, *arguments, **more):
        return await self.dice.choice(self.clients).call(*arguments, **more)


def discard(connection):
    if connection is not None:
        connection[1].transport.abort()


async def read_answer(reader):
    status_line, fields = await read_head(reader)
    text = await read_body(reader, fields)
    return int(status_line.split(" ", 2)[1]), fields, text


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    return first, fields


async def read_body(reader, fields):
    if "chunked" in fields.get("transfer-encoding", ""):
        raise ValueError("an answer in chunks, which nobody here sends")
    length = int(fields.get("content-length", "0"))
    if not 0 <= length <= BODY_BYTES_MAX:
        raise ValueError(f"a body of {length} bytes")
    return await reader.readexactly(length)


async def listen(networks, port, take):
    """Serves webhooks: `await take(json)` gives the status of the answer."""

    async def serve(reader, writer):
        try:
            while True:
                _, fields = await read_head(reader)
                text = await read_body(reader, fields)
                status = await take(json.loads(text))
                writer.write(f"HTTP/1.1 {status} Taken\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()

    return await networks.listen(serve, port)
