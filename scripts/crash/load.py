"""Passengers and their ticket service: purchases over the API and by SMS, passwords, refunds; and whoever hears nothing asks again."""

import asyncio
import random
import time

from .carriers import OTP, SHORT_NUMBER
from .promises import FINAL
from .web import NoAnswer, listen

CALLER = "ticket-service"
ERRANDS_MAX = 600
# After so long without an outcome the ticket service stops asking every few seconds; it asks once more at the end.
ASKS_FOR_SECONDS = 30
# Nobody asks again sooner or later than this.
PAUSE_SECONDS = (0.2, 3.0)
# The simulator keeps a message for a minute, and the parts of one each for so long.
TEXT_PATIENCE_SECONDS = 240
NONSENSE = "Здравствуйте, подскажите пожалуйста, как оплатить проезд? " * 4
WORDS = ["билет", "?", "каз", "рус", "9999", "1234*0", "who is this"]


class Load:
    def __init__(self, carriers, vehicles, numbers, rate, seed, api, controls, promises):
        self.carriers, self.vehicles, self.numbers, self.rate = carriers, vehicles, numbers, rate
        self.dice = random.Random(f"{seed} load")
        self.api, self.controls, self.promises = api, controls, promises
        self.errands = set()
        self.closing = False
        self.number = 0
        # Purchases without an outcome, by key; messages without an acknowledgement.
        self.open, self.texts_open = set(), 0
        self.counts = {}
        self.late_wishes = []

    def in_flight(self):
        return len(self.open) + self.texts_open

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    # --- Who comes when -------------------------------------------------------------------------------------------------

    async def run(self):
        """Sends somebody off `rate` times a second, until it is cancelled."""
        while True:
            await asyncio.sleep(self.dice.expovariate(self.rate))
            if len(self.errands) < ERRANDS_MAX:
                self.begin(self.somebody())
            else:
                self.count("turned away, as too many wait")

    def begin(self, errand):
        task = asyncio.ensure_future(errand)
        self.errands.add(task)
        task.add_done_callback(self.ended)

    def ended(self, task):
        self.errands.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.promises.contradictions.append(f"an errand broke off: {task.exception()!r}")

    async def close(self, seconds):
        """Nobody new comes, and who is there has this long."""
        self.closing = True
        if self.errands:
            await asyncio.wait(set(self.errands), timeout=seconds)
        for errand in list(self.errands):
            errand.cancel()
        if self.errands:
            await asyncio.wait(set(self.errands), timeout=5)

    def somebody(self):
        self.number += 1
        dice = random.Random(self.dice.random())
        carrier = dice.choice(self.carriers)
        index = dice.randrange(self.numbers)
        kind = dice.random()
        if kind < 0.30:
            return self.text(dice, carrier, carrier.number(index))
        return self.app(dice, carrier, index, f"key-{self.number}")

    # --- The app --------------------------------------------------------------------------------------------------------

    async def app(self, dice, carrier, index, key):
        passengers = dice.choice((1, 1, 1, 2, 3))
        wish = {"msisdn": carrier.number(index), "vehicle": dice.choice(self.vehicles), "passengers": passengers}
        self.promises.wish(wish["msisdn"], wish["vehicle"], passengers)
        otp = OTP if carrier.asks_for_otp(index) else None
        others = []
        if dice.random() < 0.10:
            # The same request at the same time, as an impatient proxy would.
            others.append(self.buy(random.Random(dice.random()), wish, key, otp))
        if dice.random() < 0.10:
            # The same purchase under another key (M13).
            others.append(self.again(random.Random(dice.random()), wish, f"{key}-again", otp))
        for other in others:
            self.begin(other)
        charge = await self.buy(dice, wish, key, otp)
        if charge is not None and charge["state"] == "charged" and dice.random() < 0.20:
            await self.give_back(dice, charge, key)

    async def again(self, dice, wish, key, otp):
        await asyncio.sleep(dice.uniform(0, 5))
        await self.buy(dice, wish, key, otp)

    async def buy(self, dice, wish, key, otp):
        """Asks under one key until there is an outcome. The charge, if there is one."""
        self.open.add(key)
        give_up_at = time.monotonic() + ASKS_FOR_SECONDS
        try:
            while time.monotonic() < give_up_at and not self.closing:
                wait = dice.choice((0, 1, 3, 8))
                charge = await self.ask(wish, key, wait)
                if charge is not None:
                    if charge["state"] in FINAL:
                        self.count(f"app: {charge['state']}")
                        return charge
                    if charge["state"] == "awaiting_otp" and otp is not None:
                        await self.enter(dice, charge["reference"], otp)
                await asyncio.sleep(dice.uniform(*PAUSE_SECONDS))
            self.count("app: asks no longer")
            self.late_wishes.append((wish, key))
            return None
        finally:
            self.open.discard(key)

    async def ask(self, wish, key, wait):
        headers = [("idempotency-key", key)] + ([("prefer", f"wait={wait}")] if wait else [])
        try:
            status, answer = await self.api.call("POST", "/v1/charges", wish, headers, timeout=wait + 10)
        except NoAnswer:
            self.count("request: no answer")
            return None
        self.count(f"request: {status}")
        if 200 <= status < 300:
            self.promises.answer(key, wish, status, answer)
            return answer
        if status in (400, 401, 403, 404, 409, 422) and (answer or {}).get("code") != "mo_answered":
            self.promises.contradictions.append(f"key {key}: a sound request was refused: {answer}")
        return None

    async def enter(self, dice, reference, otp):
        if dice.random() < 0.05:
            return
        await asyncio.sleep(dice.uniform(0.1, 2))
        typed = "0000" if dice.random() < 0.1 else otp
        try:
            status, answer = await self.api.call("POST", f"/v1/charges/{reference}/otp", {"otp": typed}, timeout=10)
            self.count(f"password: {status}")
            if 200 <= status < 300:
                self.promises.told(answer)
        except NoAnswer:
            self.count("password: no answer")

    # --- Refunds --------------------------------------------------------------------------------------------------------

    async def give_back(self, dice, charge, key):
        """All of it or a part; twice under one key, or twice under two, as finance does on a bad day."""
        await asyncio.sleep(dice.uniform(0, 3))
        half = charge["amount"]["minor"] // 2
        body = dice.choice(({}, {}, {"amount_minor": half}, {"amount_minor": charge["amount"]["minor"]}))
        keys = dice.choice(([f"{key}-r"], [f"{key}-r", f"{key}-r"], [f"{key}-r", f"{key}-s"]))
        for refund_key in keys:
            self.begin(self.ask_back(random.Random(dice.random()), charge["reference"], body, refund_key))

    async def ask_back(self, dice, reference, body, key):
        for _ in range(12):
            try:
                status, answer = await self.api.call(
                    "POST", f"/v1/charges/{reference}/refunds", body, [("idempotency-key", key)], timeout=10
                )
            except NoAnswer:
                self.count("refund: no answer")
                status, answer = 0, None
            if status:
                self.count(f"refund: {status}")
            if 200 <= status < 300:
                self.promises.refund(reference, key, answer)
                return
            if status in (409, 400, 404) or self.closing:
                return
            await asyncio.sleep(dice.uniform(*PAUSE_SECONDS))

    # --- SMS ------------------------------------------------------------------------------------------------------------

    async def text(self, dice, carrier, msisdn):
        vehicle = dice.choice(self.vehicles)
        passengers = dice.choice((1, 1, 1, 2, 3))
        purchase = vehicle if passengers == 1 else f"{vehicle}*{passengers}"
        text = dice.choice((purchase, purchase, purchase, purchase, purchase, dice.choice(WORDS), NONSENSE, NONSENSE))
        if text == purchase:
            self.promises.wish(msisdn, vehicle, passengers)
        times = 2 if dice.random() < 0.2 else 1
        for _ in range(times):
            self.begin(self.send(carrier, msisdn, text))
            await asyncio.sleep(dice.uniform(0, 4))

    async def send(self, carrier, msisdn, text):
        self.texts_open += 1
        sent_at = milliseconds()
        try:
            body = {"msisdn": msisdn, "to": SHORT_NUMBER, "text": text}
            status, report = await self.controls[carrier.name].call("POST", "/mo", body, timeout=TEXT_PATIENCE_SECONDS)
            outcome = report["outcome"] if status == 200 else f"status {status}"
            self.count(f"text: {outcome}")
            if outcome == "acknowledged":
                self.promises.message(carrier.name, msisdn, text, sent_at, milliseconds())
        except NoAnswer as error:
            self.promises.contradictions.append(f"the simulator of {carrier.name} does not answer: {error}")
        finally:
            self.texts_open -= 1

    async def listen_for_webhooks(self, networks, port):
        """The ticket service: hears of events; and takes what passengers of one carrier want to buy, and buys it under the message's id."""
        dice = random.Random(self.dice.random())

        async def take(posting):
            is_event = posting["type"] != "purchase.requested"
            self.count("event" if is_event else "webhook")
            if not self.closing and dice.random() < 0.03:
                return 503
            if is_event:
                self.promises.event(posting)
                return 204
            # Some are not sold: the passenger must be told.
            if dice.random() < 0.8:
                data = posting["data"]
                self.begin(self.sell(random.Random(dice.random()), data))
            return 204

        return await listen(networks, port, take)

    async def sell(self, dice, data):
        wish = {"msisdn": data["msisdn"], **data["purchase"]}
        await asyncio.sleep(dice.uniform(0, 0.5))
        await self.buy(dice, wish, data["mo"], None)

    # --- The end --------------------------------------------------------------------------------------------------------

    async def ask_late_wishes(self):
        """Whoever had given up asks once more; what the daemon never heard of is bought now."""
        await self.ask_each([(key, wish) for wish, key in self.late_wishes])

    async def ask_all_again(self):
        """Every key once more, when nothing moves any more: the answer must be the same. The keys that have none."""
        keys = {key: promise["wish"] for key, promise in self.promises.keys.items()}
        keys.update((key, wish) for wish, key in self.late_wishes)
        return await self.ask_each(list(keys.items()))

    async def ask_each(self, keys, workers=16):
        unanswered = []

        async def work():
            while keys:
                key, wish = keys.pop()
                for _ in range(5):
                    if await self.ask(wish, key, 0) is not None or is_of_message(key):
                        break
                    await asyncio.sleep(0.5)
                else:
                    unanswered.append(key)

        await asyncio.gather(*[work() for _ in range(workers)])
        return unanswered


def is_of_message(key):
    """A message that was answered without a charge is refused for good: `mo_answered`."""
    return not key.startswith("key-")


def milliseconds():
    return int(time.time() * 1000)
