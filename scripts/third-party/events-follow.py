#!/usr/bin/env python3
"""Follows the events of a daemon with other people's software. `scripts/third-party/events` calls this; the arguments are the
command that starts the daemon.

Passengers buy, one gets her money back, and the daemon is killed in between (`kill -9`) and started again. Meanwhile a receiver
verifies each webhook with the Standard Webhooks library under both keys, and answers 500 at first; and an SSE client reads the
stream, and comes back with its `Last-Event-ID` whenever it breaks off. In the end the pages, the stream and the webhook have told
the same. Every check that fails ends the run with a message and exit status 1.
"""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import httpx
import httpx_sse
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

API, SCRATCH = os.environ["API"], Path(os.environ["SCRATCH"])
HEADERS = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
KEYS = {name: (SCRATCH / f"webhook-{name}").read_text() for name in ["old", "new"]}
PATIENCE_S = 60
REFUSED_FIRST = 5
VAT_PERCENT = 12


def must(condition: bool, what: str) -> None:
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


def until(what: str, reached) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > end:
            sys.exit(f"FAILED: waited in vain until {what}")
        time.sleep(0.1)


class Daemon:
    """The program under test, and nothing else, is killed here."""

    def start(self) -> None:
        with open(SCRATCH / "smsbusd.log", "ab") as log:
            self.process = subprocess.Popen(sys.argv[1:], stdout=log, stderr=log)
        until("the daemon has bound", self.is_bound)

    def is_bound(self) -> bool:
        if self.process.poll() is not None:
            sys.exit(f"FAILED: the daemon ended: {(SCRATCH / 'smsbusd.log').read_text()[-2000:]}")
        try:
            carriers = httpx.get(f"{API}/v1/carriers", headers=HEADERS, timeout=5).json()
        except httpx.HTTPError:
            return False
        return '"up": true' in json.dumps(carriers)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=30)


