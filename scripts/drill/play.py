"""The drill itself: each step says what it does, and what it expects."""

import os
import re
import signal
import time
import uuid

from drill.world import World

WITHIN_SECONDS = 60


class Deviation(Exception):
    """What came out is not what docs/backup.md says."""


class Drill:
    def __init__(self, world):
        self.world, self.deviations, self.steps = world, [], 0
        # By key: what a caller was told of its purchase.
        self.sold = {}

    def step(self, text):
        self.steps += 1
        print(f"{self.steps:2}. {text}", flush=True)

    def expect(self, holds, what):
        print(f"  {'ok' if holds else 'DEVIATION'}: {what}", flush=True)
        if not holds:
            self.deviations.append(what)

    def sell(self, part, carrier, count, first):
        for n in range(first, first + count):
            key = f"{part}-{carrier}-{n}"
            status, charge = self.world.buy(carrier, n, 6001 + n % 40, key)
            if status not in (200, 201) or charge.get("state") != "charged":
                raise SystemExit(f"{key}: {status} {charge}")
            self.sold[key] = charge

    def until(self, what, reached):
        deadline = time.monotonic() + WITHIN_SECONDS
        while time.monotonic() < deadline:
            found = reached()
            if found:
                return found
            time.sleep(0.3)
        self.expect(False, f"{what} within {WITHIN_SECONDS} s")
        return None


def play(program, folder, store_kind):
    world = World(program, folder, store_kind(folder))
    drill = Drill(world)
    try:
        world.store.begin()
        world.begin()
        run(drill, world)
    finally:
        world.end()
    return {"steps": drill.steps, "sold": len(drill.sold), "deviations": drill.deviations}