class Receiver:
    """Where the webhook is posted to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.refused: list[str] = []
        self.taken: dict[str, dict] = {}
        self.repeats = 0
        self.wrong: list[str] = []
        self.sample: tuple[bytes, dict] | None = None
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = receiver.take(body, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["RECEIVER_PORT"])), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def take(self, body: bytes, headers: dict) -> int:
        with self.lock:
            for name, key in KEYS.items():
                try:
                    Webhook(key).verify(body, headers)
                except WebhookVerificationError as error:
                    self.wrong.append(f"{headers.get('webhook-id')} under the {name} key: {error}")
            event = json.loads(body)
            if event["id"] != headers["webhook-id"]:
                self.wrong.append(f"webhook-id {headers['webhook-id']} is not the event's {event['id']}")
            if len(self.refused) < REFUSED_FIRST:
                self.refused.append(event["id"])
                return 500
            if event["id"] in self.taken:
                self.repeats += 1
                if self.taken[event["id"]] != event:
                    self.wrong.append(f"{event['id']} came again and is another")
            self.taken[event["id"]] = event
            self.sample = (body, headers)
            return 204


class Stream:
    """Reads the stream from the beginning of time, and goes on where it broke off."""

    def __init__(self) -> None:
        self.events: list[dict] = []
        self.wrong: list[str] = []
        self.breaks = 0
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self) -> None:
        last = "0"
        while True:
            try:
                with httpx.Client(timeout=30) as client, httpx_sse.connect_sse(
                    client, "GET", f"{API}/v1/events", headers=HEADERS | {"Last-Event-ID": last}
                ) as source:
                    for sse in source.iter_sse():
                        last = sse.id or last
                        if sse.data:
                            self.take(sse)
            except (httpx.HTTPError, httpx_sse.SSEError):
                pass
            self.breaks += 1
            time.sleep(0.1)

    def take(self, sse: httpx_sse.ServerSentEvent) -> None:
        event = sse.json()
        if (sse.id, sse.event) != (event["cursor"], event["type"]):
            self.wrong.append(f"{sse.id} {sse.event} is not what its data says: {event}")
        self.events.append(event)


def pages() -> list[dict]:
    events, after = [], "0"
    while True:
        page = httpx.get(f"{API}/v1/events", params={"after": after, "limit": 7}, headers=HEADERS, timeout=10).json()
        events += page["events"]
        after = page["next"]
        if page["is_last"]:
            return events


def buy(n: int) -> dict:
    response = httpx.post(
        f"{API}/v1/charges",
        json={"msisdn": f"+7705100{n:04}", "vehicle": "1234"},
        headers=HEADERS | {"Idempotency-Key": f"events-{n}", "Prefer": "wait=15"},
        timeout=30,
    )
    charge = response.json()
    if charge.get("state") != "charged":
        sys.exit(f"FAILED: not bought: {response.status_code} {charge}")
    return charge


def main() -> None:
    daemon, receiver, stream = Daemon(), Receiver(), Stream()
    daemon.start()
    charges = [buy(n) for n in range(20)]
    daemon.kill()
    daemon.start()
    charges += [buy(n) for n in range(20, 35)]
    given_back = httpx.post(
        f"{API}/v1/charges/{charges[0]['reference']}/refunds",
        json={},
        headers=HEADERS | {"Idempotency-Key": "back"},
        timeout=30,
    )
    must(given_back.status_code in (200, 201, 202), f"a refund is asked for: {given_back.status_code}")
    # This carrier's contract has no refunds, so it is owed, and the ticket is void.
    until("the refund is told", lambda: any(event["type"] == "refund.owed" for event in pages()))
    told = pages()
    ids = [event["id"] for event in told]
    must(len(ids) == len(set(ids)), f"the pages tell {len(ids)} events, each once")
    of_type = lambda kind: [event for event in told if event["type"] == kind]
    sold = {event["data"]["reference"] for event in of_type("charge.charged")}
    must(sold == {charge["reference"] for charge in charges}, f"each of {len(sold)} sales is among them")
    must(len(of_type("ticket.issued")) == len(sold) and len(of_type("ticket.revoked")) == 1, "so are their tickets")
    for event in of_type("charge.charged"):
        fiscal = event["data"]["fiscal"]
        total, tax = fiscal["total"]["minor"], fiscal["vat"]["amount"]["minor"]
        if abs(tax * (100 + VAT_PERCENT) - total * VAT_PERCENT) > (100 + VAT_PERCENT) / 2:
            sys.exit(f"FAILED: {tax} is not {VAT_PERCENT} percent within {total}")
    print("ok: the tax of each sale is the one within its price")

    until("the stream has told as much", lambda: len(stream.events) >= len(told))
    must(stream.events == told, "httpx-sse: the stream told the same, in the same order, with no gap and no repeat")
    must(stream.breaks >= 1 and stream.wrong == [], f"it broke off {stream.breaks} times, and each event is what it says")
    until("the webhook has told as much", lambda: receiver.taken.keys() >= set(ids))
    must(receiver.wrong == [], " ".join(["standardwebhooks: all verify under both keys", *receiver.wrong[:3]]))
    must(receiver.taken == {event["id"]: event for event in told}, "the webhook told the same, and nothing else")
    must(set(receiver.refused) <= receiver.taken.keys(), f"the {len(set(receiver.refused))} that were refused came again")
    body, headers = receiver.sample
    for name, key in KEYS.items():
        try:
            Webhook(key).verify(body.replace(b"a", b"b", 1), headers)
            sys.exit(f"FAILED: a changed body verifies under the {name} key")
        except WebhookVerificationError:
            print(f"ok: standardwebhooks refuses a changed body under the {name} key")

    repeats = receiver.repeats
    replay = httpx.post(f"{API}/v1/webhooks/follower/replay", json={"after": "0"}, headers=HEADERS, timeout=10)
    must(replay.is_success, f"a replay is asked for: {replay.status_code}")
    until("all came again", lambda: receiver.repeats >= repeats + len(told))
    must(receiver.wrong == [] and len(receiver.taken) == len(told), "replayed, all come again under the same ids, unchanged")
    must(daemon.stop() == 0, "SIGTERM ends the daemon with status 0")
    software = ["standardwebhooks", "httpx", "httpx-sse"]
    print("all told alike:", ", ".join(f"{name} {version(name)}" for name in software))


if __name__ == "__main__":
    main()