def run(drill, world):
    store = world.store
    drill.step("the daemon serves; tickets are sold at both carriers")
    if not world.start():
        raise SystemExit(world.refusal)
    for carrier in ("kcell", "tele2"):
        drill.sell("before", carrier, 6, 0)
    # Turned away once, it waits some seconds until it is sent again: so it waits when the back-up is made.
    world.fault("tele2", {"kind": "http_throttle", "retry_after_s": 1}, 20)
    world.buy_later("tele2", 20, 6031, "waits-tele2")
    world.fault("kcell", {"kind": "throttle"}, 21)
    world.buy_later("kcell", 21, 6032, "waits-kcell")
    drill.until("two charges wait", lambda: store.rows("SELECT count(*) FROM charges WHERE state = 'processing'") == [("2",)])

    drill.step("a back-up is made while the daemon serves")
    store.back_up(lambda *arguments: well(world.smsbusd(*arguments)))
    known = references(store)

    drill.step("more tickets are sold, which the back-up does not have; the two that waited are sent; two purchases are left under way")
    drill.until("nothing waits", lambda: store.rows("SELECT count(*) FROM charges WHERE state = 'processing'") == [("0",)])
    for carrier in ("kcell", "tele2"):
        drill.sell("lost", carrier, 6, 30)
    cursor = store.rows("SELECT max(seq) FROM journal")[0][0]
    codes = {code for (code,) in store.rows("SELECT vehicle || ' ' || short_code FROM tickets")}
    blocks = set(store.rows("SELECT writer, number FROM chain"))
    world.fault("tele2", {"kind": "http_time_out_after", "ms": 900}, 25)
    world.buy_later("tele2", 25, 6035, "open-tele2")
    # The note of how far the daemon has seen the store is a second old at most.
    time.sleep(2)
    lost = references(store) - known
    drill.expect(len(lost) >= 13, f"{len(lost)} charges are in the store, and not in the back-up")
    store.go_on()

    drill.step("the daemon is killed (kill -9), and the back-up is put back")
    world.stop(signal.SIGKILL)
    taken_before, _ = world.taken()
    store.put_back()
    drill.expect(references(store) == known, f"the store has the {len(known)} charges of the back-up")

    drill.step("the daemon is started on the older store: it must refuse")
    drill.expect(not world.start() and world.daemon.returncode == 78, "it ends with status 78")
    moments = re.findall(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", world.refusal)
    drill.expect(len(moments) >= 2 and "smsbusd restored" in world.refusal, "it names both moments and the command")
    print("  | " + world.refusal.replace("\n", "\n  | "))
    drill.expect(world.taken()[0] == taken_before, "nothing was sent to a carrier")

    drill.step("smsbusd restored")
    restored = world.smsbusd("restored", "--because", "the restore drill", "--by", "drill")
    drill.expect(restored.returncode == 0, "it succeeds")
    print("  | " + (restored.stdout + restored.stderr).strip().replace("\n", "\n  | "))
    drill.expect("2 charges" in restored.stdout, "the two charges that waited are in doubt")

    drill.step("the daemon is started again: it reads the carriers, and asks about what is in doubt")
    if not world.start():
        raise SystemExit(world.refusal)
    after_start(drill, world, (known, lost, cursor, codes, blocks))


def after_start(drill, world, before):
    known, lost, cursor, codes, blocks = before
    store = world.store
    drill.until("tele2 is read to the end", lambda: store.rows("SELECT unknown FROM rereads WHERE carrier = 'tele2'"))
    drill.until(
        "what tele2 can tell of is decided",
        lambda: store.rows("SELECT count(*) FROM charges JOIN attempts USING (reference) WHERE charges.state = 'in_doubt' AND carrier = 'tele2'") == [("0",)],
    )
    unowned = store.rows("SELECT count(*) FROM breaks WHERE kind = 'receipt_unowned'")
    told = store.rows("SELECT body FROM parked")
    at_tele2 = {entry["reference"] for entry in world.taken()[0]["tele2"] if entry["reference"].replace("-", "") in lost}
    drill.expect(unowned == [(str(len(at_tele2)),)], f"each of the {len(at_tele2)} lost purchases at tele2 is a break")
    drill.expect(all(any(reference in body for (body,) in told) for reference in at_tele2), "and each is kept with what the carrier tells")

    drill.step("callers repeat what they asked for")
    for key, charge in drill.sold.items():
        carrier, number = key.split("-")[1], int(key.split("-")[2])
        status, answer = world.buy(carrier, number, 6001 + number % 40, key)
        if key.startswith("before"):
            holds = status == 200 and answer.get("reference") == charge["reference"]
        else:
            holds = status == 409 and answer.get("code") == "books_restored"
        if not holds:
            drill.expect(False, f"{key}: {status} {answer}")
    drill.expect(True, f"{len(drill.sold)} keys: those of the back-up are replayed, those of the lost time are refused")
    status, answer = world.api("GET", f"/v1/events?after={cursor}")
    drill.expect(status == 410 and answer.get("code") == "cursor_lost", f"a cursor of the lost time is answered {status} {answer.get('code')}")

    drill.step("new purchases, under keys that tell that they are new")
    fresh = []
    for n, carrier in enumerate(("kcell", "tele2") * 3):
        status, charge = world.buy(carrier, 50 + n, 6001 + n % 3, uuid7())
        drill.expect(status == 201 and charge.get("state") == "charged", f"sold at {carrier}: {status}") if status != 201 else None
        fresh.append(charge["reference"])
    verdict(drill, world, (known, lost, cursor, codes, blocks), fresh)


def verdict(drill, world, before, fresh):
    known, lost, cursor, codes, blocks = before
    store = world.store
    drill.step("the books of the carriers are held against ours")
    taken, twice = world.taken()
    drill.expect(not twice, "no carrier charged a reference twice")
    states = dict(store.rows(f"SELECT {store.hexadecimal('reference')}, state FROM charges"))
    tickets = {reference for (reference,) in store.rows(f"SELECT {store.hexadecimal('reference')} FROM tickets")}
    refunds = {reference for (reference,) in store.rows(f"SELECT {store.hexadecimal('reference')} FROM refunds")}
    open_ended = 0
    for carrier, entries in taken.items():
        for entry in entries:
            reference = entry["reference"].replace("-", "")
            state = states.get(reference)
            if reference in lost:
                # Nobody can tell of it at kcell; at tele2 it is a break.
                open_ended += carrier == "kcell"
            elif not (reference in tickets or reference in refunds or state == "in_doubt"):
                drill.expect(False, f"{carrier} took {reference}, which is {state}, without a ticket, a refund or a doubt")
    drill.expect(True, f"whatever a carrier took has a ticket, a refund, a doubt or a break; of {open_ended} lost ones at kcell, which cannot list, only its statement tells")
    numbers = [(entry["carrier"] if "carrier" in entry else carrier, entry["msisdn"]) for carrier, entries in taken.items() for entry in entries]
    drill.expect(len(numbers) == len(set(numbers)), f"nobody paid twice: {len(numbers)} payments by as many numbers")
    drill.expect(not (set(fresh_hex(fresh)) & (known | lost)), "no reference is used again")
    again = {code for (code,) in store.rows("SELECT vehicle || ' ' || short_code FROM tickets")}
    old = {code for (code,) in store.rows(f"SELECT vehicle || ' ' || short_code FROM tickets WHERE {store.hexadecimal('reference')} IN ({listed(known)})")}
    drill.expect(not ((again - old) & codes), "no short code of the lost time is given out again")
    drill.expect(store.rows(f"SELECT count(*) FROM journal WHERE seq > {cursor}") != [("0",)], "new events lie beyond all that were told")
    first = store.rows("SELECT books_end, places_from FROM generations")[0]
    between = store.rows(f"SELECT count(*) FROM journal WHERE seq > {first[0]} AND seq < {first[1]}")
    drill.expect(between == [("0",)], "no event has a cursor of the lost time")
    hashes = store.rows("SELECT writer, number FROM chain WHERE writer > (SELECT writers_after FROM generations)")
    drill.expect(hashes and not (set(hashes) & blocks), "the chains of hashes go on as others")

    drill.step("the books are checked, and the daemon starts once more")
    checked = world.smsbusd("ledger check")
    drill.expect(checked.returncode == 0 and "The books are in order" in checked.stdout, "smsbusd ledger check finds the books in order")
    world.stop()
    drill.expect(world.start(), "it starts without a word")
    if store.follow is None:
        return world.stop()
    drill.step("a synchronous standby takes over: that is no restore")
    store.follow()
    status, charge = world.buy("kcell", 70, 6040, uuid7())
    drill.expect(charge.get("state") == "charged", "sold on the primary")
    time.sleep(2)
    world.stop(signal.SIGKILL)
    timelines = store.fail_over()
    drill.expect(timelines[1] > timelines[0], f"the timeline was {timelines[0]} and is {timelines[1]}")
    drill.expect(world.start(), "the daemon starts without a word")
    drill.expect(store.rows("SELECT max(number) FROM generations") == [("2",)], "the generation is the same")
    status, again = world.api("GET", f"/v1/charges/{charge.get('reference')}")
    drill.expect(status == 200 and again.get("state") == "charged", "and nothing is lost")
    world.stop()


def references(store):
    return {reference for (reference,) in store.rows(f"SELECT {store.hexadecimal('reference')} FROM charges")}


def listed(found):
    return ", ".join(f"'{reference}'" for reference in found)


def fresh_hex(fresh):
    return [reference.replace("-", "") for reference in fresh]


def well(answer):
    if answer.returncode != 0:
        raise SystemExit(answer.stderr)
    return answer


def uuid7():
    """RFC 9562, 5.7: the milliseconds since 1970, then chance. By a clock that is nearly as fast as a caller's may be: so soon after the
    restore no other key tells for certain that it is new."""
    value = (time.time_ns() // 1_000_000 + 119_500) << 80 | 7 << 76 | (int.from_bytes(os.urandom(2), "big") & 0xFFF) << 64
    value |= 2 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=value))
